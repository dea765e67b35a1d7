"""Push targets and wishes mean the same on both engines; of two claims and outcomes, the later counts."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import TOUCH, after, apply, enroll, locked, query, queue, rows
from tests.support.instants import NOON

from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.push_policy import NoPush, PushReason, TargetState
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import enrollments, push
from muster.storage.engine import IDS_PER_STATEMENT, Engine, Transaction
from muster.storage.hot import AppliedConnect
from muster.storage.hot_pushes import DueWish, PushAddress, PutOff, SettledPush
from muster.storage.schema import channels, push_targets, push_wishes
from muster.storage.types import to_microseconds

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


def target(
    engine: Engine, token: bytes = b"token", *, magic: str = "magic", at: datetime = NOON, of: str = "A"
) -> bool:
    channel_id = ChannelId(of)
    return engine.write(lambda tx: push.set_target(tx, channel_id, topic=TOPIC, token=token, push_magic=magic, at=at))


# --- targets ----------------------------------------------------------------------------------------------------------


def test_target_tells_whether_anything_is_new(engine: Engine) -> None:
    enroll(engine, "A")

    assert target(engine)
    assert not target(engine, at=after(hours=1))
    assert target(engine, b"rotated")
    assert target(engine, b"rotated", magic="other")
    (row,) = rows(engine, sa.select(push_targets.c.token, push_targets.c.push_magic, push_targets.c.updated_at))
    assert tuple(row) == (b"rotated", "other", NOON)


SETTLED = SettledPush(
    A,
    fence=1,
    token=b"token",
    token_updated_at=NOON,
    outcome=OutcomeClass.ACCEPTED,
    reason="Why",
    due_at=after(hours=2),
    failures=0,
    taken_back=False,
    target=TargetState(NOON, accepted_at=after(hours=1), unanswered=1, budget_until=after(hours=1, minutes=1)),
)
REFUSED = SETTLED._replace(
    outcome=OutcomeClass.TOKEN_UNREGISTERED,
    due_at=None,
    target=TargetState(NOON, refused_at=after(hours=1), refusals=1),
)


def settle(engine: Engine, *settled: SettledPush) -> None:
    engine.write(lambda tx: push.settle(tx, settled, after(hours=1)))


def state(engine: Engine) -> TargetState:
    (row,) = rows(engine, sa.select(push_targets))
    return push.target_state(row)


def test_outcome_is_kept_with_its_target_and_a_final_one_stops_pushing(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)

    settle(engine, SETTLED)
    (row,) = rows(engine, sa.select(push_targets))
    assert (row.last_outcome, row.last_reason, row.last_outcome_at) == ("accepted", "Why", after(hours=1))
    assert push.target_state(row) == SETTLED.target

    settle(engine, REFUSED)
    assert state(engine) == REFUSED.target


@pytest.mark.parametrize("other", [{"token": b"former"}, {"token_updated_at": after(minutes=-1)}])
def test_outcome_for_a_token_that_was_replaced_or_confirmed_meanwhile_changes_nothing(
    engine: Engine, other: dict[str, Any]
) -> None:
    enroll(engine, "A")
    target(engine)

    settle(engine, REFUSED._replace(**other))

    (row,) = rows(engine, sa.select(push_targets.c.last_outcome, push_targets.c.refused_at))
    assert tuple(row) == (None, None)


def test_refused_target_is_tried_again_after_its_next_token_update(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    settle(engine, REFUSED)

    assert not target(engine, at=after(hours=2))
    assert state(engine) == TargetState(after(hours=2), token_since=NOON)
    assert target(engine, token=b"another", at=after(hours=3))
    assert state(engine) == TargetState(after(hours=3))


@pytest.mark.parametrize(("since", "is_forgotten"), [(None, True), (after(hours=1), True), (after(hours=2), False)])
def test_refusals_of_a_topic_are_forgotten_from_a_moment_on(
    engine: Engine, since: datetime | None, is_forgotten: bool
) -> None:
    enroll(engine, "A")
    target(engine)
    settle(engine, REFUSED)

    def forget(topic: str, *outcomes: OutcomeClass) -> tuple[ChannelId, ...]:
        return engine.write(lambda tx: push.forget_refusals(tx, topic, outcomes, since=since))

    assert forget("another", OutcomeClass.TOKEN_UNREGISTERED) == forget(TOPIC, OutcomeClass.TOKEN_BAD) == ()
    assert forget(TOPIC, OutcomeClass.TOKEN_BAD, OutcomeClass.TOKEN_UNREGISTERED) == ((A,) if is_forgotten else ())
    assert (state(engine).refused_at is None) == is_forgotten


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
        failures=0,
        fence=to_microseconds(after(minutes=-1)),
        address=PushAddress(TOPIC, b"token", "magic"),
        target=TargetState(NOON),
        state=EnrollmentState.ENROLLED,
        last_contact_at=None,
        commands_waiting=0,
        declined=0,
    )
    assert first == expected
    assert second == expected._replace(channel_id=B, address=None, target=None)


def test_due_wish_tells_what_may_be_handed_out_and_what_of_it_was_declined(engine: Engine) -> None:
    enroll(engine, "A", "B")
    for uuid in ("one", "two", "three"):
        queue(engine, "A", uuid)
    queue(engine, "B", "four")
    entries = {uuid: locked(engine, query("A", uuid))["A"].answered for uuid in ("two", "three")}
    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, not_now=CommandUUID("two"), handed_out=entries["two"]))
    once_only = AppliedConnect(A, TOUCH, is_proof=False, handed_out=entries["three"], withhold_after=True)
    apply(engine, once_only, at=after(minutes=1))
    wish(engine, "A", "B")

    found = {one.channel_id: one for one in due(engine)}

    assert (found[A].commands_waiting, found[A].declined, found[A].last_contact_at) == (2, 1, after(minutes=1))
    assert (found[B].commands_waiting, found[B].declined, found[B].last_contact_at) == (1, 0, None)


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
    names = [f"{number:05}" for number in range(IDS_PER_STATEMENT + 1)]
    enroll(engine, *names)

    wish(engine)
    wish(engine, *names)

    assert len(due(engine, limit=2000)) == len(names)
    engine.write(lambda tx: push.drop_wishes(tx, [ChannelId(name) for name in names]))
    assert engine.read(push.next_due) is None


def claim(engine: Engine, now: datetime, lease_until: datetime, *, of: str = "A") -> int:
    """Claim a wish that is due, and return the fence that its outcome has to name."""

    def work(tx: Transaction) -> int:
        (wanted,) = (one for one in push.claim_due(tx, now, 9) if one.channel_id == of)
        push.claim_attempts(tx, [wanted.channel_id], lease_until=lease_until)
        return wanted.fence + 1

    return engine.write(work)


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

    settle(engine, SETTLED._replace(fence=fence, due_at=after(hours=1), failures=3))

    (again,) = due(engine, after(hours=1))
    assert (again.attempts, again.failures) == (1, 3)


def test_settled_attempt_that_was_none_is_taken_back(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))

    settle(engine, SETTLED._replace(fence=fence, taken_back=True))

    assert due(engine, after(hours=2))[0].attempts == 0


def test_settled_attempt_for_good_drops_the_wish(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))

    settle(engine, REFUSED._replace(fence=fence + 1))
    assert engine.read(push.next_due) == after(minutes=2)
    settle(engine, REFUSED._replace(fence=fence))

    assert engine.read(push.next_due) is None


def test_outcome_of_an_attempt_whose_lease_ran_out_changes_nothing(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    lost = claim(engine, NOON, after(minutes=2))
    later = claim(engine, after(minutes=2), after(minutes=4))

    settle(engine, SETTLED._replace(fence=lost, due_at=after(days=7)))
    assert engine.read(push.next_due) == after(minutes=4)
    settle(engine, SETTLED._replace(fence=later, due_at=after(hours=1)))

    assert engine.read(push.next_due) == after(hours=1)


@pytest.mark.parametrize("arrive_in_order", [True, False])
def test_of_two_outcomes_that_are_settled_together_the_later_claims_counts(
    engine: Engine, arrive_in_order: bool
) -> None:
    enroll(engine, "A", "B")
    target(engine)
    target(engine, of="B")
    wish(engine, "A", "B")
    earlier = REFUSED._replace(fence=claim(engine, NOON, after(minutes=2), of="A"))
    later = SETTLED._replace(fence=claim(engine, after(minutes=2), after(minutes=4), of="A"))
    other = SETTLED._replace(channel_id=B, fence=claim(engine, NOON, after(minutes=2), of="B"))

    settle(engine, *(earlier, later, other) if arrive_in_order else (other, later, earlier))

    assert [one.channel_id for one in due(engine, after(hours=2))] == [A, B]
    assert {push.target_state(row) for row in rows(engine, sa.select(push_targets))} == {SETTLED.target}


def test_outcomes_for_a_token_and_for_the_one_before_it_are_told_apart(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)

    settle(
        engine, SETTLED, REFUSED._replace(fence=2, token=b"former"), REFUSED._replace(token_updated_at=after(days=-1))
    )

    assert state(engine) == SETTLED.target


def test_wish_made_while_a_push_is_on_its_way_is_not_put_off_by_its_outcome(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))
    wish(engine, "A", at=after(seconds=1), due_at=after(seconds=2))

    settle(engine, SETTLED._replace(fence=fence, due_at=after(days=7)))

    (again,) = due(engine, after(seconds=2))
    assert (again.attempts, again.wanted_at) == (0, after(seconds=1))


def test_outcome_of_a_wish_that_was_dropped_changes_nothing(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=2))
    engine.write(lambda tx: push.drop_wishes(tx, [A, B]))

    settle(engine, SETTLED._replace(fence=fence, due_at=NOON))

    assert rows(engine, sa.select(push_wishes)) == []


def test_outcome_of_a_wish_that_was_dropped_says_nothing_of_the_next_one(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")
    former = claim(engine, NOON, after(minutes=5))
    engine.write(lambda tx: push.drop_wishes(tx, [A]))
    wish(engine, "A", at=after(seconds=1), due_at=after(seconds=1))
    claim(engine, after(seconds=1), after(minutes=6))

    settle(engine, REFUSED._replace(fence=former))

    assert engine.read(push.next_due) == after(minutes=6)


def put_off(engine: Engine, until: datetime, held_because: NoPush | None, *names: ChannelId) -> None:
    engine.write(lambda tx: push.put_off(tx, [PutOff(name, until, held_because) for name in names]))


def test_wish_that_is_put_off_counts_no_attempt(engine: Engine) -> None:
    enroll(engine, "A")
    wish(engine, "A")

    put_off(engine, after(minutes=5), None, A)

    assert due(engine, after(minutes=4)) == ()
    (wanted,) = due(engine, after(minutes=5))
    assert (wanted.attempts, wanted.fence) == (0, to_microseconds(NOON))


def test_held_wishes_of_a_topic_are_released_at_a_pace_and_no_others(engine: Engine) -> None:
    enroll(engine, "A", "B", "C")
    target(engine)
    wish(engine, "A", "B", "C")
    put_off(engine, after(hours=1), NoPush.BREAKER_OPEN, A, B)
    put_off(engine, after(hours=1), None, ChannelId("C"))

    assert engine.write(lambda tx: push.release_held(tx, "another", NOON)) == 0
    assert engine.write(lambda tx: push.release_held(tx, TOPIC, NOON)) == 1  # B has no target, C is not held

    assert [one.channel_id for one in due(engine)] == [A]
    assert engine.write(lambda tx: push.release_held(tx, TOPIC, NOON)) == 0


def test_held_wishes_are_candidates_for_a_probe_though_not_due(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    wish(engine, "A")
    put_off(engine, after(hours=1), NoPush.BREAKER_OPEN, A)

    assert [one.channel_id for one in engine.write(lambda tx: push.claim_held(tx, TOPIC, 5))] == [A]
    assert engine.write(lambda tx: push.claim_held(tx, "another", 5)) == ()


def test_everybody_of_a_topic_is_wished_for_who_is_enrolled_and_has_no_wish(engine: Engine) -> None:
    enroll(engine, "A", "B", "C")
    for name in "ABC":
        target(engine, of=name)
    wish(engine, "A", due_at=after(hours=1))
    engine.write(lambda tx: enrollments.set_ended(tx, [ChannelId("C")], at=NOON, reason=EndReason.CHECKED_OUT))

    made = engine.write(lambda tx: push.wish_for_topic(tx, TOPIC, reason=PushReason.PUSHES_WORK_AGAIN, at=NOON))

    assert made == 1
    found = {one.channel_id: one.reason for one in due(engine, after(hours=1))}
    assert found == {A: PushReason.COMMAND_QUEUED, B: PushReason.PUSHES_WORK_AGAIN}


def test_who_did_not_answer_is_wished_for_again_whatever_was_wished(engine: Engine) -> None:
    names = ("silent", "answered", "refused", "never pushed", "ended", "just pushed")
    enroll(engine, *names)
    for name in names:
        target(engine, of=name)
    pushed_at, heard_at = after(hours=1), after(hours=2)

    def have(tx: Transaction) -> None:
        pushed = sa.update(push_targets).where(push_targets.c.channel_id != "never pushed")
        tx.connection.execute(pushed.values(accepted_at=pushed_at, unanswered=1))
        of = push_targets.c.channel_id
        tx.connection.execute(sa.update(push_targets).where(of == "refused").values(refused_at=pushed_at))
        tx.connection.execute(sa.update(push_targets).where(of == "just pushed").values(accepted_at=after(hours=9)))
        tx.connection.execute(sa.update(channels).values(last_contact_at=NOON))
        tx.connection.execute(sa.update(channels).where(channels.c.id == "answered").values(last_contact_at=heard_at))
        enrollments.set_ended(tx, [ChannelId("ended")], at=NOON, reason=EndReason.CHECKED_OUT)

    engine.write(have)
    wish(engine, "silent", reason=PushReason.SILENT, due_at=after(days=7))
    again = after(hours=9, minutes=10)

    made = engine.write(lambda tx: push.wish_unanswered(tx, reason=PushReason.REACHABLE_AGAIN, at=again))

    assert made == 2
    at_once = due(engine, again + timedelta(seconds=1))
    assert [(one.channel_id, one.reason, one.attempts) for one in at_once] == [("silent", "reachable_again", 0)]
    assert {one.channel_id for one in due(engine, after(hours=10))} == {"silent", "just pushed"}


def test_wish_that_is_there_is_not_changed_by_wishing_only_where_there_is_none(engine: Engine) -> None:
    enroll(engine, "A", "B")
    wish(engine, "A", due_at=after(hours=1))

    for channel_id in (A, B):
        engine.write(
            lambda tx, name=channel_id: push.wish_if_none(tx, {name: PushReason.COMMAND_WAITING}, at=NOON)  # type: ignore[misc]
        )

    assert [(w.channel_id, w.reason) for w in due(engine)] == [("B", PushReason.COMMAND_WAITING)]
    assert [w.reason for w in due(engine, after(hours=1))] == [PushReason.COMMAND_WAITING, PushReason.COMMAND_QUEUED]


def test_wishes_that_wait_long_are_hastened_and_no_others(engine: Engine) -> None:
    enroll(engine, "A", "B", "C")
    wish(engine, "A", due_at=after(days=7))
    wish(engine, "B", due_at=after(hours=1))

    engine.write(lambda tx: push.hasten(tx, [A, B, ChannelId("C")], at=NOON, by=timedelta(hours=1)))

    assert [one.channel_id for one in due(engine)] == [A]
    assert [one.channel_id for one in due(engine, after(hours=1))] == [A, B]


def test_wish_that_was_claimed_meanwhile_is_not_released(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    wish(engine, "A")
    put_off(engine, NOON, NoPush.BREAKER_OPEN, A)
    claim(engine, NOON, after(minutes=5))

    assert engine.write(lambda tx: push.release_held(tx, TOPIC, NOON)) == 0
    assert engine.read(push.next_due) == after(minutes=5)


def test_wish_whose_push_failed_with_all_of_its_topic_is_held(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    wish(engine, "A")
    fence = claim(engine, NOON, after(minutes=5))
    held = SETTLED._replace(fence=fence, taken_back=True, held_because=NoPush.BREAKER_OPEN)

    settle(engine, held)

    assert engine.write(lambda tx: push.release_held(tx, TOPIC, NOON)) == 1
    (released,) = due(engine)
    assert (released.attempts, released.fence) == (0, fence)


def test_new_token_has_no_push_stored_and_the_same_one_keeps_it(engine: Engine) -> None:
    enroll(engine, "A")
    target(engine)
    settle(engine, SETTLED)

    target(engine, at=after(hours=2))
    kept = state(engine)
    target(engine, b"another", at=after(hours=3))

    assert (kept.accepted_at, kept.unanswered) == (after(hours=1), 1)
    assert (state(engine).accepted_at, state(engine).unanswered) == (None, 0)


def test_wishes_at_a_pace_leave_those_that_are_there(engine: Engine) -> None:
    enroll(engine, "A", "B", "C")
    wish(engine, "B", due_at=after(hours=1))

    def work(tx: Transaction) -> None:
        push.wish_at_pace(tx, [ChannelId(name) for name in "CBA"], reason=PushReason.PUSHES_WORK_AGAIN, at=NOON)

    engine.write(work)

    assert [one.channel_id for one in due(engine, after(seconds=1))] == ["A", "C"]
    (kept,) = (one for one in due(engine, after(hours=1)) if one.channel_id == B)
    assert kept.reason is PushReason.COMMAND_QUEUED
