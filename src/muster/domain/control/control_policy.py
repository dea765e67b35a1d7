"""The limits by which control is judged: of a group of devices, or of all."""

from dataclasses import dataclass
from datetime import time, timedelta
from typing import Final

SUSPICION_OF_QUIET: Final = 2.0
"""From this on a silence is longer than the channel's own rhythm explains: one in a hundred."""


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """What administrators may set for a group of devices. Defaults are Apple's advice and the practice of the field.

    *contact_window*: a silence shorter than this is never suspicious. *proof_window*: for so long a command that was
    acknowledged proves obedience. *tolerance*: how long a device may be silent before it is inactive (Apple: several
    days to a week). *silence_limit*: how long before it is out of control; *inventory_limit*: how old what it said of
    itself may get. *expects_user_channel*: a Mac whose enrollment is user-approved should have a user's channel.
    *agent*: the name of the witness that speaks from an agent on these devices; empty: they have none.
    *quiet_hours*: between which times nothing is pushed for recovery, UTC unless they have a zone; None: at any hour.
    *remedies*: names of automatic steps of recovery that are allowed; None: all that need no person.
    """

    contact_window: timedelta = timedelta(hours=24)
    proof_window: timedelta = timedelta(days=14)
    tolerance: timedelta = timedelta(days=7)
    silence_limit: timedelta = timedelta(days=21)
    inventory_limit: timedelta = timedelta(days=60)
    expects_user_channel: bool = True
    agent: str = ""
    quiet_hours: tuple[time, time] | None = None
    remedies: frozenset[str] | None = None
