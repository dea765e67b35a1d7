"""The fleet under control: how many devices are in which state, why not, and how that was before."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.rules.told import TELLING
from muster.domain.control.saying import FOR_A_PERSON, GRAVITY, WORRIES
from muster.domain.control.silence_clock import day_of, start_of
from muster.domain.control.states import ControlState
from muster.operations.views.fleet import push_certificate_ends
from muster.operations.views.incidents import IncidentRow, list_incidents
from muster.storage import control_days
from muster.storage.control_days import Counts
from muster.storage.engine import Transaction

_NO_WORRIES = frozenset({ControlState.IN_CONTROL, ControlState.DORMANT, ControlState.ENDED})


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """Devices that aren't under control for one reason. *title* says it in a few words, *brings_back* what ends it.

    *states* are the devices by state; *needing*: those that a person alone brings back.
    """

    reason: str
    title: str
    devices: int
    needing: int
    states: Mapping[str, int]
    brings_back: str


@dataclass(frozen=True, slots=True)
class FleetControl:
    """How the fleet stands now. *states* are the devices by state, all eight of them; *reasons* the commonest first.

    *total* are those that didn't end, *needing* those that a person alone brings back. *incidents* are those that last.
    """

    at: datetime
    total: int
    in_control: int
    needing: int
    states: Mapping[str, int]
    reasons: tuple[ReasonRow, ...]
    incidents: tuple[IncidentRow, ...]
    push_certificates: Mapping[str, datetime]
    """When the push certificate of each topic ends."""


@dataclass(frozen=True, slots=True)
class ControlDay:
    """How the fleet stood when a day ended, or stands now on the day that it is. *total*: those that had not ended."""

    day: datetime
    total: int
    in_control: int
    states: Mapping[str, int]
    reasons: Mapping[str, int]
    """Devices that were neither under control nor ended, by reason."""


def fleet_control(tx: Transaction, now: datetime, counts: Counts | None = None) -> FleetControl:
    """Count the fleet by its verdicts. *counts*: as `control_days.counts` said in this transaction, where it did."""
    counts = control_days.counts(tx) if counts is None else counts
    states: Counter[ControlState] = Counter()
    by_reason: dict[Reason, Counter[ControlState]] = {}
    needing: Counter[Reason] = Counter()
    for (state, reason, forecast), devices in counts.items():
        states[state] += devices
        if state in _NO_WORRIES:
            continue
        by_reason.setdefault(reason, Counter())[state] += devices
        if forecast in FOR_A_PERSON:
            needing[reason] += devices
    reasons = [_reason_row(reason, found, needing[reason]) for reason, found in by_reason.items()]
    return FleetControl(
        at=now,
        total=states.total() - states[ControlState.ENDED],
        in_control=states[ControlState.IN_CONTROL],
        needing=needing.total(),
        states={state.value: states[state] for state in GRAVITY},
        reasons=tuple(sorted(reasons, key=lambda row: (-row.devices, row.reason))),
        incidents=list_incidents(tx, only_open=True),
        push_certificates=push_certificate_ends(tx),
    )


def _reason_row(reason: Reason, states: Counter[ControlState], needing: int) -> ReasonRow:
    telling = TELLING.get(reason)
    return ReasonRow(
        reason=reason.value,
        title=REASONS[reason].title,
        devices=states.total(),
        needing=needing,
        states={state.value: states[state] for state in WORRIES if states[state]},
        brings_back="" if telling is None else telling.brings_back,
    )


def control_history(tx: Transaction, now: datetime, days: int, counts: Counts | None = None) -> tuple[ControlDay, ...]:
    """Tell how the fleet stood at the end of each of the last *days* days, the day that it is among them, as it is now.

    In order; days of which nothing is known are left out. *counts* as above.
    """
    counts = control_days.counts(tx) if counts is None else counts
    today = day_of(now)
    kept: dict[int, Mapping[tuple[ControlState, Reason], int]] = {**control_days.read(tx, today - days + 1)}
    yesterday = today - 1
    if days > 1 and yesterday not in kept:  # it ended some minutes ago, or no node was there when it did
        kept[yesterday] = control_days.standing_at_end_of(tx, yesterday, counts)
    present: Counter[tuple[ControlState, Reason]] = Counter()
    for (state, reason, _), devices in counts.items():
        present[state, reason] += devices
    kept[today] = present
    return tuple(_control_day(day, standing) for day, standing in sorted(kept.items()) if standing)


def _control_day(day: int, standing: Mapping[tuple[ControlState, Reason], int]) -> ControlDay:
    states: Counter[ControlState] = Counter()
    reasons: Counter[Reason] = Counter()
    for (state, reason), devices in standing.items():
        states[state] += devices
        if state not in _NO_WORRIES:
            reasons[reason] += devices
    return ControlDay(
        day=start_of(day).astimezone(UTC),
        total=states.total() - states[ControlState.ENDED],
        in_control=states[ControlState.IN_CONTROL],
        states={state.value: states[state] for state in GRAVITY if states[state]},
        reasons={reason.value: devices for reason, devices in reasons.most_common()},
    )
