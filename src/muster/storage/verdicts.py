"""What is held of each channel, and every step by which it came to that: the channel's story."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.control.finding import Cited, Finding, Verdict, VerdictChange
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.protocol import records
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import verdict_changes, verdicts
from muster.storage.types import from_microseconds, to_microseconds


@records.record(frozen=True, slots=True)
class HeldVerdict:
    """What is held of *channel_id*: *noticed_at* since when it is known, by the change *change_id*; *judged_at* when it
    was looked at last. When time may change the verdict is not kept, for the review is due then.
    """

    channel_id: ChannelId
    verdict: Verdict
    change_id: str
    noticed_at: datetime
    judged_at: datetime

    def is_as(self, other: Verdict) -> bool:
        """Tell whether *other* says the same, word for word."""
        return _proof(self.verdict) == _proof(other) and _words(self.verdict) == _words(other)


def _proof(verdict: Verdict) -> tuple[object, ...]:
    return verdict.proof_level, verdict.proof_at, verdict.is_push_proved


def _words(verdict: Verdict) -> tuple[object, ...]:
    """Return what is kept of a verdict beside its proof: all but when time may change it."""
    return (
        verdict.state,
        verdict.reason,
        verdict.since,
        verdict.sentence,
        verdict.forecast,
        verdict.next_step,
        verdict.candidates,
        verdict.evidence,
        verdict.others,
        tuple([replace(one, look_again_at=None) if one.look_again_at else one for one in verdict.notes]),
    )


_READ = sa.select(verdicts).where(among(verdicts.c.channel_id, "ids"))
_CONFIRM = sa.update(verdicts).where(among(verdicts.c.channel_id, "ids")).values(judged_at=sa.bindparam("at"))
_STORY = sa.select(verdict_changes).order_by(verdict_changes.c.at.desc(), verdict_changes.c.id.desc())
# made once: building a statement costs more than running it on SQLite


def read(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, HeldVerdict]:
    """Read what is held of *channel_ids*; those never judged are absent."""
    rows = tx.connection.execute(_READ, {"ids": channel_ids}).all()
    return {ChannelId(row.channel_id): _held(row) for row in rows}


def record(tx: Transaction, held: Sequence[HeldVerdict], before: dict[ChannelId, HeldVerdict], at: datetime) -> None:
    """Store what is *held* now, each channel's once; *before* is what `read` said of them in this transaction.

    What says the same as before costs one statement for all of them, and so does what was only proved anew.
    """
    same: list[ChannelId] = []
    proved: list[Proof] = []
    others: list[dict[str, Any]] = []
    for one in held:
        known = before.get(one.channel_id)
        if known is not None and known.change_id == one.change_id and known.is_as(one.verdict):
            same.append(one.channel_id)
        elif known is not None and known.change_id == one.change_id and _words(known.verdict) == _words(one.verdict):
            said = one.verdict
            proved.append(Proof(one.channel_id, said.proof_level, said.proof_at, said.is_push_proved))
        else:
            others.append(_row(one, at))
    if same:
        tx.connection.execute(_CONFIRM, {"ids": same, "at": at})
    prove(tx, proved, at)
    if others:
        tx.put_rows(verdicts, "channel_id", _columns(others))


def _columns(rows: Sequence[Mapping[str, object]]) -> dict[str, Sequence[object]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


@records.record(frozen=True, slots=True)
class Proof:
    """What proves a verdict that stands as it was, word for word."""

    channel_id: ChannelId
    level: ProofLevel
    at: datetime | None
    is_by_push: bool


def prove(tx: Transaction, proofs: Sequence[Proof], at: datetime) -> None:
    """Store what proves verdicts that were judged at *at* and stand as they were, of each channel one, in one go."""
    if not proofs:
        return
    columns: dict[str, Sequence[object]] = {
        "channel_id": [one.channel_id for one in proofs],
        "proof_level": [int(one.level) for one in proofs],
        "proof_at": [one.at for one in proofs],
        "is_push_proved": [one.is_by_push for one in proofs],
    }
    tx.update_rows(verdicts, "channel_id", columns, {"judged_at": at})


def append_changes(tx: Transaction, changes: Sequence[VerdictChange]) -> None:
    """Append steps to the stories of channels; each is of one channel, and none is ever changed."""
    if not changes:
        return
    tx.insert_rows(
        verdict_changes,
        _columns(
            [
                {
                    "id": change.id,
                    "channel_id": change.channel_id,
                    "device_id": change.device_id,
                    "epoch": change.epoch,
                    "at": change.at,
                    "since": change.after.since,
                    "state_before": None if change.before is None else change.before.state.value,
                    "reason_before": None if change.before is None else change.before.reason.value,
                    **_said(change.after),
                }
                for change in changes
            ]
        ),
        {},
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a story, as it is kept. *before* is absent at the first verdict. What the step led to is *after*,
    but for when it was proved, which is not kept.
    """

    id: str
    channel_id: ChannelId
    device_id: DeviceId
    epoch: int
    at: datetime
    before: tuple[ControlState, Reason] | None
    after: Verdict


