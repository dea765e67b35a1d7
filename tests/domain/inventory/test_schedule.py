"""When channels are asked: at once, then once in each interval at a time of their own."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.schedule import due, interval_of, is_stale, next_at
from muster.protocol.identifiers import ChannelId

NOW = datetime(2026, 11, 22, 14, 31, 7, tzinfo=UTC)
DAY = timedelta(days=1)
A = ChannelId("A")
DAILY, WEEKLY = InventoryKind.SECURITY_INFO, InventoryKind.RESTRICTIONS


def test_channel_never_asked_is_asked_all_now() -> None:
    decided = due(A, {}, DAY, NOW)

    assert decided.kinds == set(InventoryKind)
    assert NOW + DAY / 2 <= decided.look_again_at <= NOW + 1.5 * DAY


@given(st.text(max_size=40), st.integers(0, 10**6), st.sampled_from(InventoryKind))
@settings(max_examples=60)
def test_next_time_is_half_an_interval_to_one_and_a_half_away_and_then_stays(
    channel: str, seconds: int, kind: InventoryKind
) -> None:
    asked_at = NOW + timedelta(seconds=seconds)
    every = interval_of(kind, DAY)

    first = next_at(ChannelId(channel), kind, asked_at, DAY)
    second = next_at(ChannelId(channel), kind, first, DAY)

    assert every / 2 <= first - asked_at <= every * 1.5
    assert abs(second - first - every) < timedelta(seconds=1)


def test_what_hardly_changes_is_asked_weekly() -> None:
    assert interval_of(WEEKLY, DAY) == 7 * DAY
    asked = dict.fromkeys(InventoryKind, NOW)

    decided = due(A, asked, DAY, NOW + 2 * DAY)

    assert DAILY in decided.kinds
    assert WEEKLY not in decided.kinds
    assert due(A, asked, DAY, NOW + timedelta(hours=1)).kinds == frozenset()


def test_all_but_how_a_device_and_its_users_stand_may_be_asked_less_often() -> None:
    asked = dict.fromkeys(InventoryKind, NOW)
    user = ChannelId("A:B")

    of_device = due(A, asked, DAY, NOW + 3 * DAY, others_every=14).kinds
    of_user = due(user, asked, DAY, NOW + 3 * DAY, others_every=14).kinds

    assert of_device == {InventoryKind.DEVICE_INFORMATION, InventoryKind.USER_LIST}
    assert InventoryKind.PROFILE_LIST in of_user  # the one question that shows that his channel lives
    assert due(A, asked, DAY, NOW + 22 * DAY, others_every=14).kinds == set(InventoryKind)
    assert not is_stale(DAILY, NOW, DAY, NOW + 27 * DAY, others_every=14)


def test_channels_are_spread_over_the_day() -> None:
    times = [next_at(ChannelId(f"device-{number}"), DAILY, NOW, DAY) for number in range(2400)]

    per_hour = Counter(at.hour for at in times)
    assert len(per_hour) == 24
    assert max(per_hour.values()) < 160, "a hundred each, on average"


def test_fact_is_stale_when_it_should_have_been_learned_twice_since() -> None:
    assert not is_stale(DAILY, NOW - 2 * DAY, DAY, NOW)
    assert is_stale(DAILY, NOW - 2 * DAY - timedelta(seconds=1), DAY, NOW)
    assert not is_stale(WEEKLY, NOW - 14 * DAY, DAY, NOW)
    assert is_stale(DAILY, NOW - 3 * DAY, timedelta(0), NOW), "though nobody asks by itself"
