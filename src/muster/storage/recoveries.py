"""Recoveries: what is done to bring a channel back for one reason, until it has proved itself; one row each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.protocol import records
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.made_once import upsert
from muster.storage.queries import Bounds
from muster.storage.schema import channels, recoveries
from muster.storage.types import from_microseconds, to_microseconds

LOG_KEPT: Final = 100
"""Entries of one recovery; a playbook that goes on for years tells of the last of them."""


class Outcome(StrEnum):
    """How a recovery ended."""

    RECOVERED = "recovered"
    """The reason was gone, and the channel obeyed after that."""
    ENDED = "ended"
    """Its enrollment ended, or it never obeyed afterwards and has other reasons by now."""
    STOPPED = "stopped"
    """A person stopped it."""


@records.record(frozen=True, slots=True)
class Done:
    """One thing that was done: *step* is its kind (`recovery.StepKind`) or a word of ours, *what* a sentence."""

    at: datetime
    step: str
    what: str


@records.record(frozen=True, slots=True)
class Recovery:
    """A recovery as stored. *next_at*: before then nothing is done; None: at a contact, or nothing more."""

    id: str
    channel_id: ChannelId
    run: Run
    next_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    proof_at: datetime | None = None
    log: tuple[Done, ...] = ()
    put_off_until: datetime | None = None
    """A person has put it off: as long as its reason is found, no step is done before then."""

    def is_put_off(self, now: datetime) -> bool:
        """Tell whether it is put off at *now*."""
        return self.put_off_until is not None and now < self.put_off_until

    def noting(self, at: datetime, step: str, what: str) -> "Recovery":
        """Return it with one more entry in its log."""
        return replace(self, log=(*self.log, Done(at, step, what))[-LOG_KEPT:])


_OPEN = (
    sa.select(recoveries)
    .where(among(recoveries.c.channel_id, "ids"), recoveries.c.closed_at.is_(None))
    .order_by(recoveries.c.channel_id, recoveries.c.opened_at, recoveries.c.id)
)
_LATEST = sa.select(recoveries).order_by(recoveries.c.opened_at.desc(), recoveries.c.id.desc())
# made once: building a statement costs more than running it on SQLite


def open_of(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, tuple[Recovery, ...]]:
    """Read the recoveries of *channel_ids* that are open, the oldest first; channels without any are absent."""
    found: dict[ChannelId, list[Recovery]] = {}
    for row in tx.connection.execute(_OPEN, {"ids": channel_ids}):
        found.setdefault(ChannelId(row.channel_id), []).append(_read(row))
    return {channel_id: tuple(some) for channel_id, some in found.items()}


def of_channel(tx: Transaction, channel_id: ChannelId, *, limit: int) -> tuple[Recovery, ...]:
    """Read up to *limit* recoveries of a channel, open and closed, the latest first."""
    rows = tx.connection.execute(_LATEST.where(recoveries.c.channel_id == channel_id).limit(limit))
    return tuple(_read(row) for row in rows)


def list_open(
    tx: Transaction, *, limit: int, after: str | None = None, within: Bounds | None = None
) -> tuple[Recovery, ...]:
    """Read up to *limit* recoveries that are open, in the order of their ids; *after*: those after this id; *within*
    bounds, where there are any."""
    select = sa.select(recoveries).where(recoveries.c.closed_at.is_(None)).order_by(recoveries.c.id).limit(limit)
    if after is not None:
        select = select.where(recoveries.c.id > after)
    if within is not None:
        meant = sa.select(channels.c.id).where(within.condition(tx))
        select = select.where(recoveries.c.channel_id.in_(meant))
    return tuple(_read(row) for row in tx.connection.execute(select))


def record(tx: Transaction, changed: Sequence[Recovery]) -> None:
    """Store recoveries, new ones and such as were read; each of *changed* once."""
    if not changed:
        return
    replaced = [column.name for column in recoveries.c if column.name not in _FIXED]
    tx.connection.execute(upsert(tx, recoveries, "id", replaced), [_row(one) for one in changed])


_FIXED = frozenset({"id", "channel_id", "reason", "opened_at"})


def _row(one: Recovery) -> dict[str, Any]:
    run = one.run
    return {
        "id": one.id,
        "channel_id": one.channel_id,
        "reason": run.reason.value,
        "opened_at": run.opened_at,
        "step": run.step,
        "attempts": run.attempts,
        "acted_at": run.acted_at,
        "next_at": one.next_at,
        "found_until": run.found_until,
        "probes": run.probes,
        "closed_at": one.closed_at,
        "outcome": None if one.outcome is None else one.outcome.value,
        "proof_at": one.proof_at,
        "put_off_until": one.put_off_until,
        "log": [{"at": to_microseconds(done.at), "step": done.step, "what": done.what} for done in one.log],
    }


def _read(row: sa.Row[Any]) -> Recovery:
    run = Run(Reason(row.reason), row.opened_at, row.step, row.attempts, row.acted_at, row.found_until, row.probes)
    log = tuple(Done(from_microseconds(done["at"]), done["step"], done["what"]) for done in row.log)
    return Recovery(
        row.id,
        ChannelId(row.channel_id),
        run,
        row.next_at,
        row.closed_at,
        None if row.outcome is None else Outcome(row.outcome),
        row.proof_at,
        log,
        row.put_off_until,
    )
