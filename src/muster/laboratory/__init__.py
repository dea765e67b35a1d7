"""Fleets played in virtual time: the real server against simulated devices, weeks in seconds."""
