"""Bytes to typed messages and back, in Apple's and the RFCs' words: no clock, disk, network or log."""
