"""The site on both engines, as for operations."""

from tests.operations.conftest import _one_sqlite, reused_sqlite, site

__all__ = ["_one_sqlite", "reused_sqlite", "site"]
