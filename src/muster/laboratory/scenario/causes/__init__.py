"""Causes: what each primitive makes true of a device, by kind. Who looks for one begins at `table`."""
