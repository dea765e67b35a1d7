"""What is held of a channel, as it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from muster.domain.control import saying
from muster.domain.control.finding import Cited, Finding, Judgement, Verdict
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.protocol.identifiers import ChannelId
from muster.storage import verdicts as stored_verdicts
from muster.storage.engine import Transaction
from muster.storage.schema import verdict_changes, verdicts
from muster.storage.verdicts import HeldVerdict


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What is held of one channel. *words* is the verdict as a sentence, *next* what happens next, *proof* how well it
    is proved; *because* the finding as it is kept."""

    channel_id: ChannelId
    state: ControlState
    reason: Reason
    title: str
    since: datetime
    noticed_at: datetime
    judged_at: datetime
    forecast: Forecast
    proof_level: ProofLevel
    proof_at: datetime | None
    is_push_proved: bool
    words: str
    because: str
    next: str
    proof: str
    causes: str
    candidates: tuple[Reason, ...]
    evidence: tuple[Cited, ...]
    others: tuple[Reason, ...]
    notes: tuple[Finding, ...]

    @property
    def needs_a_person(self) -> bool:
        """Tell whether nobody but a person brings it back."""
        return self.state in saying.WORRIES and self.forecast in saying.FOR_A_PERSON


def verdicts_of(tx: Transaction, channel_ids: Sequence[ChannelId], now: datetime) -> dict[ChannelId, VerdictRow]:
    """Read what is held of *channel_ids*; those never judged are absent."""
    return {channel_id: _row(held, now) for channel_id, held in stored_verdicts.read(tx, channel_ids).items()}


def verdict_by_now(held: HeldVerdict, found: Verdict, now: datetime) -> VerdictRow:
    """Tell what is held of a channel, with the proof of *found* where that is the same state for the same reason.

    *found* is what a review would find at *now*. Where it is another one it is passed over: a change is a review's to
    tell.
    """
    same = (found.state, found.reason) == (held.verdict.state, held.verdict.reason)
    return _row(replace(held, verdict=found, judged_at=now) if same else held, now)


def _row(held: HeldVerdict, now: datetime) -> VerdictRow:
    verdict = held.verdict
    return VerdictRow(
        channel_id=held.channel_id,
        state=verdict.state,
        reason=verdict.reason,
        title=saying.reason_title(verdict.reason),
        since=verdict.since,
        noticed_at=held.noticed_at,
        judged_at=held.judged_at,
        forecast=verdict.forecast,
        proof_level=verdict.proof_level,
        proof_at=verdict.proof_at,
        is_push_proved=verdict.is_push_proved,
        words=saying.verdict_sentence(verdict.state, verdict.since, verdict.sentence, now),
        because=verdict.sentence,
        next=saying.next_sentence(verdict.next_step, verdict.forecast),
        proof=saying.proof_sentence(verdict.proof_level, verdict.proof_at, now, is_push_proved=verdict.is_push_proved),
        causes=saying.candidates_sentence(verdict.candidates),
        candidates=verdict.candidates,
        evidence=verdict.evidence,
        others=verdict.others,
        notes=verdict.notes,
    )


@dataclass(frozen=True, slots=True)
class Held:
    """A stretch of time in which a channel was held to be in *state* for *reason*, as was known then."""

    begins: datetime
    ends: datetime
    state: ControlState
    reason: Reason


def held_since(
    tx: Transaction, channel_ids: Sequence[ChannelId], since: datetime, now: datetime
) -> Mapping[ChannelId, tuple[Held, ...]]:
    """Tell what was held of each of *channel_ids* from *since* to *now*, in order; those never judged are absent."""
    held_now = sa.select(verdicts.c.channel_id, verdicts.c.state, verdicts.c.reason)
    steps = sa.select(*(verdict_changes.c[name] for name in _STEP)).where(
        verdict_changes.c.channel_id.in_(channel_ids), verdict_changes.c.at >= since, verdict_changes.c.at <= now
    )
    points: dict[str, list[tuple[datetime, str, str]]] = {}
    for step in tx.connection.execute(steps.order_by(verdict_changes.c.at, verdict_changes.c.id)):
        known = points.setdefault(step.channel_id, [])
        if not known and step.state_before is not None:
            known.append((since, step.state_before, step.reason_before))
        known.append((step.at, step.state, step.reason))
    for row in tx.connection.execute(held_now.where(verdicts.c.channel_id.in_(channel_ids))):
        points.setdefault(row.channel_id, [(since, row.state, row.reason)])
    return {ChannelId(channel_id): _stretches(known, now) for channel_id, known in points.items()}


_STEP = ("channel_id", "at", "state_before", "reason_before", "state", "reason")


def _stretches(points: Sequence[tuple[datetime, str, str]], now: datetime) -> tuple[Held, ...]:
    ends = [*(at for at, _, _ in points[1:]), now]
    return tuple(
        Held(at, end, ControlState(state), Reason(reason))
        for (at, state, reason), end in zip(points, ends, strict=True)
        if end > at
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What one rule says of a channel. *found*: the sentence of what it found; empty where that is nothing.

    *state* is what that makes of the channel; absent where it is only shown. *decides*: of all of them this one does.
    """

    rule: str
    question: str
    found: str
    reason: Reason | None
    state: ControlState | None
    decides: bool
    is_note: bool
    look_again_at: datetime | None


def answers_of(judgement: Judgement) -> tuple[Answer, ...]:
    """Return what each rule says, in the order in which they are asked. None decides where nothing was found."""
    verdict = judgement.verdict
    answers: list[Answer] = []
    is_decided = False
    for one in judgement.considered:
        found = one.finding
        decides = (
            not is_decided
            and found is not None
            and (found.state, found.reason, found.sentence) == (verdict.state, verdict.reason, verdict.sentence)
        )
        is_decided = is_decided or decides
        answers.append(
            Answer(
                rule=one.rule,
                question=one.question,
                found="" if found is None else found.sentence,
                reason=None if found is None else found.reason,
                state=None if found is None else found.state,
                decides=decides,
                is_note=found is not None and found.state is None,
                look_again_at=one.look_again_at,
            )
        )
    return tuple(answers)
