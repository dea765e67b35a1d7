"""How the fleet stood when a day ended is told by the steps since, and kept, on both engines."""

from datetime import datetime, timedelta

from tests.support.fleet import add_device, add_user
from tests.support.runner import NOW
from tests.support.verdicts import hold

from muster.domain.control.reasons import Reason
from muster.domain.control.silence_clock import day_of
from muster.domain.control.states import ControlState, Forecast
from muster.operations.views.control import control_history, fleet_control
from muster.storage import control_days
from muster.storage.engine import Engine

TODAY = day_of(NOW)
WELL, SILENT = (ControlState.IN_CONTROL, Reason.NONE), (ControlState.INACTIVE, Reason.SILENT)


def days_ago(number: int) -> datetime:
    return NOW - timedelta(days=number)


def fleet(engine: Engine) -> None:
    """One that is well, one that fell silent yesterday, one that ended; a user, who is no device."""
    for name in ("WELL", "LOST", "OVER"):
        add_device(engine, name)
    user = add_user(engine, "WELL", "ADA", "ada")
    hold(engine, "WELL", *WELL, at=days_ago(5))
    hold(engine, "LOST", *WELL, at=days_ago(5))
    hold(engine, "LOST", *SILENT, at=days_ago(1), forecast=Forecast.WITH_A_PERSON)
    hold(engine, "OVER", ControlState.ENDED, Reason.RELEASED, at=days_ago(3))
    hold(engine, user, ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN, at=days_ago(4))


def test_days_are_told_by_taking_back_the_steps_since(engine: Engine) -> None:
    fleet(engine)

    standings = engine.read(lambda tx: [control_days.standing_at_end_of(tx, TODAY - day) for day in range(7)])

    over = {(ControlState.ENDED, Reason.RELEASED): 1}
    assert standings == [
        {WELL: 1, SILENT: 1, **over},
        {WELL: 1, SILENT: 1, **over},
        {WELL: 2, **over},
        {WELL: 2, **over},
        {WELL: 2},
        {WELL: 2},
        {},
    ]


def test_what_is_kept_stays_as_it_was_and_goes_when_it_is_too_old(engine: Engine) -> None:
    first, old = {WELL: 2, SILENT: 1}, TODAY - control_days.DAYS_KEPT - 1
    engine.write(lambda tx: control_days.keep(tx, {old: first}))
    engine.write(lambda tx: control_days.keep(tx, {TODAY - 1: first}))
    engine.write(lambda tx: control_days.keep(tx, {TODAY - 1: {WELL: 9}, TODAY: {WELL: 3}}))

    assert engine.read(control_days.last_day) == TODAY
    assert engine.read(lambda tx: control_days.read(tx, 0)) == {TODAY - 1: first, TODAY: {WELL: 3}}


def test_the_fleet_is_counted_by_its_verdicts_and_past_days_by_what_was_kept(engine: Engine) -> None:
    fleet(engine)
    engine.write(lambda tx: control_days.keep(tx, {TODAY - 2: {WELL: 7, SILENT: 1}}))

    now = engine.read(lambda tx: fleet_control(tx, NOW))
    past = engine.read(lambda tx: control_history(tx, NOW, 3))
    only_today = engine.read(lambda tx: control_history(tx, NOW, 1))

    assert (now.total, now.in_control, now.needing) == (2, 1, 1)
    assert {state: devices for state, devices in now.states.items() if devices} == {
        "in_control": 1,
        "inactive": 1,
        "ended": 1,
    }
    assert [(row.reason, row.devices, row.needing, dict(row.states)) for row in now.reasons] == [
        ("silent", 1, 1, {"inactive": 1})
    ]
    assert [(day_of(one.day) - TODAY, one.total, one.in_control, dict(one.reasons)) for one in past] == [
        (-2, 8, 7, {"silent": 1}),
        (-1, 2, 1, {"silent": 1}),
        (0, 2, 1, {"silent": 1}),
    ]
    assert only_today == past[-1:]
