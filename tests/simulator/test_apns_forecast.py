"""The weather at APNs as scenarios write it."""

import tomllib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.simulator.apns_forecast import EFFECTS, BadForecast, read_forecast
from muster.simulator.apns_weather import (
    Condition,
    Effect,
    GoAway,
    Refuse,
    RefuseStream,
    Reset,
    ResetStream,
    Silence,
    Slow,
    StreamLimit,
    Throttle,
    Unreachable,
)

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("toml", "effect"),
    [
        ('what = "refuse"\nreason = "ServiceUnavailable"', Refuse("ServiceUnavailable")),
        ('what = "refuse"\nreason = "Unregistered"\nsince = "2d"', Refuse("Unregistered", START + timedelta(days=2))),
        ('what = "throttle"\npushes = 3\nseconds = 60', Throttle(3, 60.0)),
        ('what = "slow"\nseconds = 2.5', Slow(2.5)),
        ('what = "silence"', Silence()),
        ('what = "goaway"\nevery = 200', GoAway(200)),
        ('what = "reset"\nevery = 50', Reset(50)),
        ('what = "reset_stream"', ResetStream(1)),
        ('what = "refuse_stream"', RefuseStream(1)),
        ('what = "unreachable"', Unreachable()),
        ('what = "unreachable"\nis_silent = true', Unreachable(is_silent=True)),
        ('what = "stream_limit"\nstreams = 1', StreamLimit(1)),
    ],
)
def test_each_word_makes_its_effect(toml: str, effect: Effect) -> None:
    assert read_forecast([tomllib.loads(toml)], START) == (Condition(effect),)


def test_everything_else_that_can_be_said_is_read() -> None:
    entry = tomllib.loads(
        """
        what = "refuse"
        reason = "TooManyRequests"
        from = "10d"
        until = 2026-01-20T08:00:00+01:00
        topics = ["com.apple.mgmt.one", "com.apple.mgmt.two"]
        tokens = ["ab12", "CD"]
        share = 0.5
        times = 3
        """
    )

    assert read_forecast([entry], START) == (
        Condition(
            Refuse("TooManyRequests"),
            START + timedelta(days=10),
            datetime(2026, 1, 20, 7, 0, tzinfo=UTC),
            frozenset(["com.apple.mgmt.one", "com.apple.mgmt.two"]),
            frozenset([b"\xab\x12", b"\xcd"]),
            0.5,
            3,
        ),
    )


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("1d 2h 3m 4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("90m", timedelta(minutes=90)),
        ("1d12h", timedelta(hours=36)),
        ("0s", timedelta(0)),
    ],
)
def test_time_since_the_start(written: str, span: timedelta) -> None:
    (condition,) = read_forecast([{"what": "silence", "from": written}], START)

    assert condition.begins_at == START + span


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "condition 2: what is missing"),
        ({"what": "hail"}, "condition 2: what is one of drop, .*, not 'hail'"),
        ({"what": 3}, "condition 2: what is a string"),
        ({"what": "silence", "untill": "1d"}, "condition 2: untill means nothing here; known: from, .*until, what"),
        ({"what": "silence", "every": 2}, "condition 2: every means nothing here"),
        ({"what": "refuse"}, "condition 2: reason is missing"),
        ({"what": "refuse", "reason": "Tired"}, "condition 2: refuse can't be: APNs has no reason 'Tired'"),
        ({"what": "slow", "seconds": True}, "condition 2: seconds is a number"),
        ({"what": "slow", "seconds": float("nan")}, "condition 2: seconds is a number"),
        ({"what": "goaway", "every": 2.0}, "condition 2: every is a whole number"),
        ({"what": "goaway", "every": 0}, "condition 2: goaway can't be: every counts requests"),
        ({"what": "unreachable", "is_silent": 1}, "condition 2: is_silent is true or false"),
        ({"what": "unreachable", "topics": ["a"]}, "condition 2: unreachable can't be: Unreachable concerns whole"),
        ({"what": "silence", "topics": "a"}, "condition 2: topics is a list of strings"),
        ({"what": "silence", "topics": []}, "condition 2: topics is a list of strings, at least one"),
        ({"what": "silence", "tokens": ["xyz"]}, "condition 2: tokens are hexadecimal"),
        ({"what": "silence", "share": 2}, "condition 2: silence can't be: share"),
        ({"what": "silence", "from": "soon"}, "condition 2: from is an instant with a time zone, or a time since"),
        ({"what": "silence", "from": ""}, "condition 2: from is an instant"),
        ({"what": "silence", "from": "1d", "until": "1d"}, "condition 2: silence can't be: a condition ends after"),
        ({"what": "silence", "until": datetime(2026, 1, 1)}, "condition 2: until is an instant with a time zone"),  # noqa: DTZ001 - the point
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(entry: dict[str, object], words: str) -> None:
    entries: list[dict[str, object]] = [{"what": "silence"}, entry]

    with pytest.raises(BadForecast, match=words):
        read_forecast(entries, START)


def test_time_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(BadForecast, match="from is later than time goes"):
        read_forecast([{"what": "silence", "from": "1d"}], datetime.max.replace(tzinfo=UTC))


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.text(max_size=4), max_size=3)
)
_keys = st.sampled_from(
    ["what", "from", "until", "topics", "tokens", "share", "times", "every", "seconds", "reason", "x"]
)


@settings(max_examples=150)
@given(st.dictionaries(_keys, _values), st.sampled_from([*EFFECTS, "hail"]))
def test_any_mapping_is_a_condition_or_refused(entry: dict[str, object], what: str) -> None:
    try:
        conditions = read_forecast([{**entry, "what": what}], START)
    except BadForecast:
        return

    assert 0 < conditions[0].share <= 1
