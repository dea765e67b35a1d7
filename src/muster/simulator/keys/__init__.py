"""RSA keys for simulated devices: generating one takes a tenth of a second, and a fleet has thousands."""
