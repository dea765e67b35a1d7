"""What changed of channels is told once, in order; many at once wait for a person's word."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.site import Site

from muster.domain.control.finding import Verdict, VerdictChange
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.domain.control.telling import NOT_TELLING, SMALLEST_MASS_FLIP, as_heard
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.end_flips import FlipEnded, FlipOrder, end_flips, settle_flips
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.tell_changes import MASS_FLIP_WITHIN, tell_changes
from muster.operations.views.flips import held_flip_words
from muster.protocol.identifiers import ChannelId
from muster.storage import schema, tellings, verdicts
from muster.storage.engine import Transaction
from muster.storage.verdicts import HeldVerdict

CONTROL, RISK, QUIET, INACTIVE, OUT, ENDED, UNKNOWN = (
    ControlState.IN_CONTROL,
    ControlState.AT_RISK,
    ControlState.QUIET,
    ControlState.INACTIVE,
    ControlState.OUT_OF_CONTROL,
    ControlState.ENDED,
    ControlState.UNKNOWN,
)


def verdict(state: ControlState, at: datetime) -> Verdict:
    """A verdict that is nothing but its state."""
    reason = Reason.NONE if state is CONTROL else Reason.SILENT
    since = at - timedelta(minutes=5)
    return Verdict(state, reason, since, "was not heard", Forecast.BY_ITSELF, "wait", ProofLevel.CONTACT, since)


def become(site: Site, states: Mapping[str, ControlState], device_id: str | None = None) -> list[str]:
    """Have channels come to states, as a review has it; returns the ids of the steps.

    They are devices, or users of *device_id*.
    """
    before = site.engine.read(lambda tx: verdicts.read(tx, [ChannelId(one) for one in states]))
    context = site.runner.context()
    changes = []
    for name, state in states.items():
        channel_id = ChannelId(name)
        former = before[channel_id].verdict if channel_id in before else None
        changes.append(
            VerdictChange(
                context.new_id(),
                channel_id,
                ChannelId(device_id or name),
                1,
                site.now,
                former,
                verdict(state, site.now),
            )
        )
    held = [HeldVerdict(one.channel_id, one.after, one.id, site.now, site.now) for one in changes]

    def record(tx: Transaction) -> None:
        verdicts.record(tx, held, before, site.now)
        verdicts.append_changes(tx, changes)
        tell_changes(tx, changes, context)

    site.engine.write(record)
    return [one.id for one in changes]


def subscribe(site: Site) -> None:
    insert = sa.insert(schema.subscriptions).values(id="s", name="s", created_at=site.now)
    site.engine.write(lambda tx: tx.connection.execute(insert))


def add_channels(site: Site, names: list[str]) -> None:
    rows = [
        {"id": one, "device_id": one, "kind": "Device", "state": "enrolled", "epoch": 1, "first_seen_at": site.now}
        for one in names
    ]
    site.engine.write(lambda tx: tx.connection.execute(sa.insert(schema.channels), rows))


def empty(table: sa.Table, tx: Transaction) -> None:
    """Empty a table."""
    tx.connection.execute(sa.delete(table))


def told(site: Site, *columns: str) -> list[Any]:
    """What stands in the outbox, in its order: the parts of the detail that *columns* name, or types."""
    table = schema.outbox.c
    rows = site.rows(sa.select(table.event_type, table.channel_id, table.detail).order_by(table.sequence))
    return [tuple(detail[one] for one in columns) if columns else kind for kind, _, detail in rows]


def events(site: Site) -> list[sa.Row[Any]]:
    """What stands in the outbox, row by row."""
    return site.engine.read(lambda tx: list(tx.connection.execute(sa.select(schema.outbox)).all()))


@pytest.fixture
def heard(site: Site) -> Site:
    """A site that somebody listens to."""
    subscribe(site)
    return site


def test_entering_and_leaving_is_told_with_what_was_before_and_why(heard: Site) -> None:
    become(heard, {"A": CONTROL})
    (step,) = become(heard, {"A": RISK})

    (row,) = events(heard)
    assert (row.event_type, row.channel_id, row.event_id, row.at) == ("control.state_changed", "A", step, heard.now)
    assert row.detail == {
        "device_id": "A",
        "state_before": "in_control",
        "reason_before": "none",
        "state": "at_risk",
        "reason": "silent",
        "since": "2026-11-22T14:26:07Z",
        "noticed_at": "2026-11-22T14:31:07Z",
        "sentence": "was not heard",
        "next_step": "wait",
        "forecast": "by_itself",
        "proof_level": 3,
        "proof_at": "2026-11-22T14:26:07Z",
    }


def test_nobody_is_told_of_what_is_in_control_or_quiet_or_begins_so(heard: Site) -> None:
    for state in (CONTROL, QUIET, CONTROL, UNKNOWN, CONTROL):
        become(heard, {"A": state})

    assert told(heard) == []
    assert heard.rows(sa.select(schema.tellings)) == []


def test_of_a_state_on_both_sides_of_unknown_nothing_is_told(heard: Site) -> None:
    for state in (RISK, UNKNOWN, RISK, UNKNOWN, OUT):
        become(heard, {"A": state})

    assert told(heard, "state_before", "state") == [("in_control", "at_risk"), ("at_risk", "out_of_control")]


def test_events_of_a_channel_stand_in_their_order(heard: Site) -> None:
    steps = [become(heard, {"A": state, "B": state}) for state in (RISK, OUT, CONTROL)]

    table = schema.outbox.c
    stored = heard.rows(sa.select(table.event_id).where(table.channel_id == "A").order_by(table.sequence))
    assert [one for (one,) in stored] == [step[0] for step in steps]


STATES = st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(ControlState)), max_size=12)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(STATES)
def test_whoever_follows_the_events_knows_each_channel_as_it_is(heard: Site, steps: list[tuple[str, Any]]) -> None:
    for table in (schema.outbox, schema.tellings, schema.verdicts, schema.verdict_changes):
        heard.engine.write(partial(empty, table))
    for name, state in steps:
        heard.wait(minutes=1)
        become(heard, {name: state})

    view = dict.fromkeys("AB", "in_control")
    rows = heard.rows(sa.select(schema.outbox.c.channel_id, schema.outbox.c.detail).order_by(schema.outbox.c.sequence))
    for name, detail in rows:
        assert detail["state_before"] == view[name]
        view[name] = as_heard(ControlState(detail["state"])).value
    for name in "AB":
        telling = [state for one, state in steps if one == name and state not in NOT_TELLING]
        assert view[name] == (as_heard(telling[-1]).value if telling else "in_control")


# --- mass flips -------------------------------------------------------------------------------------------------------

MANY = [f"D{number:03}" for number in range(SMALLEST_MASS_FLIP)]
"""With five more they are the whole fleet."""


@pytest.fixture
def flipped(heard: Site) -> Site:
    """A fleet of 25 of which 20 fell silent at once."""
    add_channels(heard, MANY)
    become(heard, dict.fromkeys([*MANY, "a", "b", "c", "d", "e"], CONTROL))
    heard.wait(days=8)
    become(heard, dict.fromkeys(MANY, OUT))
    return heard


def settle(site: Site) -> int:
    told_of = 0
    while (part := site.do(settle_flips, None)[0]).left:
        told_of += part.told
    return told_of


def test_many_at_once_are_held_and_that_is_told_at_once(flipped: Site) -> None:
    assert told(flipped) == ["control.mass_flip_held"]
    assert told(flipped, "count", "fleet", "share_percent") == [(20, 25, 10)]
    words = flipped.engine.read(held_flip_words)
    assert words is not None
    assert words.startswith("20 of 25 enrollments came out of control at once, from 30 November at 14:31 UTC on")


def test_what_falls_while_a_flip_is_held_waits_with_it_and_what_is_no_fall_is_told(flipped: Site) -> None:
    flipped.wait(hours=9)
    become(flipped, {"a": INACTIVE, "b": RISK, "c": ENDED})

    assert told(flipped) == ["control.mass_flip_held", "control.state_changed", "control.state_changed"]
    (flip,) = flipped.engine.read(tellings.flips)
    assert flip.left == 21


def test_released_are_told_as_they_are_then_and_those_that_came_back_are_not_told_of(flipped: Site) -> None:
    become(flipped, {MANY[0]: CONTROL, MANY[1]: UNKNOWN, MANY[2]: RISK, MANY[3]: INACTIVE})
    ended = flipped.do(end_flips, FlipOrder(is_released=True))[0]

    assert settle(flipped) == 17
    assert isinstance(ended, FlipEnded)
    assert ended.waiting == 18  # one came back, one of another state was told at once
    changes = [one for one in events(flipped) if one.event_type == "control.state_changed"]
    states = {one.channel_id: one.detail["state"] for one in changes}
    assert MANY[0] not in states
    assert MANY[1] not in states
    assert (states[MANY[2]], states[MANY[3]], states[MANY[4]]) == ("at_risk", "inactive", "out_of_control")
    assert flipped.engine.read(held_flip_words) is None


def test_release_does_not_hold_itself_nor_what_follows_it(flipped: Site) -> None:
    flipped.do(end_flips, FlipOrder(is_released=True))
    settle(flipped)
    become(flipped, {"a": OUT})

    assert told(flipped)[-1] == "control.state_changed"
    assert len(flipped.engine.read(tellings.flips)) == 1


def test_dropped_are_never_told_while_they_stay_and_told_again_when_they_fall_anew(flipped: Site) -> None:
    flipped.do(end_flips, FlipOrder(is_released=False))
    assert settle(flipped) == 0
    become(flipped, {MANY[0]: UNKNOWN})
    become(flipped, {MANY[0]: OUT, MANY[1]: CONTROL})
    assert "control.state_changed" not in told(flipped)

    become(flipped, {MANY[1]: OUT})

    assert told(flipped)[-1] == "control.state_changed"


def test_decision_is_in_the_audit_log_and_there_is_none_where_nothing_waits(flipped: Site) -> None:
    flipped.do(end_flips, FlipOrder(is_released=False))
    refused = flipped.do(end_flips, FlipOrder(is_released=True))[0]

    acts = flipped.rows(sa.select(schema.audit.c.act, schema.audit.c.actor_name))
    assert acts == [("flip.drop", "ana")]
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_FOUND


def test_those_told_within_the_hour_are_counted_in_and_earlier_ones_are_not(heard: Site) -> None:
    become(heard, dict.fromkeys(MANY, CONTROL))
    become(heard, dict.fromkeys(MANY[:10], OUT))
    heard.runner.time += MASS_FLIP_WITHIN
    become(heard, dict.fromkeys(MANY[10:15], OUT))
    heard.wait(minutes=59)
    become(heard, dict.fromkeys(MANY[15:], OUT))
    assert told(heard).count("control.mass_flip_held") == 0

    become(heard, dict.fromkeys(MANY[:10], CONTROL))
    become(heard, dict.fromkeys(MANY[:10], OUT))

    assert told(heard).count("control.mass_flip_held") == 1


def test_share_is_a_policy(heard: Site) -> None:
    heard.do(set_policies, PolicyOrder("mass_flip_share", "100"))
    become(heard, dict.fromkeys(MANY, OUT))

    assert told(heard) == ["control.state_changed"] * 20
