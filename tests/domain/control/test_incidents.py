"""One incident for one common cause: opened once, grown, closed."""

from datetime import UTC, datetime, timedelta

from muster.domain.control.incidents import Cause, Incident, follow_causes, scope_of_incident
from muster.domain.control.own_side import EVERYTHING, Outage, Scope, ScopeKind
from muster.domain.control.reasons import Reason

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOPIC = Scope(ScopeKind.TOPIC, "a")


def cause(reason: Reason, scope: Scope = EVERYTHING, channels: int = 3, sentence: str = "it is out") -> Cause:
    return Cause(reason, scope, NOW - HOUR, sentence, channels)


def incident(of: Cause, name: str = "1") -> Incident:
    return Incident(name, of.reason, of.scope, of.began_at, NOW, NOW, None, of.sentence, of.channels)


def test_a_new_cause_opens_one_incident_however_often_it_is_seen() -> None:
    twice = cause(Reason.APNS_OUTAGE, TOPIC), cause(Reason.APNS_OUTAGE, TOPIC, channels=2)

    steps = follow_causes((), (*twice, cause(Reason.APNS_OUTAGE)))

    assert {(one.scope, one.channels) for one in steps.opened} == {(TOPIC, 3), (EVERYTHING, 3)}


def test_a_cause_that_lasts_changes_nothing_until_it_grows() -> None:
    open_one = incident(cause(Reason.APNS_OUTAGE))

    assert follow_causes((open_one,), (cause(Reason.APNS_OUTAGE),)) == follow_causes((), ())
    assert follow_causes((open_one,), (cause(Reason.APNS_OUTAGE, channels=2),)) == follow_causes((), ())
    ((grown, by),) = follow_causes((open_one,), (cause(Reason.APNS_OUTAGE, channels=9),)).grown
    assert (grown, by.channels) == (open_one, 9)


def test_an_incident_ends_with_its_cause() -> None:
    open_ones = incident(cause(Reason.APNS_OUTAGE)), incident(cause(Reason.OWN_ERRORS), "2")

    steps = follow_causes(open_ones, (cause(Reason.OWN_ERRORS),))

    assert steps.closed == open_ones[:1]
    assert not steps.opened


def test_errors_of_several_endpoints_are_one_incident() -> None:
    scopes = [Scope(ScopeKind.ENDPOINT, "/mdm@one"), Scope(ScopeKind.ENDPOINT, "/checkin@two"), TOPIC]
    outages = [Outage("1", Reason.OWN_ERRORS, scope, NOW, None, "words") for scope in scopes]

    assert [scope_of_incident(one) for one in outages] == [EVERYTHING, EVERYTHING, TOPIC]
