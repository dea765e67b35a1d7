"""The control state: what we observe of a channel and what we conclude from it."""