def story(
    tx: Transaction, channel_id: ChannelId, *, limit: int, with_users: bool = False, before: datetime | None = None
) -> tuple[Step, ...]:
    """Read up to *limit* steps of a channel's story, the latest first; *with_users*: of all channels of a device.

    *before*: only what was noticed earlier, for the next page.
    """
    column = verdict_changes.c.device_id if with_users else verdict_changes.c.channel_id
    select = _STORY.where(column == channel_id).limit(limit)
    if before is not None:
        select = select.where(verdict_changes.c.at < before)
    return tuple(_step(row) for row in tx.connection.execute(select))


def changed_between(tx: Transaction, since: datetime, until: datetime, *, limit: int) -> tuple[Step, ...]:
    """Read up to *limit* steps of all channels that were noticed from *since* on and before *until*, latest first."""
    select = _STORY.where(verdict_changes.c.at >= since, verdict_changes.c.at < until).limit(limit)
    return tuple(_step(row) for row in tx.connection.execute(select))


def _row(one: HeldVerdict, at: datetime) -> dict[str, Any]:
    return {
        "channel_id": one.channel_id,
        "since": one.verdict.since,
        "noticed_at": one.noticed_at,
        "change_id": one.change_id,
        "proof_at": one.verdict.proof_at,
        "is_push_proved": one.verdict.is_push_proved,
        "notes": [_note(finding) for finding in one.verdict.notes],
        "judged_at": at,
        **_said(one.verdict),
    }


def _said(verdict: Verdict) -> dict[str, Any]:
    return {
        "state": verdict.state.value,
        "reason": verdict.reason.value,
        "proof_level": int(verdict.proof_level),
        "sentence": verdict.sentence,
        "forecast": verdict.forecast.value,
        "next_step": verdict.next_step,
        "candidates": [reason.value for reason in verdict.candidates],
        "evidence": _cited(verdict.evidence),
        "others": [reason.value for reason in verdict.others],
    }


def _cited(evidence: Sequence[Cited]) -> list[dict[str, Any]]:
    return [{"signal": cited.signal, "at": to_microseconds(cited.at), "shows": cited.shows} for cited in evidence]


def _read_cited(stored: Sequence[Mapping[str, Any]]) -> tuple[Cited, ...]:
    return tuple(Cited(one["signal"], from_microseconds(one["at"]), one["shows"]) for one in stored)


def _note(finding: Finding) -> dict[str, Any]:
    return {
        "reason": finding.reason.value,
        "since": to_microseconds(finding.since),
        "sentence": finding.sentence,
        "forecast": finding.forecast.value,
        "next_step": finding.next_step,
        "evidence": _cited(finding.evidence),
        "candidates": [reason.value for reason in finding.candidates],
    }


def _read_note(stored: Mapping[str, Any]) -> Finding:
    return Finding(
        _REASONS[stored["reason"]],
        None,
        from_microseconds(stored["since"]),
        stored["sentence"],
        _FORECASTS[stored["forecast"]],
        stored["next_step"],
        _read_cited(stored["evidence"]),
        tuple(_REASONS[one] for one in stored["candidates"]),
    )


def _held(row: sa.Row[Any]) -> HeldVerdict:
    verdict = _verdict(row, row.proof_at, is_push_proved=row.is_push_proved, notes=row.notes)
    return HeldVerdict(ChannelId(row.channel_id), verdict, row.change_id, row.noticed_at, row.judged_at)


def _step(row: sa.Row[Any]) -> Step:
    before = None if row.state_before is None else (ControlState(row.state_before), Reason(row.reason_before))
    return Step(row.id, ChannelId(row.channel_id), DeviceId(row.device_id), row.epoch, row.at, before, _verdict(row))


_STATES = {state.value: state for state in ControlState}
_REASONS = {reason.value: reason for reason in Reason}
_FORECASTS = {forecast.value: forecast for forecast in Forecast}
_PROOF_LEVELS = {level.value: level for level in ProofLevel}
# looked up for each channel of a fleet, which Enum is slow at


def _verdict(
    row: sa.Row[Any],
    proof_at: datetime | None = None,
    *,
    is_push_proved: bool = False,
    notes: Sequence[Mapping[str, Any]] = (),
) -> Verdict:
    return Verdict(
        state=_STATES[row.state],
        reason=_REASONS[row.reason],
        since=row.since,
        sentence=row.sentence,
        forecast=_FORECASTS[row.forecast],
        next_step=row.next_step,
        proof_level=_PROOF_LEVELS[row.proof_level],
        proof_at=proof_at,
        is_push_proved=is_push_proved,
        candidates=tuple(_REASONS[one] for one in row.candidates),
        evidence=_read_cited(row.evidence),
        others=tuple(_REASONS[one] for one in row.others),
        notes=tuple(_read_note(one) for one in notes),
    )
