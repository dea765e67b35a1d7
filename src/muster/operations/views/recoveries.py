"""Recoveries as people see them: what is done to bring a channel back, what was done, and what comes next."""

from dataclasses import dataclass, replace
from datetime import datetime

from muster.domain.control.playbooks import PLAYBOOKS
from muster.domain.control.reasons import REASONS
from muster.domain.control.recovery import (
    AskPerson,
    PlannedStep,
    Run,
    Step,
    WaitUntil,
    found_in,
    is_open_for,
    next_step,
    plan,
)
from muster.operations.context import Present
from muster.operations.judge_channels import Reasoning, reason_about
from muster.operations.recover_by_hand import DoneNow
from muster.operations.views.links import link_address
from muster.protocol.identifiers import ChannelId
from muster.storage import recoveries
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds
from muster.storage.recoveries import Done, Outcome, Recovery

LIST_LIMIT = 1000
HISTORY_LIMIT = 10
"""Recoveries of one channel that are shown, the latest first."""


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """One recovery. *title*: its reason in a few words. *next*: what it waits for, or does next, in plain English.

    *next_at*: not before then; None: at the channel's next contact, or nothing more is done.
    """

    id: str
    channel_id: ChannelId
    reason: str
    title: str
    opened_at: datetime
    next_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    proof_at: datetime | None
    next: str
    log: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A step of the plan for one reason: what would be done if the reason stayed. *at_contact*: at a contact from *at*
    on; *needs_person*: only when a person confirms *kind*."""

    reason: str
    at: datetime
    kind: str
    what: str
    at_contact: bool
    needs_person: bool


@dataclass(frozen=True, slots=True)
class Recovering:
    """All of one channel: how it is held to be *now*, its recoveries, the latest first, and the plan of those that
    last or would begin now."""

    channel_id: ChannelId
    state: str
    reason: str
    sentence: str
    recoveries: tuple[RecoveryRow, ...]
    plan: tuple[Planned, ...]
    confirmable: tuple[str, ...]
    """Kinds of steps that a person may confirm."""


def list_recoveries(
    tx: Transaction, *, limit: int = LIST_LIMIT, within: Bounds | None = None
) -> tuple[RecoveryRow, ...]:
    """Read the recoveries that are open, those opened first at the top; *within* bounds, where there are any."""
    return tuple(_row(one, "") for one in recoveries.list_open(tx, limit=limit, within=within))


def show_recovery(tx: Transaction, channel_id: ChannelId, ctx: Present) -> Recovering | None:
    """Tell what is done and was done for a channel; None where it isn't stored. Nothing is written."""
    reasoning = reason_about(tx, channel_id, ctx)
    if reasoning is None:
        return None
    verdict = reasoning.judgement.verdict
    kept = recoveries.of_channel(tx, channel_id, limit=HISTORY_LIMIT)
    going_on = [one.run for one in kept if one.closed_at is None and one.outcome is None]
    rests = {
        one.run.reason.value: one.put_off_until for one in kept if one.closed_at is None and one.is_put_off(ctx.now)
    }
    present = {one.run.reason for one in kept if one.closed_at is None}
    named = dict.fromkeys((verdict.reason, *verdict.others, *(note.reason for note in verdict.notes)))
    would_begin = [
        Run(reason, ctx.now)
        for reason in named
        if reason not in present and is_open_for(PLAYBOOKS[reason], found_in(verdict, reason))
    ]
    runs = [*going_on, *would_begin]
    planned = [one for run in runs for one in _planned(run, reasoning, ctx)]
    planned = [replace(one, at=max(one.at, rests.get(one.reason) or one.at)) for one in planned]
    return Recovering(
        channel_id,
        verdict.state.value,
        verdict.reason.value,
        verdict.sentence,
        tuple(_row(one, _next(one, reasoning, ctx)) for one in kept),
        tuple(sorted(planned, key=lambda one: one.at)),
        tuple(dict.fromkeys(one.kind for one in planned if one.needs_person)),
    )


def _planned(run: Run, reasoning: Reasoning, ctx: Present) -> list[Planned]:
    playbook = PLAYBOOKS[run.reason]
    if not is_open_for(playbook, found_in(reasoning.judgement.verdict, run.reason)):
        what = "it is asked a harmless question, whose answer proves that it has recovered"
        return [Planned(run.reason.value, ctx.now, "probe", what, at_contact=True, needs_person=False)]
    steps = plan(playbook, run, reasoning.dossier, ctx.policy.control, ctx.now)
    return [_of_plan(run, one) for one in steps]


def _of_plan(run: Run, one: PlannedStep) -> Planned:
    step: Step = one.step
    return Planned(run.reason.value, one.at, step.kind.value, step.sentence, one.at_contact, one.needs_person)


def _next(one: Recovery, reasoning: Reasoning, ctx: Present) -> str:
    if one.closed_at is not None:
        return ""
    if one.outcome is Outcome.STOPPED:
        return "nothing: it was stopped"
    playbook = PLAYBOOKS[one.run.reason]
    verdict = reasoning.judgement.verdict
    if one.is_put_off(ctx.now) and is_open_for(playbook, found_in(verdict, one.run.reason)):
        return "nothing before then: it was put off"
    decision = next_step(playbook, one.run, reasoning.dossier, verdict, ctx.policy.control, ctx.now)
    if isinstance(decision, WaitUntil):
        return f"{decision.words}, at its next contact" if decision.at_contact else decision.words
    if isinstance(decision, AskPerson):
        return decision.step.sentence
    return "something is due, and done within a minute"


def _row(one: Recovery, what_is_next: str) -> RecoveryRow:
    return RecoveryRow(
        id=one.id,
        channel_id=one.channel_id,
        reason=one.run.reason.value,
        title=REASONS[one.run.reason].title,
        opened_at=one.run.opened_at,
        next_at=one.next_at,
        closed_at=one.closed_at,
        outcome=None if one.outcome is None else one.outcome.value,
        proof_at=one.proof_at,
        next=what_is_next,
        log=one.log,
    )


@dataclass(frozen=True, slots=True)
class RecoveryDone:
    """What was done. *url*: the link by which the device enrolls again, until *expires_at*, where one was made; it is
    shown this once."""

    channel_id: ChannelId
    steps: tuple[str, ...]
    command_uuid: str | None
    url: str | None
    expires_at: datetime | None


def told_as_done(done: DoneNow, public_url: str) -> RecoveryDone:
    """Say what a person had done; a link is opened under *public_url*."""
    link = done.link
    url = None if link is None else link_address(public_url, link)
    expires_at = None if link is None else link.link.expires_at
    return RecoveryDone(done.channel_id, done.steps, done.command_uuid, url, expires_at)
