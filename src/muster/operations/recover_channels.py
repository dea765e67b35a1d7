"""Channels are brought back: recoveries open when something is found, go on with each review, and close when proved.

Level-triggered by the verdict that a review made, in its transaction: what a missed change would have said, the next
review finds. Each step is done in the transaction that records it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Verdict
from muster.domain.control.glance import PROOF_RENEWED_AT
from muster.domain.control.playbooks import PLAYBOOKS
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.recovery import (
    SILENT_AFTER,
    Act,
    AskPerson,
    Decision,
    Found,
    GiveUp,
    Prove,
    Recovered,
    Run,
    Step,
    StepKind,
    WaitUntil,
    after,
    found_in,
    is_open_for,
    looked_at,
    next_step,
)
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.domain.events import Event, EventType
from muster.operations.context import Context
from muster.operations.probe_channels import probe_channels
from muster.operations.recovery_steps import Order, carry_out
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record
from muster.storage import enrollments, outbox, recoveries
from muster.storage.engine import Transaction
from muster.storage.recoveries import Outcome, Recovery

HELD_BY_OTHERS: Final = timedelta(minutes=1)
"""Until a channel is looked at again that was just then in contact: a review waits for nobody's row."""
ASKED_LATELY: Final = timedelta(days=1)
"""Whatever it was handed within this shows whether it obeys: nothing more is asked for a proof that grows old."""
STOPPED: Final = "stopped"
STARTED: Final = "started"
PROVED: Final = "proved"
GAVE_UP: Final = "gave_up"
"""Words of the log beside the kinds of steps."""


@record(frozen=True, slots=True)
class Looked:
    """What a review holds of a channel now. *judged_before*: when the review before it was; None: it is the first."""

    dossier: Dossier
    verdict: Verdict
    policy: ControlPolicy
    judged_before: datetime | None


@dataclass(frozen=True, slots=True)
class Recovering:
    """What is to be minded. *next_at*: when something is to be done for a channel; *waiting*: those of which the next
    contact is to be looked at."""

    next_at: Mapping[ChannelId, datetime] = field(default_factory=dict)
    waiting: frozenset[ChannelId] = frozenset()
    failed: tuple[tuple[ChannelId, str], ...] = ()
    """Channels for which a fault of ours kept us from deciding what to do, and what it was."""


@dataclass(slots=True)
class _Work:
    """What is to be done for a batch."""

    orders: list[Order] = field(default_factory=list)
    proofs: list[tuple[Looked, bool]] = field(default_factory=list)
    changed: list[Recovery] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    next_at: dict[ChannelId, datetime] = field(default_factory=dict)
    waiting: set[ChannelId] = field(default_factory=set)

    def add(self, other: "_Work") -> None:
        self.orders += other.orders
        self.proofs += other.proofs
        self.changed += other.changed
        self.events += other.events
        self.next_at |= other.next_at
        self.waiting |= other.waiting

    def look_at(self, channel_id: ChannelId, at: datetime) -> None:
        self.next_at[channel_id] = min(at, self.next_at.get(channel_id, at))


def recover_channels(tx: Transaction, looked: Sequence[Looked], ctx: Context) -> Recovering:
    """Do what is due to bring each channel back, or to keep its proof from growing old; each stands there once."""
    known = recoveries.open_of(tx, [one.dossier.channel_id for one in looked])
    busy = [one for one in looked if one.dossier.channel_id in known or _opens(one) or is_proof_old(one, ctx.now)]
    if not busy:
        return Recovering()
    rows = {id_ for one in busy for id_ in (one.dossier.channel_id, one.dossier.device_id)}
    free = set(enrollments.claim_rows(tx, sorted(rows)))
    work, failed = _Work(), []
    for one in busy:
        channel_id = one.dossier.channel_id
        if not {channel_id, one.dossier.device_id} <= free:
            work.look_at(channel_id, ctx.now + HELD_BY_OTHERS)
            continue
        own = _Work()
        try:
            _go_on(one, known.get(channel_id, ()), ctx, own)
        except Exception as error:  # a fault of ours with one channel; the others are seen to
            failed.append((channel_id, f"{type(error).__name__}: {error}"))
        else:
            work.add(own)
    carry_out(tx, work.orders, ctx)
    ids = [one.dossier.channel_id for one, _ in work.proofs]
    probe_channels(tx, ids, ctx, wakes=[one.dossier.channel_id for one, wakes in work.proofs if wakes])
    recoveries.record(tx, work.changed)
    outbox.append(tx, work.events)
    return Recovering(work.next_at, frozenset(work.waiting), tuple(failed))


