"""What the server did in the last day by itself and for people, and what waits for a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from muster.domain.access import SERVER
from muster.domain.control.states import ControlState
from muster.domain.enrollment import Provenance
from muster.operations.views.expiring import Expiring, list_ending
from muster.operations.views.fleet_needs import EXPIRY_NOTICE, Needs, fleet_needs
from muster.storage.engine import Transaction
from muster.storage.schema import commands, identities, pushes, recoveries, verdict_changes
from muster.storage.types import to_microseconds

DAY: Final = timedelta(days=1)
_LIFETIMES_DIFFER_BY: Final = timedelta(days=36)
"""What was issued in the last day ends not much before what ends last: by the index of their ends, few are read."""


@dataclass(frozen=True, slots=True)
class LastDay:
    """What was done from a day before *at* on.

    *questions* are commands of the server's own, each for all who are asked the same; *orders* are those of people and
    programs. *came_back* counts devices that came under control, *lost* those that left it.
    """

    at: datetime
    pushes: int
    orders: int
    questions: int
    renewals: int
    recoveries: int
    came_back: int
    lost: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What nobody but a person settles, beside devices that are out of control. *expiring* are the certificates, the
    authorities and the tokens that end within `EXPIRY_NOTICE`, the earliest first."""

    needs: Needs
    expiring: tuple[Expiring, ...]


def last_day(tx: Transaction, now: datetime) -> LastDay:
    """Count what was done in the last day: by indexes, since a fleet pushes hundreds of thousands of times."""
    since = now - DAY
    orders, questions = _commands(tx, since, now)
    came_back, lost = _steps(tx, since)
    return LastDay(
        now,
        _count(tx, sa.select(sa.func.count()).where(pushes.c.at >= since)),
        orders,
        questions,
        _renewals(tx, since),
        _count(tx, sa.select(sa.func.count()).where(recoveries.c.id >= _first_id(since))),
        came_back,
        lost,
    )


def waiting(tx: Transaction, now: datetime) -> Waiting:
    """Tell what waits for a person, beside the devices that need one."""
    return Waiting(fleet_needs(tx, now), list_ending(tx, now, EXPIRY_NOTICE))


def _count(tx: Transaction, select: sa.Select[int]) -> int:
    return tx.connection.execute(select).scalar_one()


def _first_id(at: datetime) -> str:
    """Return what sorts before every id that was made from *at* on (`Context.new_id`)."""
    milliseconds = f"{to_microseconds(at) // 1000:012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


def _commands(tx: Transaction, since: datetime, now: datetime) -> tuple[int, int]:
    """Count the commands of others and of the server itself; those that others gave a UUID of theirs count by time."""
    key = commands.c.command_uuid
    recent = sa.and_(key >= _first_id(since).upper(), key < _first_id(now + DAY).upper())
    is_ours = (commands.c.created_by == SERVER.name).label("is_ours")
    select = sa.select(is_ours, sa.func.count()).where(recent, commands.c.created_at >= since).group_by(is_ours)
    found = {bool(row[0]): row[1] for row in tx.connection.execute(select)}
    return found.get(False, 0), found.get(True, 0)


def _renewals(tx: Transaction, since: datetime) -> int:
    latest = tx.connection.execute(sa.select(sa.func.max(identities.c.not_after))).scalar_one()
    if latest is None:
        return 0
    select = sa.select(sa.func.count()).where(
        identities.c.not_after >= latest - _LIFETIMES_DIFFER_BY,
        identities.c.issued_at >= since,
        identities.c.provenance == Provenance.RENEWAL.value,
    )
    return _count(tx, select)


def _steps(tx: Transaction, since: datetime) -> tuple[int, int]:
    """Count the devices that came under control, and that left it, each once however often it did."""
    well = ControlState.IN_CONTROL.value
    of_devices = sa.and_(verdict_changes.c.at >= since, verdict_changes.c.channel_id == verdict_changes.c.device_id)
    devices = sa.func.count(sa.distinct(verdict_changes.c.device_id))
    before = verdict_changes.c.state_before
    back = sa.select(devices).where(of_devices, verdict_changes.c.state == well, before.is_not(None), before != well)
    left = sa.select(devices).where(of_devices, before == well, verdict_changes.c.state != well)
    return _count(tx, back), _count(tx, left)
