"""Push targets and wishes mean the same on both engines; of two claims and outcomes, the later counts."""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from tests.conformance.fleet import after, enroll, rows
from tests.support.instants import NOON

from muster.domain.push_policy import PushReason
from muster.protocol.identifiers import ChannelId
from muster.storage import push
from muster.storage.engine import Engine, Transaction
from muster.storage.push import DueWish
from muster.storage.schema import push_targets, push_wishes

A, B = ChannelId("A"), ChannelId("B")
TOPIC = "com.apple.mgmt.External.1"


def wish(
    engine: Engine,
    *names: str,
    reason: PushReason = PushReason.COMMAND_QUEUED,
    at: datetime = NOON,
    due_at: datetime = NOON,
) -> None:
    engine.write(lambda tx: push.wish(tx, [ChannelId(name) for name in names], reason=reason, at=at, due_at=due_at))


def due(engine: Engine, now: datetime = NOON, limit: int = 200) -> tuple[DueWish, ...]:
    return engine.write(lambda tx: push.claim_due(tx, now, limit))


def target(engine: Engine, token: bytes = b"token", *, magic: str = "magic", at: datetime = NOON) -> bool:
    return engine.write(lambda tx: push.set_target(tx, A, topic=TOPIC, token=token, push_magic=magic, at=at))


# --- targets ----------------------------------------------------------------------------------------------------------


def test_target_tells_whether_anything_is_new(engine: Engine) -> None:
    enroll(engine, "A")

    assert target(engine)
    assert not target(engine, at=after(hours=1))
    assert target(engine, b"rotated")
    assert target(engine, b"rotated", magic="other")
    (row,) = rows(engine, sa.select(push_targets.c.token, push_targets.c.push_magic, push_targets.c.updated_at))
    assert tuple(row) == (b"rotated", "other", NOON)


def record(engine: Engine, token: bytes, outcome: str, *, is_for_good: bool = False) -> bool:
    return engine.write(
        lambda tx: push.record_outcome(
            tx, A, token=token, outcome=outcome, reason="Why", at=after(hours=1), is_for_good=is_for_good
        )
    )


def test_outcome_is_kept_with_its_target_and_a_final_one_stops_pushing(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)

    assert record(engine, b"token", "accepted")
    (row,) = rows(engine, sa.select(push_targets))
    assert (row.last_outcome, row.last_reason, row.last_outcome_at) == ("accepted", "Why", after(hours=1))
    assert (row.last_push_at, row.refused_at) == (after(hours=1), None)

    assert record(engine, b"token", "token_unregistered", is_for_good=True)
    assert rows(engine, sa.select(push_targets.c.refused_at))[0].refused_at == after(hours=1)


