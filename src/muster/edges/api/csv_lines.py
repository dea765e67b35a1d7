"""Lines of CSV (RFC 4180) that no spreadsheet takes for orders: devices choose their names."""

import csv
import io
from collections.abc import Iterable
from typing import Final

_ORDERS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a cell begins with that spreadsheets compute, some of them also in its full width."""


def csv_line(cells: Iterable[object]) -> bytes:
    """Write *cells* as a line; None as an empty one, true and false in words."""
    written = io.StringIO()
    csv.writer(written).writerow([_cell(one) for one in cells])
    return written.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_ORDERS):
        return f"'{value}"
    return "" if value is None else value
