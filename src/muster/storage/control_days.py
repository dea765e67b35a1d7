"""How many devices are in which state and why: now, and as it was when each day ended."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

import sqlalchemy as sa

from muster.domain.control.reasons import Reason
from muster.domain.control.silence_clock import start_of
from muster.domain.control.states import ControlState, Forecast
from muster.storage.engine import Transaction
from muster.storage.schema import fleet_control_days, verdict_changes, verdicts

DAYS_KEPT: Final = 800
"""Two years and a bit: this November beside the last one."""

Standing: TypeAlias = Mapping[tuple[ControlState, Reason], int]
"""How many devices are in a state for a reason."""

Counts: TypeAlias = Mapping[tuple[ControlState, Reason, Forecast], int]
"""As `Standing`, and by what is expected of them."""

_IS_DEVICE = verdicts.c.channel_id.not_like("%:%")
"""By the id, so that the index alone is read: of a device's own channel it has no colon."""
_COUNTS = (
    sa.select(verdicts.c.state, verdicts.c.reason, verdicts.c.forecast, sa.func.count().label("devices"))
    .where(_IS_DEVICE)
    .group_by(verdicts.c.state, verdicts.c.reason, verdicts.c.forecast)
)
_STEP = (
    verdict_changes.c.state_before,
    verdict_changes.c.reason_before,
    verdict_changes.c.state,
    verdict_changes.c.reason,
)
_STEPS_SINCE = (
    sa.select(*_STEP, sa.func.count().label("devices"))
    .where(verdict_changes.c.at >= sa.bindparam("since"), verdict_changes.c.channel_id == verdict_changes.c.device_id)
    .group_by(*_STEP)
)


def counts(tx: Transaction) -> dict[tuple[ControlState, Reason, Forecast], int]:
    """Count the devices that were judged, by what is held of them now."""
    return {
        (ControlState(row.state), Reason(row.reason), Forecast(row.forecast)): row.devices
        for row in tx.connection.execute(_COUNTS)
    }


def standing_at_end_of(tx: Transaction, day: int, present: Counts | None = None) -> Standing:
    """Tell how it stood when *day* ended: as it stands now, and every step since then taken back.

    *present*: as `counts` said in this transaction, where it did.
    """
    standing: Counter[tuple[ControlState, Reason]] = Counter()
    for (state, reason, _), devices in (counts(tx) if present is None else present).items():
        standing[state, reason] += devices
    for step in tx.connection.execute(_STEPS_SINCE, {"since": start_of(day + 1)}):
        standing[ControlState(step.state), Reason(step.reason)] -= step.devices
        if step.state_before is not None:
            standing[ControlState(step.state_before), Reason(step.reason_before)] += step.devices
    return {key: devices for key, devices in standing.items() if devices > 0}


def last_day(tx: Transaction) -> int | None:
    """Tell which day was kept last; None when none was."""
    day: int | None = tx.connection.scalar(sa.select(sa.func.max(fleet_control_days.c.day)))
    return day


def keep(tx: Transaction, days: Mapping[int, Standing]) -> None:
    """Keep how it stood when *days* ended; what another node has kept stays as it is, and what is too old goes."""
    rows = [
        {"day": day, "state": state.value, "reason": reason.value, "devices": devices}
        for day, standing in days.items()
        for (state, reason), devices in standing.items()
    ]
    if rows:
        tx.connection.execute(tx.insert(fleet_control_days).on_conflict_do_nothing(), rows)
    if days:
        tx.connection.execute(sa.delete(fleet_control_days).where(fleet_control_days.c.day < max(days) - DAYS_KEPT))


def read(tx: Transaction, since: int) -> dict[int, dict[tuple[ControlState, Reason], int]]:
    """Read how it stood when each day from *since* on ended, in order; days of which nothing is known are absent."""
    rows = tx.connection.execute(
        sa.select(fleet_control_days).where(fleet_control_days.c.day >= since).order_by(fleet_control_days.c.day)
    )
    days: dict[int, dict[tuple[ControlState, Reason], int]] = {}
    for row in rows:
        days.setdefault(row.day, {})[ControlState(row.state), Reason(row.reason)] = row.devices
    return days
