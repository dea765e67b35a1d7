"""A fault of ours touches those who hang on what failed, and explains their silence."""

from datetime import UTC, datetime, timedelta

import pytest

from muster.domain.control.own_side import (
    CALLED_AGAIN_WITHIN,
    DEAFENING,
    EVERYTHING,
    SPENDING,
    Outage,
    OwnAttributes,
    Scope,
    ScopeKind,
    deaf_times,
    faults_touching,
    read_scope,
    reason_of_breaker,
    touches,
)
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.push_breaker import BreakerCause
from muster.domain.push_policy import CALLED_APART

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MAC = OwnAttributes(topic="a", node="one", authority="ff", heard_at=NOW - 10 * HOUR)


def outage(
    reason: Reason = Reason.OWN_DOWNTIME,
    scope: Scope = EVERYTHING,
    began: int = -5,
    ended: int | None = None,
    name: str = "1",
) -> Outage:
    """One from *began* to *ended*, in hours from NOW."""
    return Outage(name, reason, scope, NOW + began * HOUR, None if ended is None else NOW + ended * HOUR, "it was down")


@pytest.mark.parametrize(
    ("scope", "is_touched"),
    [
        (EVERYTHING, True),
        (Scope(ScopeKind.TOPIC, "a"), True),
        (Scope(ScopeKind.TOPIC, "b"), False),
        (Scope(ScopeKind.NODE, "one"), True),
        (Scope(ScopeKind.NODE, "two"), False),
        (Scope(ScopeKind.AUTHORITY, "ff"), True),
        (Scope(ScopeKind.AUTHORITY, "fe"), False),
        (Scope(ScopeKind.ENDPOINT, "/mdm@one"), True),
        (Scope(ScopeKind.ENDPOINT, "/checkin@two"), True),
        (Scope(ScopeKind.ENDPOINT, "/scep@one"), False),
        (Scope(ScopeKind.WORKER, "push"), True),
        (Scope(ScopeKind.WORKER, "sends"), False),
        (Scope(ScopeKind.SITE, "198.51.100.1"), False),
        (Scope(ScopeKind.BUILD, "25A1"), False),
    ],
)
def test_a_fault_touches_those_in_its_scope_and_never_a_site(scope: Scope, is_touched: bool) -> None:
    assert touches(outage(scope=scope), MAC) is is_touched


def test_what_is_not_known_of_a_channel_is_no_link() -> None:
    nobody = OwnAttributes()

    assert not touches(outage(scope=Scope(ScopeKind.TOPIC, "a")), nobody)
    assert not touches(outage(scope=Scope(ScopeKind.NODE, "one")), nobody)
    assert touches(outage(), nobody)


@pytest.mark.parametrize(
    ("reason", "heard", "is_touched"),
    [
        (Reason.OWN_ERRORS, -6, True),
        (Reason.OWN_ERRORS, -4, False),
        (Reason.OWN_TLS_CHANGED, -4, False),
        (Reason.OWN_PROXY_DROPS_IDENTITY, -4, False),
        (Reason.APNS_OUTAGE, -4, True),
        (Reason.OWN_DOWNTIME, -4, True),
    ],
)
def test_who_was_heard_since_is_not_among_those_kept_from_us(reason: Reason, heard: int, is_touched: bool) -> None:
    assert touches(outage(reason), OwnAttributes(heard_at=NOW + heard * HOUR)) is is_touched


@pytest.mark.parametrize(
    ("began", "ended", "is_found"),
    [(-20, -11, False), (-20, -10, False), (-20, -9, True), (-5, -4, True), (-5, None, True), (1, None, False)],
)
def test_faults_count_that_lasted_during_the_silence(began: int, ended: int | None, is_found: bool) -> None:
    found = faults_touching(MAC, [outage(began=began, ended=ended)], NOW - 10 * HOUR, NOW)

    assert bool(found) is is_found


def test_a_fault_keeps_its_times_words_and_name() -> None:
    later, earlier = outage(began=-2, ended=-1, name="2"), outage(began=-4)

    first, second = faults_touching(MAC, [later, earlier], NOW - 10 * HOUR, NOW)

    assert (first.incident_id, first.began_at, first.ended_at) == ("1", NOW - 4 * HOUR, None)
    assert (second.reason, second.words, second.ended_at) == (Reason.OWN_DOWNTIME, "it was down", NOW - HOUR)


def test_deaf_times_are_merged_and_end_now_at_the_latest() -> None:
    outages = [
        outage(Reason.APNS_OUTAGE, began=-9, ended=-8, name="1"),
        outage(Reason.APNS_OUTAGE, began=-6, ended=-3, name="2"),
        outage(Reason.DATABASE_ROLLED_BACK, began=-5, ended=-4, name="3"),
        outage(Reason.OWN_WORKER_DEAD, began=-3, ended=-2, name="4"),
        outage(Reason.OWN_CLOCK_WRONG, began=-8, ended=-6, name="5"),
        outage(began=-1, name="6"),
    ]
    faults = faults_touching(MAC, outages, NOW - 10 * HOUR, NOW)

    deaf = deaf_times(faults, NOW)

    assert [((a - NOW) / HOUR, (b - NOW) / HOUR) for a, b in deaf] == [(-9, -8), (-6, -2), (-1, 0)]


@pytest.mark.parametrize(
    ("reason", "until"),
    [
        (Reason.OWN_DOWNTIME, -6),
        (Reason.OWN_ERRORS, -6),
        (Reason.OWN_TLS_CHANGED, -6),
        (Reason.OWN_PROXY_DROPS_IDENTITY, -6),
        (Reason.APNS_OUTAGE, -8),
        (Reason.PUSH_CERTIFICATE_EXPIRED, -8),
        (Reason.OWN_WORKER_DEAD, -8),
    ],
)
def test_after_a_fault_that_spends_pushes_silence_counts_once_all_were_called_again(reason: Reason, until: int) -> None:
    faults = faults_touching(MAC, [outage(reason, began=-9, ended=-8)], NOW - 10 * HOUR, NOW)

    assert deaf_times(faults, NOW) == ((NOW - 9 * HOUR, NOW + until * HOUR),)
    assert faults[0].ended_at == NOW - 8 * HOUR


def test_faults_that_spend_pushes_deafen() -> None:
    assert SPENDING < DEAFENING
    assert CALLED_AGAIN_WITHIN > CALLED_APART


def test_scopes_are_read_as_they_are_written() -> None:
    for kind in ScopeKind:
        scope = Scope(kind, "" if kind is ScopeKind.EVERYTHING else "a:b@c")
        assert read_scope(str(scope)) == scope
    with pytest.raises(ValueError, match="weather"):
        read_scope("weather:foul")


def test_only_faults_of_ours_deafen() -> None:
    excepted = {Reason.PUSH_TOPIC_MISMATCH}  # ours where a whole topic is touched, as an outage always means

    assert all(REASONS[reason].is_ours for reason in DEAFENING - excepted)
    assert all(reason_of_breaker(cause)[0] in DEAFENING for cause in BreakerCause)
