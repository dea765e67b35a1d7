"""Faults of ours are kept with their times, one that lasts for each reason and scope."""

from datetime import UTC, datetime, timedelta

from muster.domain.control.own_side import EVERYTHING, Outage, Scope, ScopeKind
from muster.domain.control.reasons import Reason
from muster.storage import outages
from muster.storage.engine import Engine

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOPIC = Scope(ScopeKind.TOPIC, "com.apple.mgmt.External.1")


def outage(name: str, reason: Reason, scope: Scope, began: int, ended: int | None = None) -> Outage:
    ended_at = None if ended is None else NOW + ended * HOUR
    return Outage(name, reason, scope, NOW + began * HOUR, ended_at, "words", {"node": name, "share": 3})


def store(engine: Engine, *some: Outage) -> list[bool]:
    return engine.write(lambda tx: [outages.open_one(tx, one) for one in some])


def between(engine: Engine, since: int, until: int) -> list[str]:
    return [one.id for one in engine.read(lambda tx: outages.between(tx, NOW + since * HOUR, NOW + until * HOUR))]


def test_an_outage_is_read_as_it_was_stored(engine: Engine) -> None:
    stored = outage("1", Reason.APNS_OUTAGE, TOPIC, -3)

    store(engine, stored)

    assert engine.read(outages.lasting) == (stored,)


def test_one_lasts_for_each_reason_and_scope(engine: Engine) -> None:
    first = outage("1", Reason.APNS_OUTAGE, TOPIC, -3)
    again = outage("2", Reason.APNS_OUTAGE, TOPIC, -2)
    others = outage("3", Reason.APNS_OUTAGE, EVERYTHING, -2), outage("4", Reason.OWN_DOWNTIME, EVERYTHING, -9, -8)

    assert store(engine, first, again, *others) == [True, False, True, True]
    assert [one.id for one in engine.read(outages.lasting)] == ["1", "3"]


def test_what_lasted_meanwhile_is_found(engine: Engine) -> None:
    store(
        engine,
        outage("1", Reason.OWN_DOWNTIME, EVERYTHING, -9, -8),
        outage("2", Reason.OWN_DOWNTIME, EVERYTHING, -6, -4),
        outage("3", Reason.APNS_OUTAGE, TOPIC, -5),
    )

    assert between(engine, -10, 0) == ["1", "2", "3"]
    assert between(engine, -8, -5) == ["2", "3"]
    assert between(engine, -8, -6) == ["2"]
    assert between(engine, -4, 0) == ["3"]


def test_closing_ends_the_one_that_lasts_and_never_before_it_began(engine: Engine) -> None:
    store(engine, outage("1", Reason.APNS_OUTAGE, TOPIC, -3), outage("2", Reason.OWN_ERRORS, EVERYTHING, -3))

    def close(reason: Reason, scope: Scope, hour: int) -> bool:
        return engine.write(lambda tx: outages.close(tx, reason, scope, NOW + hour * HOUR))

    assert close(Reason.APNS_OUTAGE, EVERYTHING, 0) is False
    assert close(Reason.APNS_OUTAGE, TOPIC, -1) is True
    assert close(Reason.APNS_OUTAGE, TOPIC, 0) is False
    assert close(Reason.OWN_ERRORS, EVERYTHING, -7) is True
    found = engine.read(lambda tx: outages.between(tx, NOW - 9 * HOUR, NOW))
    assert {one.id: one.ended_at for one in found} == {"1": NOW - HOUR, "2": NOW - 3 * HOUR}


def test_the_old_ones_are_forgotten_and_those_that_last_are_not(engine: Engine) -> None:
    store(
        engine,
        outage("1", Reason.OWN_DOWNTIME, EVERYTHING, -9, -8),
        outage("2", Reason.OWN_DOWNTIME, EVERYTHING, -6, -4),
        outage("3", Reason.APNS_OUTAGE, TOPIC, -9),
    )

    engine.write(lambda tx: outages.forget(tx, NOW - 5 * HOUR))

    assert between(engine, -20, 0) == ["3", "2"]


def test_nothing_has_ended_later_than_now(engine: Engine) -> None:
    store(engine, outage("1", Reason.OWN_DOWNTIME, EVERYTHING, -9, 8), outage("2", Reason.APNS_OUTAGE, TOPIC, -9))

    engine.write(lambda tx: outages.cut_short(tx, NOW))

    found = engine.read(lambda tx: outages.between(tx, NOW - 10 * HOUR, NOW))
    assert {one.id: one.ended_at for one in found} == {"1": NOW, "2": None}