def _found(looked: Looked) -> list[Reason]:
    """Return the reasons for which something is done, the one that decides first."""
    verdict = looked.verdict
    named = [verdict.reason, *verdict.others, *(note.reason for note in verdict.notes)]
    return [one for one in dict.fromkeys(named) if is_open_for(PLAYBOOKS[one], found_in(verdict, one))]


def _opens(looked: Looked) -> bool:
    return bool(_found(looked))


def is_proof_old(looked: Looked, now: datetime) -> bool:
    """Tell whether a channel that comes is to be asked before its proof's window ends, at its next contact."""
    dossier, verdict = looked.dossier, looked.verdict
    if dossier.state is not EnrollmentState.ENROLLED or dossier.set_up is not None or dossier.obedience.waiting:
        return False
    if verdict.state not in (ControlState.IN_CONTROL, ControlState.AT_RISK):
        return False
    heard_at, proof_at = dossier.last_contact_at, dossier.last_proof_at
    asked_at = dossier.obedience.handed_out_at
    if heard_at is None or now - heard_at >= SILENT_AFTER or (asked_at is not None and now - asked_at < ASKED_LATELY):
        return False
    if proof_at is None or (dossier.enrolled_at is not None and proof_at < dossier.enrolled_at):
        return True
    return now - proof_at >= looked.policy.proof_window / PROOF_RENEWED_AT


def _go_on(looked: Looked, known: Sequence[Recovery], ctx: Context, work: _Work) -> None:
    present = {one.run.reason for one in known}
    opened = [_open(looked, reason, ctx, work) for reason in _found(looked) if reason not in present]
    for is_new, recovery in [(False, one) for one in known] + [(True, one) for one in opened]:
        changed = _advance(looked, recovery, ctx, work)
        if is_new or changed != recovery:
            work.changed.append(changed)
    if is_proof_old(looked, ctx.now) and not work.proofs and not work.orders:
        work.proofs.append((looked, False))


def _open(looked: Looked, reason: Reason, ctx: Context, work: _Work) -> Recovery:
    recovery = Recovery(ctx.new_id(), looked.dossier.channel_id, Run(reason, ctx.now))
    _tell(EventType.RECOVERY_STARTED, looked, recovery, looked.verdict.next_step, ctx, work)
    return recovery.noting(ctx.now, STARTED, REASONS[reason].title)


def _advance(looked: Looked, recovery: Recovery, ctx: Context, work: _Work) -> Recovery:
    """Do what is next for one recovery, and return it as it stands then."""
    playbook, found = PLAYBOOKS[recovery.run.reason], found_in(looked.verdict, recovery.run.reason)
    if recovery.outcome is Outcome.STOPPED:
        is_over = not is_open_for(playbook, found)
        return replace(recovery, closed_at=ctx.now, next_at=None) if is_over else recovery
    run = looked_at(recovery.run, found, playbook, looked.judged_before or recovery.run.opened_at)
    if recovery.is_put_off(ctx.now) and is_open_for(playbook, found):
        assert recovery.put_off_until is not None, "it is put off until then"
        work.look_at(recovery.channel_id, recovery.put_off_until)
        return replace(recovery, run=run, next_at=recovery.put_off_until)
    for _ in range(len(playbook.steps) + 1):  # what only is said is done, and the next step looked at
        decision = next_step(playbook, run, looked.dossier, looked.verdict, looked.policy, ctx.now)
        recovery = _note(looked, replace(recovery, run=run), decision, ctx, work)
        run = after(run, decision, playbook, ctx.now)
        recovery = replace(recovery, run=run)
        if not _is_saying(decision):
            break
    return _minded(looked, recovery, decision, found, ctx, work)


