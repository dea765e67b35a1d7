"""How commands print: tables for people, JSON for programs."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

WIDTH_WHEN_PIPED = 200
"""Columns of a table that nobody looks at through a terminal: wide enough not to cut."""
_ORDERS: Final = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal takes for an order: controls, and marks that turn the direction of what follows."""


def without_orders(text: str) -> str:
    """Return *text* as it may be shown: devices choose their names, and a terminal obeys what is in them."""
    return _ORDERS.sub("\N{REPLACEMENT CHARACTER}", text)


def print_told(text: str) -> None:
    """Print what devices or other servers may have had their say in: its lines, and no orders to the terminal."""
    print("\n".join(without_orders(line.expandtabs()) for line in text.split("\n")))


def print_json(value: object) -> None:
    """Print *value* as JSON: times as RFC 3339 in UTC, bytes as hexadecimal."""
    written = json.dumps(_plain(value), indent=2, ensure_ascii=not is_unicode())
    lines = (_ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in written.split("\n"))
    sys.stdout.write("\n".join(lines) + "\n")


def is_unicode() -> bool:
    """Tell whether what is printed may have characters of all languages."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())  # a record of the engines' hot paths
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
    console = Console(width=None if is_terminal else WIDTH_WHEN_PIPED, highlight=False, markup=False, emoji=False)
    table = Table(box=None, pad_edge=False, header_style="bold" if is_terminal else "")
    texts = [["" if cell is None else without_orders(str(cell)) for cell in row] for row in rows]
    widths = _widths([columns, *texts], console.width)
    for index, column in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[index], int) for row in rows)
        justify: Literal["right", "left"] = "right" if is_number else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis", width=widths[index])
    for text in texts:
        table.add_row(*text)
    with console.capture() as captured:
        console.print(table)
    printed = captured.get()
    # Rich would end the process itself when nobody reads on
    sys.stdout.write(printed if is_unicode() else printed.encode("ascii", "replace").decode())


_GAP = 2
"""Between two columns, as Rich has it without boxes and edges."""
_NARROWEST = 4


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Tell how wide each column is to be: as its cells are, and where that is too much, the widest give way first."""
    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(rows[0]))]
    while sum(widths) + _GAP * (len(widths) - 1) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


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
