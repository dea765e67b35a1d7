"""Limits as people write them: read, refused, put together in the order of groups."""

from datetime import datetime, time, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.policy_settings import (
    SETTINGS,
    fault_of,
    inconsistency,
    merged_policy,
    policy_of,
    read_settings,
    texts_of,
)
from muster.domain.control.recovery import quiet_hours_end

BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "now", "ends"),
    [
        ("22:00-06:30", "2026-11-02T23:00+00:00", "2026-11-03T06:30+00:00"),
        ("22:00-06:30", "2026-11-02T21:30+00:00", None),
        ("22:00-06:30+01:00", "2026-11-02T21:30+00:00", "2026-11-03T05:30+00:00"),
        ("22:00-06:30+01:00", "2026-11-02T05:45+00:00", None),
        ("22:00-06:30-05:00", "2026-11-02T05:45+00:00", "2026-11-02T11:30+00:00"),
    ],
)
def test_quiet_hours_are_those_of_their_zone(text: str, now: str, ends: str | None) -> None:
    policy = policy_of([{"quiet_hours": text}])

    assert quiet_hours_end(policy, datetime.fromisoformat(now)) == (
        None if ends is None else datetime.fromisoformat(ends)
    )
    assert texts_of(policy)["quiet_hours"] == text


def test_every_limit_can_be_set() -> None:
    assert set(SETTINGS) == set(ControlPolicy.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("contact_window", "90m", timedelta(minutes=90)),
        ("tolerance", "10d", timedelta(days=10)),
        ("silence_limit", "6w", timedelta(weeks=6)),
        ("inventory_limit", "365d", timedelta(days=365)),
        ("proof_window", "14d", timedelta(days=14)),
        ("expects_user_channel", "no", False),
        ("agent", "osquery", "osquery"),
        ("agent", "none", ""),
        ("quiet_hours", "22:00-06:30", (time(22), time(6, 30))),
        ("quiet_hours", "22:00-06:30+01:00", (time(22, tzinfo=BERLIN), time(6, 30, tzinfo=BERLIN))),
        ("quiet_hours", "none", None),
        ("remedies", "all", None),
        ("remedies", "none", frozenset()),
        ("remedies", "push,probe", frozenset({"push", "probe"})),
    ],
)
def test_limit_is_read(name: str, text: str, value: object) -> None:
    assert getattr(policy_of([read_settings([f"{name}={text}"])]), name) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour=red", "there is no setting 'colour'"),
        ("tolerance", "is given no value"),
        ("tolerance=", "it is a time from 1 hour to 365 days"),
        ("tolerance=7", "it is a time"),
        ("tolerance=-7d", "it is a time"),
        ("tolerance=59m", "it is a time"),
        ("tolerance=366d", "it is a time"),
        ("tolerance=\u0667d", "it is a time"),
        ("tolerance=9999999d", "it is a time"),
        ("contact_window=15d", "it is a time from 1 hour to 14 days"),
        ("proof_window=15d", "it is a time from 1 hour to 14 days"),
        ("expects_user_channel=maybe", "it is yes or no"),
        ("agent=", "it is the name of a witness"),
        ("quiet_hours=22-6", "it is from when to when"),
        ("quiet_hours=24:00-06:00", "it is from when to when"),
        ("quiet_hours=22:00-06:00+24:00", "it is from when to when"),
        ("quiet_hours=06:00-06:00", "it is from when to when"),
        ("remedies=push,,probe", "it is all, none, or any of"),
        (f"remedies={'a,' * 300}a", "at most 500 characters"),
    ],
)
def test_limit_that_does_not_fit_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_settings([text])


def test_limit_is_given_once() -> None:
    with pytest.raises(ValueError, match="given twice"):
        read_settings(["tolerance=7d", "tolerance=8d"])


def test_default_is_what_stands_unset() -> None:
    assert policy_of([]) == ControlPolicy()
    assert policy_of([texts_of(ControlPolicy())]) == ControlPolicy()


def test_later_layer_decides_what_it_sets_and_nothing_else() -> None:
    policy = policy_of([{"tolerance": "5d", "agent": "osquery"}, {"tolerance": "9d"}])

    assert (policy.tolerance, policy.agent) == (timedelta(days=9), "osquery")


def test_what_nobody_sets_is_as_in_the_base() -> None:
    base = ControlPolicy(tolerance=timedelta(days=3))

    assert policy_of([{"agent": "osquery"}], base) == ControlPolicy(tolerance=timedelta(days=3), agent="osquery")


def test_what_a_later_version_stored_counts_as_unset() -> None:
    assert policy_of([{"tolerance": "soon", "colour": "red"}]) == ControlPolicy()


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ({"tolerance": "12h"}, "tolerance is shorter than contact_window"),
        ({"silence_limit": "3d"}, "silence_limit is shorter than tolerance"),
    ],
)
def test_contradiction_is_told_and_never_condemns_anybody(layer: dict[str, str], why: str) -> None:
    assert why in (inconsistency(merged_policy([layer])) or "")
    assert inconsistency(policy_of([layer])) is None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(SETTINGS)), st.text(max_size=12) | st.from_regex(r"\d{1,3}[mhdw]", fullmatch=True))
def test_any_text_is_a_limit_or_told(name: str, text: str) -> None:
    fault = fault_of(name, text)
    policy = policy_of([{name: text}])

    assert inconsistency(policy) is None
    if fault is None:
        assert policy_of([texts_of(policy)]) == policy
    else:
        assert policy == ControlPolicy()
