"""Times for people."""

from datetime import datetime, timedelta

import pytest
from tests.support.runner import NOW

from muster.edges.console.times import Clock, length

CASES = [
    (timedelta(0), "just now"),
    (timedelta(seconds=59), "just now"),
    (timedelta(seconds=60), "1 minute ago"),
    (timedelta(minutes=4, seconds=59), "4 minutes ago"),
    (timedelta(minutes=119), "119 minutes ago"),
    (timedelta(hours=2), "2 hours ago"),
    (timedelta(hours=47), "47 hours ago"),
    (timedelta(hours=48), "2 days ago"),
    (timedelta(days=59), "59 days ago"),
    (timedelta(days=60), "2 months ago"),
    (timedelta(days=729), "24 months ago"),
    (timedelta(days=730), "2 years ago"),
    (timedelta(seconds=-30), "in a moment"),
    (timedelta(hours=-3), "in 3 hours"),
]


@pytest.mark.parametrize(("before", "said"), CASES)
def test_distances_are_said_in_one_unit_rounded_down(before: timedelta, said: str) -> None:
    assert f">{said}</time>" in Clock(NOW).ago_in_words(NOW - before)


@pytest.mark.parametrize("hours", range(1, 900, 7))
def test_a_unit_is_never_singular_except_the_minute(hours: int) -> None:
    assert not length(timedelta(hours=hours)).startswith("1 ")


def test_the_exact_time_is_at_hand() -> None:
    said = Clock(NOW).ago(NOW - timedelta(minutes=4))

    assert said == '<time datetime="2026-11-22T14:27:07Z" title="22 Nov 2026, 14:27:07 UTC">4 min ago</time>'


@pytest.mark.parametrize(("at", "said"), [(NOW, "22 Nov"), (NOW - timedelta(days=365), "22 Nov 2025")])
def test_a_day_has_its_year_unless_it_is_this_one(at: datetime, said: str) -> None:
    assert f">{said}</time>" in Clock(NOW).day(at)
