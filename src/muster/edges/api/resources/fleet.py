"""The fleet as a whole: how it stands, how it stood, what ails many at once."""

from dataclasses import dataclass
from typing import Annotated

from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.permit import of_fleet
from muster.operations.views.control import ControlDay, control_history
from muster.operations.views.fleet_needs import FleetStanding, fleet_standing
from muster.operations.views.incidents import LIST_LIMIT, IncidentRow, list_incidents


@dataclass(frozen=True, slots=True)
class HistoryAsked:
    """Which days."""

    days: Annotated[int, Limits("How far back.", 1, 800)] = 30


@dataclass(frozen=True, slots=True)
class IncidentsAsked:
    """Which incidents."""

    only_open: Annotated[bool, Limits("Those alone that have not ended.")] = False
    limit: Annotated[int, Limits("How many at most.", 1, 10_000)] = LIST_LIMIT


@endpoint("GET", "/fleet")
async def show_fleet(call: Call) -> FleetStanding:
    """Show how the fleet stands.

    How many devices are under control and how many are not, for which reasons, who needs a person, and what the cause
    of many is. For those who have the whole fleet.
    """
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: fleet_standing(tx, now)))


@endpoint("GET", "/fleet/history")
async def show_fleet_history(call: Call, asked: HistoryAsked) -> tuple[ControlDay, ...]:
    """Show how the fleet stood on each of the last days, the oldest first."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: control_history(tx, now, asked.days)))


@endpoint("GET", "/fleet/incidents")
async def list_fleet_incidents(call: Call, asked: IncidentsAsked) -> tuple[IncidentRow, ...]:
    """List incidents: what many devices have in common that are not under control."""
    return await call.see(of_fleet(lambda tx: list_incidents(tx, limit=asked.limit, only_open=asked.only_open)))


ENDPOINTS = (show_fleet, show_fleet_history, list_fleet_incidents)
