"""The steps, in order. Each runs once on a database, on both engines, and is never edited after a release."""
