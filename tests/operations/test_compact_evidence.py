"""Evidence is compacted: what changed a verdict stays, what goes leaves its count and its hash."""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.control.evidence import CLONED, Observation, Signal
from muster.domain.control.finding import Cited, Verdict, VerdictChange
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.operations import compact_evidence as compacting
from muster.operations.compact_evidence import FROM_THE_START, compact_evidence
from muster.storage import compaction, evidence, schema, verdicts
from muster.storage.types import to_microseconds

QUARTER = timedelta(days=123)
"""The longest that evidence is kept which changed nothing: the retention, and the month in which that begins."""


@pytest.fixture(autouse=True)
def partitions(site: Site) -> None:
    """Places for rows of the months that tests see."""
    site.engine.write(lambda tx: tx.ensure_partitions(site.now))


def see(site: Site, signal: Signal, what: str, at: datetime | None = None) -> None:
    """Have something seen of the Mac."""
    observation = Observation(id_of(MAC), signal, what, at or site.now, 1, "198.51.100.7", {"z": 1, "a": None})
    new_id = site.runner.context().new_id
    site.engine.write(lambda tx: evidence.append(tx, [observation], new_id))


def compact(site: Site) -> list[compaction.Compaction]:
    """Compact the whole fleet; returns what went of the Mac so far."""
    after: str | None = FROM_THE_START
    while after is not None:
        (after,) = site.do(compact_evidence, after)
    return list(site.engine.read(lambda tx: compaction.of_channel(tx, id_of(MAC))))


def words(site: Site) -> list[str]:
    """The classes of the evidence that is kept."""
    return [observed for _, observed, _ in site.evidence()]


def test_evidence_that_changed_nothing_goes_and_leaves_its_count_and_hash(site: Site) -> None:
    site.enroll()
    kept = words(site)
    for _ in range(3):
        see(site, Signal.COMMAND_ANSWER, "NotNow")
    see(site, Signal.COMMAND_ANSWER, "Error")
    table = schema.evidence
    rows = site.rows(sa.select(table).where(table.c.signal == "S5").order_by(table.c.first_at, table.c.id))
    seen_at = site.now
    site.wait(days=QUARTER.days)

    (made,) = compact(site)

    assert words(site) == kept
    assert (made.rows, made.counts) == (2, {"S5 Error": 1, "S5 NotNow": 3})
    assert (made.at, made.first_at, made.last_at) == (site.now, seen_at, seen_at)
    lines = [[to_microseconds(one) if isinstance(one, datetime) else one for one in row] for row in rows]
    written = "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines)
    assert made.digest == hashlib.sha256(written.encode()).digest()


def test_hash_chains_to_the_one_before(site: Site) -> None:
    site.enroll()
    select = sa.select(schema.evidence).where(schema.evidence.c.signal == "S5")
    for what in ("NotNow", "Error"):
        see(site, Signal.COMMAND_ANSWER, what)
        rows = site.engine.read(lambda tx: tx.connection.execute(select).all())
        site.wait(days=QUARTER.days)
        compact(site)

    first, second = compact(site)

    assert second.digest == compaction.digest(first.digest, rows)


def test_evidence_is_kept_that_is_young_or_was_counted_lately(site: Site) -> None:
    site.enroll()
    see(site, Signal.COMMAND_ANSWER, "NotNow")
    site.wait(days=89)
    see(site, Signal.COMMAND_ANSWER, "NotNow")
    site.wait(days=89)

    assert compact(site) == []
    assert "NotNow" in words(site)


def test_evidence_that_a_verdict_cites_is_kept(site: Site) -> None:
    site.enroll()
    see(site, Signal.REFUSED_CONTACT, "identity_expired")
    cited = Cited("S2", site.now, "refused: identity expired")
    verdict = Verdict(
        ControlState.OUT_OF_CONTROL,
        Reason.IDENTITY_EXPIRED,
        site.now,
        "knocked",
        Forecast.WITH_US,
        "",
        ProofLevel.NOTHING,
        None,
        evidence=(cited,),
    )
    change = VerdictChange("1", id_of(MAC), id_of(MAC), 1, site.now, None, verdict)
    other = replace(change, id="2", channel_id=id_of(IPAD))
    site.engine.write(lambda tx: verdicts.append_changes(tx, [change, other]))
    see(site, Signal.REFUSED_CONTACT, "body_malformed", site.now + timedelta(minutes=1))
    site.wait(days=QUARTER.days)

    compact(site)

    assert "identity_expired" in words(site)
    assert "body_malformed" not in words(site)


def test_what_stays_true_for_ever_is_kept(site: Site) -> None:
    site.enroll()
    kept = [
        (Signal.TOKEN_UPDATE, "token_changed"),
        (Signal.AUTHENTICATE, CLONED),
        (Signal.CHECK_OUT, "checked_out"),
        (Signal.INVENTORY, "not_removable"),
        (Signal.COMMAND_ANSWER, "erase_acknowledged"),
    ]
    for signal, what in kept:
        see(site, signal, what)
    site.wait(days=QUARTER.days)

    assert compact(site) == []
    assert {what for _, what in kept} <= set(words(site))


def test_days_of_contact_go_after_more_than_a_year(site: Site) -> None:
    identity = site.enroll()
    for _ in range(2):
        site.wait(days=1)
        site.connect(identity)
    days = schema.contact_days
    before = site.rows(sa.select(days.c.day).order_by(days.c.day))
    site.wait(days=399)

    compact(site)

    assert site.rows(sa.select(days.c.day)) == before[1:]


def test_fleet_is_compacted_part_by_part(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "CHANNELS_AT_ONCE", 1)
    site.enroll()
    site.enroll(IPAD)
    see(site, Signal.COMMAND_ANSWER, "NotNow")
    site.wait(days=QUARTER.days)

    assert site.do(compact_evidence, FROM_THE_START) == [id_of(IPAD)]
    assert len(compact(site)) == 1
