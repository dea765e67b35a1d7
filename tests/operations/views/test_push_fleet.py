"""How pushing stands for the fleet, on both engines."""

from datetime import timedelta

from tests.support import fleet
from tests.support.runner import NOW

from muster.operations.views.push_fleet import open_breakers, push_status
from muster.storage.engine import Engine

TOPIC = "com.apple.mgmt.External.test"


def _add(engine: Engine, name: str, outcome: str = "accepted", *, is_refused: bool = False) -> None:
    fleet.add_device(engine, name)
    fleet.add_push_target(engine, name, outcome, NOW if is_refused else None)


def test_wishes_are_counted_by_what_becomes_of_them(engine: Engine) -> None:
    for name in "ABCDE":
        _add(engine, name)
    fleet.add_device(engine, "F")
    later = NOW + timedelta(hours=1)
    fleet.add_push_wish(engine, "A", due_at=NOW)
    fleet.add_push_wish(engine, "B", due_at=later)
    fleet.add_push_wish(engine, "C", due_at=later, held_because="breaker_open")
    fleet.add_push_wish(engine, "D", due_at=NOW, held_because="breaker_open")
    fleet.add_push_wish(engine, "F", due_at=NOW)

    status = engine.read(lambda tx: push_status(tx, NOW))

    (topic,) = status.topics
    assert (topic.enrollments, topic.wishes_due, topic.wishes_waiting) == (5, 1, 1)
    assert topic.wishes_held == {"breaker_open": 2}
    assert status.wishes_without_token == 1


def test_refused_tokens_and_outcomes_are_counted_by_class(engine: Engine) -> None:
    _add(engine, "A", "token_bad", is_refused=True)
    _add(engine, "B", "token_unregistered", is_refused=True)
    _add(engine, "C")
    for minutes, outcome in ((1, "accepted"), (2, "accepted"), (90, "no_answer"), (60 * 30, "accepted")):
        fleet.add_push(engine, "C", outcome, NOW - timedelta(minutes=minutes))

    (topic,) = engine.read(lambda tx: push_status(tx, NOW)).topics

    assert topic.tokens_refused == {"token_bad": 1, "token_unregistered": 1}
    assert topic.pushes_last_hour == {"accepted": 2}
    assert topic.pushes_last_day == {"accepted": 2, "no_answer": 1}


def test_a_topic_without_devices_tells_its_certificate(engine: Engine) -> None:
    fleet.add_push_certificate(engine, NOW + timedelta(days=5))

    (topic,) = engine.read(lambda tx: push_status(tx, NOW)).topics

    assert (topic.topic, topic.days_left, topic.enrollments, topic.breaker_words) == (TOPIC, 5, 0, "")


def test_an_open_breaker_has_its_sentence_and_one_that_counts_has_none(engine: Engine) -> None:
    fleet.add_push_breaker(engine, topic="counting", is_open=False)
    fleet.add_push_breaker(engine, topic="open", is_open=True)

    by_topic = {one.topic: one for one in engine.read(lambda tx: push_status(tx, NOW)).topics}

    assert by_topic["open"].breaker_words.startswith("Pushes of open have been held since")
    assert by_topic["counting"].breaker_words == ""
    assert by_topic["counting"].breaker is not None
    assert list(engine.read(open_breakers)) == ["open"]


def test_nothing_is_nothing(engine: Engine) -> None:
    assert engine.read(lambda tx: push_status(tx, NOW)).topics == ()
