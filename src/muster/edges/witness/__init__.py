"""The address at which other witnesses say that they saw devices."""
