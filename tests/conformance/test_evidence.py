"""Evidence is appended and counted, rumours are bounded, on both engines alike."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.control.evidence import COUNTED, Detail, Observation, Rumour, Signal
from muster.protocol.identifiers import ChannelId
from muster.storage import evidence
from muster.storage.engine import Engine
from muster.storage.schema import evidence as evidence_table
from muster.storage.schema import rumours


def ids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):04}"


def seen(
    minutes: float = 0,
    *,
    signal: Signal = Signal.REFUSED_CONTACT,
    what: str = "identity_unknown",
    epoch: int = 1,
    source: str = "",
    detail: Detail | None = None,
    name: str = "A",
) -> Observation:
    return Observation(ChannelId(name), signal, what, after(minutes=minutes), epoch, source, detail or {})


def kept(engine: Engine) -> list[tuple[str, datetime, datetime, int]]:
    what = evidence_table.c
    stored = rows(engine, sa.select(what.observed_class, what.first_at, what.last_at, what.count).order_by(what.id))
    return [tuple(row) for row in stored]


def test_observation_is_kept_with_all_it_says(engine: Engine) -> None:
    detail: Detail = {"text": "naïve \U0001f34e", "number": -(2**53), "yes": True, "nothing": None}

    engine.write(
        lambda tx: evidence.append(tx, [seen(signal=Signal.CHECK_OUT, source="192.0.2.1", detail=detail)], ids())
    )

    (row,) = rows(engine, sa.select(evidence_table))
    assert row._asdict() == {
        "id": "0001",
        "channel_id": "A",
        "signal": "S8",
        "observed_class": "identity_unknown",
        "first_at": NOON,
        "last_at": NOON,
        "count": 1,
        "epoch": 1,
        "source": "192.0.2.1",
        "detail": detail,
    }


def test_refusals_that_alternate_are_a_row_for_each_class_and_five_minutes(engine: Engine) -> None:
    new_id = ids()
    for number in range(600):  # ten minutes, one a second
        what = ("identity_unknown", "body_malformed")[number % 2]
        observation = seen(number / 60, what=what)
        engine.write(lambda tx, observation=observation: evidence.append(tx, [observation], new_id))  # type: ignore[misc]

    assert [(what, count) for what, _, _, count in kept(engine)] == [
        ("identity_unknown", 150),
        ("body_malformed", 150),
        ("identity_unknown", 150),
        ("body_malformed", 150),
    ]


@pytest.mark.parametrize("signal", sorted(COUNTED))
def test_repeats_of_a_counted_signal_are_one_row_that_says_the_last(engine: Engine, signal: Signal) -> None:
    new_id = ids()
    for minutes in (0, 1, 2):
        observation = seen(minutes, signal=signal, source=f"192.0.2.{minutes}", detail={"at": minutes})
        engine.write(lambda tx, observation=observation: evidence.append(tx, [observation], new_id))  # type: ignore[misc]

    assert kept(engine) == [("identity_unknown", NOON, after(minutes=2), 3)]
    (row,) = rows(engine, sa.select(evidence_table.c.source, evidence_table.c.detail))
    assert tuple(row) == ("192.0.2.2", {"at": 2})


def test_repeats_within_one_batch_are_counted(engine: Engine) -> None:
    engine.write(lambda tx: evidence.append(tx, [seen(), seen(1), seen(2, name="B"), seen(3)], ids()))

    assert kept(engine) == [
        ("identity_unknown", NOON, after(minutes=3), 3),
        ("identity_unknown", *[after(minutes=2)] * 2, 1),
    ]


def test_change_of_class_or_epoch_is_a_row_of_its_own(engine: Engine) -> None:
    answer = Signal.COMMAND_ANSWER
    story = [
        seen(signal=answer),
        seen(1, signal=answer, what="other"),
        seen(2, signal=answer),
        seen(3, signal=answer, epoch=2),
        seen(4, signal=answer, epoch=2),
    ]

    engine.write(lambda tx: evidence.append(tx, story, ids()))

    assert [(what, count) for what, _, _, count in kept(engine)] == [
        ("identity_unknown", 1),
        ("other", 1),
        ("identity_unknown", 1),
        ("identity_unknown", 2),
    ]


def test_signals_that_are_not_counted_are_kept_one_by_one(engine: Engine) -> None:
    story = [seen(minutes, signal=Signal.TOKEN_UPDATE) for minutes in (0, 1)]

    engine.write(lambda tx: evidence.append(tx, story, ids()))

    assert len(kept(engine)) == 2


def test_contact_refused_anew_after_a_day_is_news(engine: Engine) -> None:
    new_id = ids()
    late = evidence.REFUSED_ANEW_AFTER / timedelta(minutes=1)
    news = [
        engine.write(lambda tx, at=at: evidence.append(tx, [seen(at)], new_id))  # type: ignore[misc]
        for at in (0, late, 2 * late + 1)
    ]

    assert [len(one) for one in news] == [1, 0, 1]
    assert [count for *_, count in kept(engine)] == [2, 1]


def test_repeat_is_counted_across_months(engine: Engine) -> None:
    new_id = ids()
    engine.write(lambda tx: tx.ensure_partitions(NOON))
    for days in (0, 30, 60):
        observation = seen(days * 24 * 60, signal=Signal.COMMAND_ANSWER)
        engine.write(lambda tx, observation=observation: evidence.append(tx, [observation], new_id))  # type: ignore[misc]

    assert kept(engine) == [("identity_unknown", NOON, after(days=60), 3)]


def test_nothing_observed_is_no_error(engine: Engine) -> None:
    engine.write(lambda tx: evidence.append(tx, [], ids()))
    engine.write(lambda tx: evidence.add_rumours(tx, []))

    assert kept(engine) == []


def test_rumours_are_counted_by_what_they_claim(engine: Engine) -> None:
    heard = [
        Rumour("A", "identity_unknown", "192.0.2.1", NOON),
        Rumour("A", "identity_unknown", "192.0.2.2", after(minutes=1)),
        Rumour("A", "signature_bad", "192.0.2.3", NOON),
    ]

    engine.write(lambda tx: evidence.add_rumours(tx, heard[:1]))
    engine.write(lambda tx: evidence.add_rumours(tx, heard[1:]))

    stored = rows(engine, sa.select(rumours).order_by(rumours.c.refusal_code))
    assert [tuple(row) for row in stored] == [
        ("A", "identity_unknown", "192.0.2.2", NOON, after(minutes=1), 2),
        ("A", "signature_bad", "192.0.2.3", NOON, NOON, 1),
    ]


def test_flood_of_rumours_drives_out_the_oldest_only(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MAXIMUM_RUMOURS", 5)
    first = [Rumour(f"{number}", "x", "", after(minutes=number)) for number in range(5)]
    engine.write(lambda tx: evidence.add_rumours(tx, first))

    engine.write(
        lambda tx: evidence.add_rumours(tx, [Rumour("0", "x", "", after(hours=1)), Rumour("9", "x", "", NOON)])
    )
    engine.write(lambda tx: evidence.add_rumours(tx, [Rumour("8", "x", "", after(hours=2))]))

    stored = rows(engine, sa.select(rumours.c.claimed_id).order_by(rumours.c.claimed_id))
    assert [row.claimed_id for row in stored] == ["0", "2", "3", "4", "8"]
