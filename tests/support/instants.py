"""Moments that tests happen at."""

from datetime import UTC, datetime

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
"""A Monday, in no month's first or last day."""
