"""Marks on a terminal: the console's words, shapes and colours, in characters."""

import sys
from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from muster.cli.output import is_unicode, without_orders
from muster.domain.control.states import ControlState
from muster.operations.views.marks import CONTROL, Mark, Shape, Tone

WIDTH: Final = 100
"""Columns that a page of ours takes at most: what an ordinary terminal has, and what is read at a glance."""

_GLYPHS: Final = {
    Shape.DISC: "●",
    Shape.HALF: "◐",
    Shape.RING: "○",
    Shape.TRIANGLE: "▲",
    Shape.CROSS: "✕",
    Shape.CLOCK: "◷",
    Shape.SQUARE: "□",
    Shape.QUESTION: "?",
}
_ASCII: Final = {
    Shape.DISC: "*",
    Shape.HALF: "-",
    Shape.RING: "o",
    Shape.TRIANGLE: "!",
    Shape.CROSS: "x",
    Shape.CLOCK: "~",
    Shape.SQUARE: "#",
    Shape.QUESTION: "?",
}
STYLES: Final = {
    Tone.GOOD: "green",
    Tone.BUSY: "cyan",
    Tone.OVER: "dim",
    Tone.WARNING: "yellow",
    Tone.AWAY: "bright_red",
    Tone.BLIND: "magenta",
    Tone.BAD: "red",
}
_HEIGHTS: Final = " ▁▂▃▄▅▆▇█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def glyphs_for(encoding: str) -> Mapping[Shape, str]:
    """Return the characters of shapes that a terminal of this encoding has."""
    return _GLYPHS if encoding.lower().startswith("utf") else _ASCII


class Page:
    """What a command says to people, at most 100 columns wide; colours only on a terminal."""

    def __init__(self) -> None:
        width = min(Console().width, WIDTH) if sys.stdout.isatty() else WIDTH
        self._console = Console(width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)
        self._is_unicode = is_unicode()
        self._glyphs = glyphs_for(sys.stdout.encoding or "")

    @property
    def width(self) -> int:
        """Return how many columns there are."""
        return self._console.width

    def say(self, *parts: RenderableType) -> None:
        """Print *parts*, each from the beginning of a line; a text is taken as it is. Without any: an empty line."""
        with self._console.capture() as captured:
            for part in parts or ("",):
                self._console.print(_Shown(Text(part) if isinstance(part, str) else part))
        # Rich fills lines up, and would end the process itself when nobody reads on
        text = "\n".join(line.rstrip() for line in captured.get().split("\n"))
        sys.stdout.write(text if self._is_unicode else text.encode("ascii", "replace").decode())

    def heading(self, text: str) -> None:
        """Print an empty line, and what comes now."""
        self.say("", Text(text, style="bold"))

    def mark(self, mark: Mark, word: str | None = None) -> Text:
        """Return a mark: its shape in its colour, and its word."""
        return Text.assemble((self._glyphs[mark.shape], STYLES[mark.tone]), f" {mark.word if word is None else word}")

    def glyph(self, state: ControlState) -> tuple[str, str]:
        """Return the character of a state, and its style."""
        mark = CONTROL[state]
        return self._glyphs[mark.shape], STYLES[mark.tone]

    @property
    def well(self) -> str:
        """Return the character of a day on which all was well: a line, for a page is quiet then."""
        return "─" if self._is_unicode else "-"

    def block(self, share: float) -> str:
        """Return a character as high as *share*, from 0 to 1; never empty where there is any."""
        if share <= 0:
            return " "
        return _HEIGHTS[max(1, round(share * (len(_HEIGHTS) - 1)))] if self._is_unicode else "|"

    def bar(self, part: int, whole: int, width: int) -> str:
        """Draw *part* of *whole* as a bar of up to *width* columns; never empty where there is a part."""
        if whole == 0 or part == 0:
            return ""
        if not self._is_unicode:
            return "#" * max(1, part * width // whole)
        eighths = max(1, part * width * 8 // whole)
        return _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


class _Shown:
    """What is printed, without orders to the terminal but Rich's own."""

    def __init__(self, part: RenderableType) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._part, options):
            lines = segment.text.split("\n")
            yield segment if segment.control else Segment("\n".join(map(without_orders, lines)), segment.style)


class Indented:
    """A paragraph that is set in."""

    def __init__(self, text: str | Text, by: int, first: str = "") -> None:
        self._text = Text(text) if isinstance(text, str) else text
        self._by, self._first = by, first

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Wrap the text in what is left of the width, and set its lines in."""
        del options
        for number, line in enumerate(self._text.wrap(console, max(console.width - self._by, 20))):
            before = self._first.ljust(self._by) if number == 0 else " " * self._by
            yield Text.assemble(before, line)
