"""The mass flip that waits for a person's word, as pages show it."""

from dataclasses import dataclass

from muster.storage import tellings
from muster.storage.engine import Transaction


def held_flip_words(tx: Transaction) -> str | None:
    """Say in a sentence that others are not told of many, and what to do; None: nothing waits.

    What is to be typed stands between backticks.
    """
    flip = next(iter(tellings.flips(tx, limit=1)), None)
    if flip is None or flip.ended_at is not None:
        return None
    return (
        f"{flip.left} of {flip.fleet} enrollments came out of control at once, from "
        f"{flip.opened_at:%-d %B at %H:%M} UTC on, and other systems are not told of them until you say so: "
        "`muster flips release` tells them, `muster flips drop` does not."
    )


@dataclass(frozen=True, slots=True)
class FlipSettled:
    """A mass flip that somebody decided: how many channels waited, and of how many others were told."""

    flip_id: str
    waiting: int
    told: int