def _is_saying(decision: Decision) -> bool:
    return isinstance(decision, AskPerson) or (isinstance(decision, Act) and decision.step.kind in _SAID)


_SAID: Final = frozenset({StepKind.WAIT, StepKind.TELL, StepKind.REASSIGN})


def _note(looked: Looked, recovery: Recovery, decision: Decision, ctx: Context, work: _Work) -> Recovery:
    """Set going what was decided, and note it in the log."""
    match decision:
        case Act(place, step, wakes):
            is_repeated = place == recovery.run.step and recovery.run.attempts > 0
            if step.kind in (StepKind.TELL, StepKind.REASSIGN) and not is_repeated:
                _tell(EventType.RECOVERY_NEEDS_PERSON, looked, recovery, step.sentence, ctx, work)
            work.orders.append(Order(looked.dossier, step.kind, wakes))
            return recovery if step.kind is StepKind.WAIT and is_repeated else _said(recovery, step, ctx)
        case AskPerson(_, step):
            _tell(EventType.RECOVERY_NEEDS_PERSON, looked, recovery, step.sentence, ctx, work)
            return _said(recovery, step, ctx)
        case Prove(wakes):
            work.proofs.append((looked, wakes and not REASONS[recovery.run.reason].is_ours))
            return recovery.noting(ctx.now, StepKind.PROBE.value, "its cause is over; it is asked a harmless question")
        case GiveUp(words, True):
            return replace(recovery, closed_at=ctx.now, outcome=Outcome.ENDED).noting(ctx.now, GAVE_UP, words)
        case GiveUp(words):
            return recovery.noting(ctx.now, GAVE_UP, words)
        case Recovered(proof_at):
            recovery = replace(recovery, closed_at=ctx.now, outcome=Outcome.RECOVERED, proof_at=proof_at)
            _tell(EventType.RECOVERY_PROVED, looked, recovery, "", ctx, work)
            return recovery.noting(ctx.now, PROVED, "it obeyed a harmless command after its cause was over")
        case WaitUntil():
            return recovery


def _said(recovery: Recovery, step: Step, ctx: Context) -> Recovery:
    return recovery.noting(ctx.now, step.kind.value, step.sentence)


def _minded(looked: Looked, recovery: Recovery, last: Decision, found: Found, ctx: Context, work: _Work) -> Recovery:
    """Decide when to look again, and whether the next contact is to be looked at."""
    channel_id = recovery.channel_id
    if recovery.closed_at is not None:
        return replace(recovery, next_at=None)
    playbook = PLAYBOOKS[recovery.run.reason]
    coming = last
    if not isinstance(last, WaitUntil):
        coming = next_step(playbook, recovery.run, looked.dossier, looked.verdict, looked.policy, ctx.now)
    next_at = coming.at if isinstance(coming, WaitUntil) else ctx.now + HELD_BY_OTHERS
    if next_at is not None:
        work.look_at(channel_id, next_at)
    acted = isinstance(last, Act) and last.step.kind in (StepKind.RENEWAL, StepKind.PROFILE_AGAIN)
    if acted:
        work.look_at(channel_id, ctx.now)  # what is due about its identity is done by the review after this one
    if not is_open_for(playbook, found) or (isinstance(coming, WaitUntil) and coming.at_contact):
        work.waiting.add(channel_id)
    return replace(recovery, next_at=next_at)


def _tell(event_type: EventType, looked: Looked, recovery: Recovery, what: str, ctx: Context, work: _Work) -> None:
    """Tell others of a recovery. What is ours is told once, as an incident, and not of each channel."""
    reason = recovery.run.reason
    if REASONS[reason].is_ours:
        return
    detail = {
        "recovery": recovery.id,
        "reason": reason.value,
        "state": looked.verdict.state.value,
        "what": what,
    }
    work.events.append(Event(ctx.new_id(), event_type, recovery.channel_id, ctx.now, detail))
