"""Scenarios: what happens to a fleet, written down in TOML of primitives, played in virtual time, and judged."""
