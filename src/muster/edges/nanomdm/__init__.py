"""A familiar door: the addresses of NanoMDM's HTTP API, so that programs written for it go on working."""
