"""Self tests: our own server looked at as devices meet it."""
