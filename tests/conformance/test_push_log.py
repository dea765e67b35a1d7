"""The log of pushes keeps every outcome as it was, on both engines, and for a quarter of a year."""

from dataclasses import replace
from datetime import datetime

import pytest
from tests.conformance.fleet import after
from tests.support.instants import NOON

from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import PushReason
from muster.protocol.apns import OutcomeClass, PushOutcome
from muster.protocol.identifiers import ChannelId
from muster.storage import pushes
from muster.storage.engine import Engine
from muster.storage.hot_pushes import RecordedPush

A, B = ChannelId("A"), ChannelId("B")
LONG_AGO = after(days=-400)
ACCEPTED = RecordedPush(
    A,
    NOON,
    "one",
    "com.apple.mgmt.External.1",
    PushReason.COMMAND_QUEUED,
    PushOutcome(OutcomeClass.ACCEPTED, 200, apns_id="one"),
    latency_ms=120,
    attempts=1,
    consequence=Consequence.PUSHED,
)
REFUSED = ACCEPTED._replace(
    at=after(hours=1),
    apns_id="two",
    outcome=PushOutcome(OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered", after(days=-1), "two"),
    attempts=4,
    consequence=Consequence.STOPPED,
)


def append(engine: Engine, *recorded: RecordedPush) -> None:
    engine.write(lambda tx: pushes.append(tx, recorded))


def log_of(
    engine: Engine, channel_id: ChannelId = A, since: datetime = LONG_AGO, limit: int = 100
) -> tuple[RecordedPush, ...]:
    return engine.read(lambda tx: pushes.of_channel(tx, channel_id, since=since, limit=limit))


def test_outcomes_are_read_as_they_were_recorded_the_newest_first(engine: Engine) -> None:
    append(engine)
    append(engine, ACCEPTED, ACCEPTED._replace(channel_id=B), REFUSED)

    assert log_of(engine) == (REFUSED, ACCEPTED)
    assert log_of(engine, since=after(minutes=1)) == log_of(engine, limit=1) == (REFUSED,)


def test_two_outcomes_of_one_channel_and_moment_are_both_kept(engine: Engine) -> None:
    append(engine, ACCEPTED, ACCEPTED._replace(apns_id="other", outcome=replace(ACCEPTED.outcome, apns_id="other")))

    assert {one.apns_id for one in log_of(engine)} == {"one", "other"}


@pytest.mark.parametrize("has_partition", [True, False])
def test_outcomes_that_are_too_old_are_forgotten_and_no_others(engine: Engine, has_partition: bool) -> None:
    old, recent = NOON - 3 * pushes.KEPT_FOR, NOON - pushes.KEPT_FOR / 2
    for at in (old, recent) if has_partition else ():
        engine.write(lambda tx, at=at: tx.ensure_partitions(at))  # type: ignore[misc]
    append(engine, ACCEPTED._replace(at=old), ACCEPTED._replace(at=recent), ACCEPTED)

    while engine.write(lambda tx: pushes.forget(tx, NOON)):
        pass

    assert [one.at for one in log_of(engine)] == [NOON, recent]


def test_what_is_not_too_old_yet_is_kept_to_the_microsecond(engine: Engine) -> None:
    append(engine, ACCEPTED._replace(at=NOON - pushes.KEPT_FOR))

    assert not engine.write(lambda tx: pushes.forget(tx, NOON))
    assert len(log_of(engine)) == 1


def test_much_is_forgotten_a_bounded_part_at_a_time(engine: Engine) -> None:
    old = [ACCEPTED._replace(at=after(days=-100, seconds=number), apns_id=str(number)) for number in range(5)]
    append(engine, *old, ACCEPTED)

    parts = [engine.write(lambda tx: tx.forget_pushes(after(days=-90), 2)) for _ in range(3)]

    assert parts == [True, True, False]
    assert [one.at for one in log_of(engine)] == [NOON]
