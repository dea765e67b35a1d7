"""Named loops: what is due is done, on every node, by whoever claims it first."""
