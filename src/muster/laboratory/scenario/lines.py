"""Where in a TOML file each key stands, which `tomllib` does not say.

The text has been read by tomllib already, so it is well formed; what is found here is lines, and nothing else.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

Path = tuple[str | int, ...]
"""Keys from the root, with the number of the table after the name of an array of tables."""

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def find_lines(text: str) -> Mapping[Path, int]:
    """The line, from 1, of every table and every key of *text*; what is inside an inline table stands at its key."""
    return _Scanner(text).scan()


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of *path*, or of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n") + "\n"
        self._at = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._tables: Counter[Path] = Counter()  # how many of each array of tables there were

    def scan(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip_blank():
            begun = self._line
            if self._peek() == "[":
                is_array = self._text.startswith("[[", self._at)
                self._step(2 if is_array else 1)
                names = self._keys()
                self._step(2 if is_array else 1)
                table = self._open(names, is_array=is_array)
                self._lines.setdefault(table, begun)
            else:
                names = self._keys()
                self._step(1)  # the equals sign
                for length in range(1, len(names) + 1):
                    self._lines.setdefault((*table, *names[:length]), begun)
                self._skip_value()
        return self._lines

    def _open(self, names: list[str], *, is_array: bool) -> Path:
        """The path of a table with these *names*: within the last of each array of tables on the way."""
        path: Path = ()
        for number, name in enumerate(names):
            path = (*path, name)
            if is_array and number == len(names) - 1:
                self._tables[path] += 1
            if self._tables[path]:
                path = (*path, self._tables[path] - 1)
        return path

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _step(self, count: int = 1) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _skip_blank(self) -> bool:
        """Pass over white space and comments; False at the end of the text."""
        while self._at < len(self._text):
            if self._peek() == "#":
                self._step(self._text.index("\n", self._at) - self._at)
            elif self._peek() in " \t\n":
                self._step()
            else:
                return True
        return False

    def _keys(self) -> list[str]:
        """A dotted key, up to what follows it."""
        names: list[str] = []
        while True:
            self._skip_spaces()
            names.append(self._key())
            self._skip_spaces()
            if self._peek() != ".":
                return names
            self._step()

    def _key(self) -> str:
        begun = self._at
        if self._peek() in "\"'":
            self._skip_string()
            return self._text[begun + 1 : self._at - 1]
        while self._peek() in _BARE and self._peek():
            self._step()
        return self._text[begun : self._at]

    def _skip_spaces(self) -> None:
        while self._peek() and self._peek() in " \t":
            self._step()

    def _skip_value(self) -> None:
        depth = 0
        while self._at < len(self._text):
            character = self._peek()
            if character in "\"'":
                self._skip_string()
                continue
            if character == "#":
                self._step(self._text.index("\n", self._at) - self._at)
                continue
            if character == "\n" and depth == 0:
                return
            depth += (character in "[{") - (character in "]}")
            self._step()

    def _skip_string(self) -> None:
        quote = self._peek()
        if self._text.startswith(quote * 3, self._at):
            self._skip_long_string(quote)
            return
        self._step()
        while self._peek() not in (quote, ""):
            self._step(2 if quote == '"' and self._peek() == "\\" else 1)
        self._step()

    def _skip_long_string(self, quote: str) -> None:
        self._step(3)
        while self._at < len(self._text) and not self._text.startswith(quote * 3, self._at):
            self._step(2 if quote == '"' and self._peek() == "\\" else 1)
        self._step(3)
        while self._peek() == quote:  # up to two quotes may stand before the end
            self._step()