def test_outcome_for_a_token_that_was_replaced_changes_nothing(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    target(engine, b"rotated")

    assert not record(engine, b"token", "token_unregistered", is_for_good=True)
    assert rows(engine, sa.select(push_targets.c.last_outcome))[0].last_outcome is None


def test_refused_target_is_tried_again_after_its_next_token_update(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    record(engine, b"token", "token_unregistered", is_for_good=True)

    assert not target(engine)
    assert rows(engine, sa.select(push_targets.c.refused_at))[0].refused_at is None


# --- wishes -----------------------------------------------------------------------------------------------------------


def test_wish_is_due_with_all_that_deciding_needs(engine: Engine) -> None:
    enroll(engine, "A", "B")
    target(engine)
    wish(engine, "A", "B", at=after(minutes=-1))

    first, second = due(engine)

    expected = DueWish(
        A,
        PushReason.COMMAND_QUEUED,
        wanted_at=after(minutes=-1),
        attempts=0,
        fence=0,
        topic=TOPIC,
        token=b"token",
        push_magic="magic",
        refused_at=None,
        state="enrolled",
        last_contact_at=None,
    )
    assert first == expected
    assert second == replace(expected, channel_id=B, topic=None, token=None, push_magic=None)


def test_many_wishes_of_one_channel_are_one_and_the_earliest_due_time_counts(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A", "A", due_at=after(seconds=5))
    wish(engine, "A", due_at=after(seconds=1), at=after(seconds=1), reason=PushReason.ASKED_FOR)
    wish(engine, "A", due_at=after(seconds=9), at=after(seconds=2), reason=PushReason.ENROLLED)

    assert engine.read(push.next_due) == after(seconds=1)
    (only,) = due(engine, after(seconds=1))
    assert (only.reason, only.wanted_at, only.attempts) == (PushReason.ENROLLED, after(seconds=2), 0)


def test_wish_that_is_not_due_yet_is_left_alone(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A", due_at=after(microseconds=1))

    assert due(engine) == ()
    assert len(due(engine, after(microseconds=1))) == 1


def test_the_longest_due_are_claimed_first(engine: Engine) -> None:
    enroll(engine, "A", "B", "C")
    for number, name in enumerate(("C", "A", "B")):
        wish(engine, name, due_at=after(seconds=number))

    assert [wanted.channel_id for wanted in due(engine, after(hours=1), limit=2)] == ["C", "A"]


def test_wishes_of_a_whole_fleet_are_made_at_once(engine: Engine) -> None:
    names = [f"{number:05}" for number in range(1500)]
    enroll(engine, *names)

    wish(engine)
    wish(engine, *names)

    assert len(due(engine, limit=2000)) == 1500
    engine.write(lambda tx: push.drop_wishes(tx, [ChannelId(name) for name in names]))
    assert engine.read(push.next_due) is None


def claim(engine: Engine, now: datetime, lease_until: datetime) -> int:
    def work(tx: Transaction) -> int:
        (wanted,) = push.claim_due(tx, now, 1)
        return push.claim_attempt(tx, wanted.channel_id, lease_until=lease_until)

    return engine.write(work)


def settle(engine: Engine, fence: int, due_at: datetime) -> bool:
    return engine.write(lambda tx: push.settle(tx, A, fence=fence, due_at=due_at))


def test_claimed_attempt_is_counted_and_leased(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")

    fence = claim(engine, NOON, after(minutes=2))

    assert due(engine, after(minutes=1)) == ()
    (again,) = due(engine, after(minutes=2))
    assert (again.attempts, again.fence) == (1, fence)


def test_settled_attempt_says_when_to_look_again(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))

    assert settle(engine, fence, after(hours=1))

    assert engine.read(push.next_due) == after(hours=1)


def test_outcome_of_an_attempt_whose_lease_ran_out_changes_nothing(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    lost = claim(engine, NOON, after(minutes=2))
    later = claim(engine, after(minutes=2), after(minutes=4))

    assert not settle(engine, lost, after(days=7))
    assert engine.read(push.next_due) == after(minutes=4)
    assert settle(engine, later, after(hours=1))


def test_wish_made_while_a_push_is_on_its_way_is_not_put_off_by_its_outcome(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))
    wish(engine, "A", at=after(seconds=1), due_at=after(seconds=2))

    assert not settle(engine, fence, after(days=7))

    (again,) = due(engine, after(seconds=2))
    assert (again.attempts, again.wanted_at) == (0, after(seconds=1))


def test_outcome_of_a_wish_that_was_dropped_changes_nothing(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))
    engine.write(lambda tx: push.drop_wishes(tx, [A, B]))

    assert not settle(engine, fence, NOON)
    assert rows(engine, sa.select(push_wishes)) == []


def test_postponed_wish_counts_no_attempt(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")

    engine.write(lambda tx: push.postpone(tx, A, after(minutes=5)))

    (wanted,) = due(engine, after(minutes=5))
    assert (wanted.attempts, wanted.fence) == (0, 0)


def test_wish_that_is_there_is_not_changed_by_wishing_only_where_there_is_none(engine: Engine) -> None:
    enroll(engine, "A", "B")
    wish(engine, "A", due_at=after(hours=1))

    for channel_id in (A, B):
        engine.write(
            lambda tx, name=channel_id: push.wish_if_none(tx, name, reason=PushReason.COMMAND_WAITING, at=NOON)  # type: ignore[misc]
        )

    assert [(w.channel_id, w.reason) for w in due(engine)] == [("B", PushReason.COMMAND_WAITING)]
    assert [w.reason for w in due(engine, after(hours=1))] == [PushReason.COMMAND_WAITING, PushReason.COMMAND_QUEUED]
