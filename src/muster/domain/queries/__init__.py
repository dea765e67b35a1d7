"""The small language in which administrators say which devices are meant."""
