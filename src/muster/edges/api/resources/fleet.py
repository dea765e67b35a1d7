"""The fleet as a whole: how it stands, how it stood, what ails many at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from muster.domain.control import saying
from muster.domain.control.states import ControlState
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.permit import of_fleet
from muster.operations.views.control import ControlDay, FleetControl, control_history, fleet_control
from muster.operations.views.flips import held_flip_words
from muster.operations.views.incidents import IncidentRow, list_incidents
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class FleetStanding:
    """The fleet now. *sentence* says it in words; *held_flip*: what is said of a mass change of verdicts that waits for
    a person, absent where none does."""

    sentence: str
    control: FleetControl
    held_flip: str | None


@dataclass(frozen=True, slots=True)
class HistoryAsked:
    """Which days."""

    days: Annotated[int, Limits("How far back.", 1, 400)] = 30


@dataclass(frozen=True, slots=True)
class IncidentsAsked:
    """Which incidents."""

    only_open: Annotated[bool, Limits("Those alone that have not ended.")] = False


@endpoint("GET", "/fleet")
async def show_fleet(call: Call) -> FleetStanding:
    """Show how the fleet stands.

    How many devices are under control and how many are not, for which reasons, who needs a person, and what the cause
    of many is. For those who have the whole fleet.
    """
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: _standing(tx, now)))


def _standing(tx: Transaction, now: datetime) -> FleetStanding:
    control = fleet_control(tx, now)
    states = {ControlState(state): devices for state, devices in control.states.items()}
    return FleetStanding(saying.fleet_sentences(states, control.needing), control, held_flip_words(tx))


@endpoint("GET", "/fleet/history")
async def show_fleet_history(call: Call, asked: HistoryAsked) -> tuple[ControlDay, ...]:
    """Show how the fleet stood on each of the last days, the oldest first."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: control_history(tx, now, asked.days)))


@endpoint("GET", "/fleet/incidents")
async def list_fleet_incidents(call: Call, asked: IncidentsAsked) -> tuple[IncidentRow, ...]:
    """List incidents: what many devices have in common that are not under control."""
    return await call.see(of_fleet(lambda tx: list_incidents(tx, only_open=asked.only_open)))


ENDPOINTS = (show_fleet, show_fleet_history, list_fleet_incidents)
