"""Marks: a word with its shape and colour, the same on a page and on a terminal.

Nothing is told by colour alone: each mark has a word and a shape of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from muster.domain.control.states import ControlState


class Shape(StrEnum):
    """The shapes drawn before a word; each is a symbol in the pages' SVG."""

    DISC = "disc"
    HALF = "half"
    RING = "ring"
    TRIANGLE = "triangle"
    CROSS = "cross"
    CLOCK = "clock"
    SQUARE = "square"
    QUESTION = "question"


class Tone(StrEnum):
    """The colours: names of CSS classes."""

    GOOD = "good"
    BUSY = "busy"
    OVER = "over"
    WARNING = "warning"
    AWAY = "away"
    BLIND = "blind"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Mark:
    """A word with its shape and colour."""

    word: str
    shape: Shape
    tone: Tone


CONTROL: Final[Mapping[ControlState, Mark]] = {
    ControlState.IN_CONTROL: Mark("Under control", Shape.DISC, Tone.GOOD),
    ControlState.AT_RISK: Mark("At risk", Shape.TRIANGLE, Tone.WARNING),
    ControlState.QUIET: Mark("Quiet", Shape.HALF, Tone.BUSY),
    ControlState.INACTIVE: Mark("Inactive", Shape.RING, Tone.AWAY),
    ControlState.OUT_OF_CONTROL: Mark("Out of control", Shape.CROSS, Tone.BAD),
    ControlState.ENDED: Mark("Ended", Shape.SQUARE, Tone.OVER),
    ControlState.DORMANT: Mark("Dormant", Shape.CLOCK, Tone.OVER),
    ControlState.UNKNOWN: Mark("Unknown", Shape.QUESTION, Tone.BLIND),
}
"""The eight states of verdicts: told apart by shape and word, and by colour where there is any."""
NOT_JUDGED: Final = Mark("Not judged yet", Shape.CLOCK, Tone.BUSY)
