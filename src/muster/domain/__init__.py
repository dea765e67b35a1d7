"""Decisions: what a message or an observation means for what we know; pure, without clock, disk, network or log."""
