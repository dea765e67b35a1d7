"""Durations and instants are said the same everywhere, whatever the server's language and zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from muster.domain.control.words import count, day, duration, instant, instant_near, listed

NOW = datetime(2026, 11, 4, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=2, minutes=59), "2 hours"),
        (timedelta(hours=24), "1 day"),
        (timedelta(hours=24, seconds=1), "24 hours"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=21, hours=23), "21 days"),
        (timedelta(days=1200), "1,200 days"),
    ],
)
def test_durations_are_whole_units_and_never_longer_than_they_were(length: timedelta, words: str) -> None:
    assert duration(length) == words


@pytest.mark.parametrize(
    ("at", "words", "near"),
    [
        (datetime(2026, 11, 3, 14, 2, tzinfo=UTC), "on 3 November at 14:02 UTC", "yesterday at 14:02 UTC"),
        (datetime(2026, 11, 4, 0, 0, tzinfo=UTC), "on 4 November at 00:00 UTC", "today at 00:00 UTC"),
        (datetime(2026, 11, 5, 23, 59, tzinfo=UTC), "on 5 November at 23:59 UTC", "tomorrow at 23:59 UTC"),
        (datetime(2026, 11, 2, 23, 59, tzinfo=UTC), "on 2 November at 23:59 UTC", "on 2 November at 23:59 UTC"),
        (datetime(2025, 3, 9, 8, 5, tzinfo=UTC), "on 9 March 2025 at 08:05 UTC", "on 9 March 2025 at 08:05 UTC"),
        (
            datetime(2026, 11, 4, 1, 0, tzinfo=timezone(timedelta(hours=2))),
            "on 3 November at 23:00 UTC",
            "yesterday at 23:00 UTC",
        ),
    ],
)
def test_instants_name_their_day_in_utc(at: datetime, words: str, near: str) -> None:
    assert (instant(at, NOW), instant_near(at, NOW)) == (words, near)
    assert instant(at, NOW).startswith(day(at, NOW))


def test_counts_and_lists_read_as_english() -> None:
    assert [count(1, "push"), count(2, "push"), count(3, "day"), count(1500, "device")] == [
        "1 push", "2 pushes", "3 days", "1,500 devices"
    ]  # fmt: skip
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
