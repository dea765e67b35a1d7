"""How commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH_WHEN_PIPED = 200
"""Columns of a table that nobody looks at through a terminal: wide enough not to cut."""


def print_json(value: object) -> None:
    """Print *value* as JSON: times as RFC 3339 in UTC, bytes as hexadecimal."""
    json.dump(_plain(value), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    return value


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers to the right, plain text when piped."""
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else WIDTH_WHEN_PIPED, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold" if is_terminal else "")
    for index, column in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[index], int) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write(captured.get())  # Rich would end the process itself when nobody reads on


def ago(at: datetime | None, now: datetime) -> str:
    """Say how long ago *at* was, or how soon it is, in the largest unit that tells something."""
    if at is None:
        return "never"
    seconds = int((now - at).total_seconds())
    word = "ago" if seconds >= 0 else "left"
    seconds = abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds // size} {unit} {word}"
    return f"{seconds} s {word}"
