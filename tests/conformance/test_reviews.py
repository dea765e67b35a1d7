"""Each channel has one next review, which only moves earlier until it is done, on both engines alike."""

from tests.conformance.fleet import PIN, after, enroll
from tests.support.instants import NOON

from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId
from muster.storage import enrollments, reviews
from muster.storage.engine import Engine
from muster.storage.reviews import DueReview

A = ChannelId("A")


def schedule(engine: Engine, name: str, minutes: float) -> None:
    engine.write(lambda tx: reviews.schedule(tx, ChannelId(name), after(minutes=minutes)))


def due(engine: Engine, minutes: float = 0, limit: int = 200) -> tuple[DueReview, ...]:
    return engine.write(lambda tx: reviews.claim_due(tx, after(minutes=minutes), limit))


def test_review_is_only_ever_moved_earlier(engine: Engine) -> None:
    enroll(engine, "A")
    for minutes in (5, 2, 9):
        schedule(engine, "A", minutes)

    assert engine.read(reviews.next_due) == after(minutes=2)
    assert due(engine, 1) == ()
    assert len(due(engine, 2)) == 1


def test_due_review_says_what_is_known_of_its_channel(engine: Engine) -> None:
    enroll(engine, "A", epoch=3)
    engine.write(lambda tx: enrollments.set_provisional(tx, DeviceId("A"), pin=PIN, epoch=4))
    schedule(engine, "A", 0)
    engine.write(lambda tx: reviews.done(tx, {A: after(minutes=2)}, at=after(minutes=1)))

    assert due(engine, 2) == (
        DueReview(
            A,
            EnrollmentState.ENROLLED,
            first_seen_at=NOON,
            last_contact_at=None,
            epoch=3,
            provisional_epoch=4,
            reviewed_at=after(minutes=1),
            channel=Channel(A, DeviceId("A"), ChannelKind.DEVICE),
        ),
    )


def test_review_that_is_done_is_due_at_its_next_time(engine: Engine) -> None:
    enroll(engine, "A")
    schedule(engine, "A", 0)

    engine.write(lambda tx: reviews.done(tx, {A: after(days=1)}, at=NOON))

    assert engine.read(reviews.next_due) == after(days=1)
    assert due(engine, 60) == ()


def test_longest_due_are_claimed_and_come_in_the_order_of_locks(engine: Engine) -> None:
    enroll(engine, "A", "B", "C", "b")
    for minutes, name in enumerate(("b", "C", "A", "B")):
        schedule(engine, name, minutes)

    assert [review.channel_id for review in due(engine, 9, limit=3)] == ["A", "C", "b"]


def test_nothing_is_due_where_nothing_is_scheduled(engine: Engine) -> None:
    enroll(engine, "A")

    assert engine.read(reviews.next_due) is None
    assert due(engine) == ()
