"""What else asks for somebody, beside the devices that are out of control."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control import saying
from muster.domain.control.states import ControlState
from muster.operations.views.control import FleetControl, fleet_control
from muster.operations.views.flips import held_flip_words
from muster.operations.views.push_certificates import push_certificate_state
from muster.storage import identities, queue_holds
from muster.storage.engine import Transaction

EXPIRY_NOTICE: Final = timedelta(days=30)
"""How long before its end an identity or the push certificate is worth a word."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What else asks for somebody. *identities_ending* are devices whose identity ends within 30 days: those of the
    group `identity-expires-soon`."""

    identities_ending: int
    commands_held: int
    push_certificates_ending: Mapping[str, datetime]
    held_flip: str | None = None
    """What is said of many that came out of control at once, of whom others are not told; absent: there are none."""


@dataclass(frozen=True, slots=True)
class FleetStanding:
    """The fleet now. *sentence* says it in words; *held_flip*: what is said of a mass change of verdicts that waits for
    a person, absent where none does; *needs*: what else asks for somebody."""

    sentence: str
    control: FleetControl
    held_flip: str | None
    needs: Needs


def fleet_standing(tx: Transaction, now: datetime) -> FleetStanding:
    """Tell how the fleet stands at *now*."""
    control, needs = fleet_control(tx, now), fleet_needs(tx, now)
    states = {ControlState(state): devices for state, devices in control.states.items()}
    return FleetStanding(saying.fleet_sentences(states, control.needing), control, needs.held_flip, needs)


def fleet_needs(tx: Transaction, now: datetime) -> Needs:
    """Gather what else asks for somebody at *now*."""
    return Needs(
        identities.count_ending(tx, now + EXPIRY_NOTICE),
        len(queue_holds.held(tx)),
        dict(push_certificate_state(tx, now, within=EXPIRY_NOTICE).ending),
        held_flip_words(tx),
    )
