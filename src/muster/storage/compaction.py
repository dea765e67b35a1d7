"""Old evidence is compacted: what changed a verdict stays, what goes leaves its count and its hash.

A hash chains to the one before it of the same channel, so that no step can be taken out, or made up, afterwards.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from muster.domain.control.evidence import CLONED, ERASE_ACKNOWLEDGED, ERASE_HANDED_OUT, Signal
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, compactions, contact_days, evidence, verdict_changes, verdicts
from muster.storage.types import to_microseconds

KEPT_SIGNALS: Final = (
    Signal.TOKEN_UPDATE.value,
    Signal.AUTHENTICATE.value,
    Signal.CHECK_OUT.value,
    Signal.INVENTORY.value,
)
"""What a device said of its enrollment and of our control over it is kept for ever: it is little, and is the story."""
KEPT_CLASSES: Final = (CLONED, ERASE_ACKNOWLEDGED, ERASE_HANDED_OUT)
_CHANNELS = (
    sa.select(channels.c.id)
    .where(channels.c.id > sa.bindparam("after"))
    .order_by(channels.c.id)
    .limit(sa.bindparam("limit"))
)
_OLD = (
    # `count` is a method of rows, too
    sa.select(*(column.label("observations") if column.name == "count" else column for column in evidence.c))
    .where(
        among(evidence.c.channel_id, "ids"),
        evidence.c.first_at < sa.bindparam("before"),
        evidence.c.last_at < sa.bindparam("before"),
        evidence.c.signal.not_in(KEPT_SIGNALS),
        evidence.c.observed_class.not_in(KEPT_CLASSES),
    )
    .order_by(evidence.c.first_at, evidence.c.id)
)
_CITED = [
    sa.select(table.c.channel_id, table.c.evidence).where(among(table.c.channel_id, "ids"))
    for table in (verdict_changes, verdicts)
]
_number = (
    sa.func.row_number()
    .over(partition_by=compactions.c.channel_id, order_by=(compactions.c.at.desc(), compactions.c.id.desc()))
    .label("number")
)
_chained = (
    sa.select(compactions.c.channel_id, compactions.c.digest, _number)
    .where(among(compactions.c.channel_id, "ids"))
    .subquery()
)
_LAST = sa.select(_chained.c.channel_id, _chained.c.digest).where(_chained.c.number == 1)
_FORGET_DAYS = sa.delete(contact_days).where(
    among(contact_days.c.channel_id, "ids"), contact_days.c.day < sa.bindparam("before")
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class Compaction:
    """What went from one channel's evidence at once: *rows*, by signal and class in *counts* (observations, repeats
    included), seen from *first_at* to *last_at*. *digest*: SHA-256 over the digest before it and the rows: see
    `digest`.
    """

    id: str
    channel_id: ChannelId
    at: datetime
    first_at: datetime
    last_at: datetime
    rows: int
    counts: Mapping[str, int]
    digest: bytes


@dataclass(frozen=True, slots=True)
class OldEvidence:
    """Rows of one channel that may go, the oldest first, and the digest of the compaction before; empty: none."""

    channel_id: ChannelId
    rows: Sequence[sa.Row[Any]]
    digest_before: bytes


def next_channels(tx: Transaction, after: str, limit: int) -> tuple[ChannelId, ...]:
    """Name the next channels by their ids, up to *limit*; none after the last."""
    return tuple(ChannelId(one) for one in tx.connection.scalars(_CHANNELS, {"after": after, "limit": limit}))


def find_old(tx: Transaction, channel_ids: Sequence[ChannelId], before: datetime) -> tuple[OldEvidence, ...]:
    """Read what was last seen before *before* and changed no verdict; channels without such are absent.

    Evidence changed a verdict when the step, or the verdict that is held, cites its signal at a time at which it was
    counted.
    """
    found: dict[ChannelId, list[sa.Row[Any]]] = defaultdict(list)
    for row in tx.connection.execute(_OLD, {"ids": channel_ids, "before": before}):
        found[ChannelId(row.channel_id)].append(row)
    if not found:
        return ()
    cited = _cited(tx, list(found))
    last = {one.channel_id: one.digest for one in tx.connection.execute(_LAST, {"ids": list(found)})}
    free = {
        channel_id: [row for row in rows if not _is_cited(row, cited.get(channel_id, ()))]
        for channel_id, rows in found.items()
    }
    return tuple(OldEvidence(id_, rows, last.get(id_, b"")) for id_, rows in sorted(free.items()) if rows)


def digest(before: bytes, rows: Sequence[sa.Row[Any]]) -> bytes:
    """Return the SHA-256 of *before* and of each row as a line of JSON: its columns in the order of the table, without
    spaces, instants in microseconds since 1970 UTC, keys of `detail` sorted.
    """
    hashed = hashlib.sha256(before)
    for row in rows:
        line = [to_microseconds(value) if isinstance(value, datetime) else value for value in row]
        hashed.update(json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return hashed.digest()


def compact(tx: Transaction, old: OldEvidence, compaction_id: str, at: datetime) -> Compaction:
    """Remove *old* rows and keep what they were: their count and their hash."""
    counts: Counter[str] = Counter()
    for row in old.rows:
        counts[f"{row.signal} {row.observed_class}"] += row.observations
    made = Compaction(
        compaction_id,
        old.channel_id,
        at,
        min(row.first_at for row in old.rows),
        max(row.last_at for row in old.rows),
        len(old.rows),
        dict(sorted(counts.items())),
        digest(old.digest_before, old.rows),
    )
    for some in slices(old.rows):
        tx.connection.execute(
            sa.delete(evidence).where(
                among(evidence.c.id, [row.id for row in some]),
                evidence.c.channel_id == old.channel_id,
                evidence.c.first_at.between(some[0].first_at, some[-1].first_at),
            )
        )
    tx.connection.execute(
        sa.insert(compactions).values(
            id=made.id,
            channel_id=made.channel_id,
            at=at,
            first_at=made.first_at,
            last_at=made.last_at,
            rows=made.rows,
            counts=dict(made.counts),
            digest=made.digest,
        )
    )
    return made


def forget_days(tx: Transaction, channel_ids: Sequence[ChannelId], *, before: int) -> None:
    """Forget the days of contact before the day *before* (days since 1970-01-01); their rhythm is kept."""
    tx.connection.execute(_FORGET_DAYS, {"ids": channel_ids, "before": before})


def of_channel(tx: Transaction, channel_id: ChannelId) -> tuple[Compaction, ...]:
    """Read the compactions of a channel, the oldest first."""
    rows = tx.connection.execute(
        sa.select(compactions)
        .where(compactions.c.channel_id == channel_id)
        .order_by(compactions.c.at, compactions.c.id)
    ).mappings()
    return tuple(Compaction(**{**row, "channel_id": ChannelId(row["channel_id"])}) for row in rows)


def _cited(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, set[tuple[str, int]]]:
    cited: dict[ChannelId, set[tuple[str, int]]] = defaultdict(set)
    for select in _CITED:
        for channel_id, listed in tx.connection.execute(select, {"ids": channel_ids}):
            cited[ChannelId(channel_id)] |= {(one["signal"], one["at"]) for one in listed}
    return cited


def _is_cited(row: sa.Row[Any], cited: set[tuple[str, int]] | tuple[()]) -> bool:
    first, last = to_microseconds(row.first_at), to_microseconds(row.last_at)
    return any(signal == row.signal and first <= at <= last for signal, at in cited)
