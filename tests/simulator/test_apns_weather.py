"""When a condition of the weather strikes, and whom."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from muster.simulator.apns_weather import (
    Condition,
    Effect,
    GoAway,
    Reach,
    Refuse,
    RefuseStream,
    Reset,
    Silence,
    Slow,
    StreamLimit,
    Throttle,
    Unreachable,
    Weather,
)

TOPIC = "com.apple.mgmt.External.test"
OTHER = "com.apple.mgmt.External.other"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUSY = Refuse("ServiceUnavailable")
TOO_MANY = Refuse("TooManyRequests")


def weather(*conditions: Condition, seed: int = 1) -> Weather:
    made = Weather(Random(seed))
    made.change_to(conditions)
    return made


def refusals(of: Weather, count: int, token: bytes = b"one") -> list[Refuse | None]:
    return [of.refusal(TOPIC, token, NOW) for _ in range(count)]


def test_fair_weather_does_nothing() -> None:
    fair = weather()

    assert fair.refusal(TOPIC, b"one", NOW) is None
    assert fair.mishap(TOPIC, b"one", NOW) is None
    assert (fair.delay_seconds(TOPIC, b"one", NOW), fair.stream_limit(NOW)) == (0.0, None)
    assert fair.reach(NOW) is Reach.OPEN


@pytest.mark.parametrize(
    ("at", "strikes"),
    [(NOW - timedelta(microseconds=1), False), (NOW, True), (NOW + HOUR, True), (NOW + 2 * HOUR, False)],
)
def test_condition_holds_from_its_begin_to_before_its_end(at: datetime, strikes: bool) -> None:
    outage = weather(Condition(BUSY, NOW, NOW + 2 * HOUR))

    assert (outage.refusal(TOPIC, b"one", at) is not None) is strikes


def test_condition_without_times_always_holds() -> None:
    outage = weather(Condition(BUSY))

    assert outage.refusal(TOPIC, b"one", NOW - 9999 * HOUR) == outage.refusal(TOPIC, b"one", NOW + 9999 * HOUR) == BUSY


def test_condition_of_a_topic_leaves_others_alone() -> None:
    revoked = weather(Condition(Refuse("BadCertificate"), topics=frozenset([OTHER])))

    assert revoked.refusal(OTHER, b"one", NOW) == Refuse("BadCertificate")
    assert revoked.refusal(TOPIC, b"one", NOW) is None


def test_condition_of_tokens_leaves_others_alone() -> None:
    some = weather(Condition(BUSY, tokens=frozenset([b"one", b"two"])))

    assert [some.refusal(TOPIC, token, NOW) for token in (b"one", b"two", b"three")] == [BUSY, BUSY, None]


def test_condition_is_over_after_its_number_of_times_whichever_token_it_struck() -> None:
    twice = weather(Condition(BUSY, tokens=frozenset([b"one", b"two"]), times=2))

    assert [twice.refusal(TOPIC, token, NOW) for token in (b"one", b"two", b"one")] == [BUSY, BUSY, None]


def test_the_last_added_wins_and_the_one_beneath_comes_back() -> None:
    changing = weather(Condition(BUSY), Condition(TOO_MANY, times=1))

    assert refusals(changing, 2) == [TOO_MANY, BUSY]


def test_everybodys_condition_comes_before_that_of_a_token() -> None:
    both = weather(Condition(BUSY), Condition(TOO_MANY, tokens=frozenset([b"one"])))

    assert refusals(both, 1) == [BUSY]


def test_removed_condition_strikes_no_more() -> None:
    kept, removed = Condition(BUSY), Condition(TOO_MANY)
    changing = weather(kept, removed)

    changing.remove(removed)
    changing.remove(removed)

    assert refusals(changing, 1) == [BUSY]


def test_share_strikes_about_so_many_and_equally_for_equal_seeds() -> None:
    half = Condition(BUSY, share=0.5)

    struck = refusals(weather(half, seed=7), 1000)

    assert 400 < sum(refusal is not None for refusal in struck) < 600
    assert struck == refusals(weather(half, seed=7), 1000)
    assert struck != refusals(weather(half, seed=8), 1000)


def test_throttle_counts_each_token_in_its_own_period() -> None:
    throttled = weather(Condition(Throttle(pushes=2, seconds=60.0)))

    now = [throttled.refusal(TOPIC, token, NOW) for token in (b"one", b"one", b"one", b"two")]
    just_before = throttled.refusal(TOPIC, b"one", NOW + timedelta(seconds=59.9))
    later = throttled.refusal(TOPIC, b"one", NOW + timedelta(seconds=60))

    assert now == [None, None, TOO_MANY, None]
    assert (just_before, later) == (TOO_MANY, None)


def test_recurring_mishap_falls_on_each_so_many_th_request() -> None:
    sent_away = weather(Condition(GoAway(every=3)))

    assert [sent_away.mishap(TOPIC, b"", NOW) for _ in range(7)].count(GoAway(3)) == 2
    assert sent_away.mishap(TOPIC, b"", NOW) is None
    assert sent_away.mishap(TOPIC, b"", NOW) == GoAway(3)


def test_refusal_mishap_and_delay_meet_in_one_request() -> None:
    foul = weather(Condition(BUSY), Condition(Silence()), Condition(Slow(5.0)))

    assert foul.refusal(TOPIC, b"one", NOW) == BUSY
    assert foul.mishap(TOPIC, b"one", NOW) == Silence()
    assert foul.delay_seconds(TOPIC, b"one", NOW) == 5.0


def test_connections_are_cut_and_limited_for_their_time_alone() -> None:
    cut = weather(
        Condition(Unreachable(), NOW, NOW + HOUR),
        Condition(Unreachable(is_silent=True), NOW + HOUR, NOW + 2 * HOUR),
        Condition(StreamLimit(10), NOW + HOUR, NOW + 2 * HOUR),
    )

    assert [cut.reach(NOW + number * HOUR) for number in range(3)] == [Reach.REFUSED, Reach.SILENT, Reach.OPEN]
    assert [cut.stream_limit(NOW + number * HOUR) for number in range(3)] == [None, 10, None]


def test_changed_weather_forgets_what_was() -> None:
    changing = weather(Condition(BUSY), Condition(BUSY, tokens=frozenset([b"one"])), Condition(Slow(1.0)))

    changing.change_to([])

    assert refusals(changing, 1) == [None]
    assert changing.delay_seconds(TOPIC, b"one", NOW) == 0.0


def _condition(
    effect: Effect = BUSY,
    *,
    begins_at: datetime | None = None,
    ends_at: datetime | None = None,
    topics: Sequence[str] = (),
    share: float = 1.0,
    times: int | None = None,
) -> Condition:
    return Condition(effect, begins_at, ends_at, frozenset(topics), share=share, times=times)


def test_what_could_never_happen_is_refused() -> None:
    for share in (0.0, -1.0, 1.1):
        with pytest.raises(ValueError, match="share"):
            _condition(share=share)
    with pytest.raises(ValueError, match="times"):
        _condition(times=0)
    with pytest.raises(ValueError, match="after it begins"):
        _condition(begins_at=NOW, ends_at=NOW)
    with pytest.raises(ValueError, match="aware"):
        _condition(begins_at=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="Tired"):
        Refuse("Tired")
    with pytest.raises(ValueError, match="throttle"):
        Throttle(0, 1.0)
    with pytest.raises(ValueError, match="throttle"):
        Throttle(1, 0.0)
    with pytest.raises(ValueError, match="before its request"):
        Slow(-1.0)
    with pytest.raises(ValueError, match="every"):
        Reset(0)
    with pytest.raises(ValueError, match="streams"):
        StreamLimit(-1)


@pytest.mark.parametrize("effect", [Unreachable(), StreamLimit(1)])
def test_whole_connections_cannot_concern_some_requests(effect: Effect) -> None:
    with pytest.raises(ValueError, match="everybody"):
        _condition(effect, topics=[TOPIC])
    with pytest.raises(ValueError, match="everybody"):
        _condition(effect, share=0.5)
    with pytest.raises(ValueError, match="everybody"):
        _condition(effect, times=1)


def test_refused_streams_are_told_apart_from_reset_ones() -> None:
    assert weather(Condition(RefuseStream())).mishap(TOPIC, b"", NOW) == RefuseStream()
    assert weather(Condition(RefuseStream())).mishap(TOPIC, b"", NOW) != Reset()
