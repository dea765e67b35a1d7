"""Directories that know the passwords of network users."""
