"""Which contact answered a push, where contacts are known by slots of five minutes."""

from datetime import UTC, datetime, timedelta

import pytest

from muster.storage.dossiers.push_records import Heeded, answer_to, heeded


def at(minutes: float) -> datetime:
    """A moment after noon."""
    return datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("pushed", "slots", "last", "answered"),
    [
        (at(2), [at(0)], at(2.1), at(2)),  # within seconds
        (at(2), [at(5)], at(6), at(5)),
        (at(2), [at(10)], at(11), at(10)),
        (at(2), [at(15)], at(16), None),  # too late for an answer
        (at(4), [at(0)], at(1), None),  # it came, and was pushed three minutes later
        (at(4), [at(0)], at(3.5), at(4)),  # outcomes are recorded up to a minute late
        (at(4), [at(0), at(20)], at(21), at(4)),  # which of the two came first nobody knows any more
        (at(4), [at(-5)], at(-3), None),
        (at(4), [], None, None),
    ],
)
def test_a_contact_answers_a_push_that_it_follows_within_minutes(
    pushed: datetime, slots: list[datetime], last: datetime | None, answered: datetime | None
) -> None:
    assert answer_to(pushed, slots, last) == answered


@pytest.mark.parametrize(
    ("pushed", "slots", "heard", "expected"),
    [
        ([0, 60], [0, 60], 60.1, Heeded((at(0), at(60)))),
        ([0, 60], [0, 90], 90.1, Heeded((at(0),), (at(60),))),
        ([0, 60], [30, 90], 90.1, Heeded((), (at(0), at(60)), is_deaf=True)),
        ([60], [90], 90.1, Heeded((), (at(60),))),  # one alone may have come while it slept
        ([0, 60, 195], [0, 60], 60.1, Heeded((at(0), at(60)))),  # the last may be answered yet
        ([], [0], 0.1, Heeded()),
    ],
)
def test_pushes_that_a_device_heeded_and_missed_are_told_apart(
    pushed: list[float], slots: list[float], heard: float, expected: Heeded
) -> None:
    assert heeded([at(one) for one in pushed], [at(one) for one in slots], at(heard), at(200)) == expected
