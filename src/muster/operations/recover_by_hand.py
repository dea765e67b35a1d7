"""A person takes part in a recovery: has the next step done now, confirms what needs a person, or stops it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias

from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Verdict
from muster.domain.control.playbooks import PLAYBOOKS
from muster.domain.control.recovery import Act, Found, StepKind, after, doable_step, found_in, is_open_for
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.enrollment_links import LinkOrder, NewLink, create_links
from muster.operations.judge_channels import reason_about
from muster.operations.permit import act, itself
from muster.operations.probe_channels import probe_channels
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.recovery_steps import Order, carry_out
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import enrollments, people, recoveries, reviews
from muster.storage.engine import Transaction
from muster.storage.recoveries import Outcome, Recovery

LONGEST_REST: Final = timedelta(days=30)
"""A recovery that rests for longer is forgotten by who put it off."""
LINK_LIFETIME: Final = timedelta(days=7)
"""Of a link by which one device enrolls again: a person has to get to it."""


@dataclass(frozen=True, slots=True)
class DoneNow:
    """What was done for a channel: *steps* in plain English. *link*: the link that was made, its secret shown once.
    *command_uuid*: the command that was queued."""

    channel_id: ChannelId
    steps: tuple[str, ...]
    link: NewLink | None = None
    command_uuid: CommandUUID | None = None


RecoverOutcome: TypeAlias = DoneNow | Refusal


@act(Permission.WAKE, about=itself)
def recover_now(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[RecoverOutcome]:
    """Do the next step of each channel's recoveries now, whenever it is due; where none is open, ask it a harmless
    question. What needs a person is passed over: that is confirmed by name."""
    return [_now(tx, channel_id, ctx) for channel_id in channel_ids]


def _now(tx: Transaction, channel_id: ChannelId, ctx: Context) -> RecoverOutcome:
    known = _known(tx, channel_id, ctx)
    if isinstance(known, Refusal):
        return known
    dossier, verdict, opened = known
    if dossier.state is not EnrollmentState.ENROLLED:
        return Refusal(
            RefusalCode.NOT_ENROLLED,
            f"{channel_id} is {dossier.state.value}, and nothing is done for it by itself",
            "See `muster recover ID` for what a person can do.",
        )
    steps, changed = [], []
    for recovery in opened:
        done = _next_done(tx, recovery, dossier, verdict, ctx)
        if done is not None:
            changed.append(done)
            steps.append(done.log[-1].what)
        elif recovery.put_off_until is not None:
            changed.append(replace(recovery, put_off_until=None))
    if not steps:
        probe_channels(tx, [channel_id], ctx, wakes=[channel_id])
        steps.append("it is asked a harmless question, and pushed for it")
    recoveries.record(tx, changed)
    people.record_act(tx, ctx.actor, "recovery.now", channel_id, {"steps": "; ".join(steps)}, ctx.now)
    reviews.schedule(tx, channel_id, ctx.now)
    return DoneNow(channel_id, tuple(steps))


def _next_done(
    tx: Transaction, recovery: Recovery, dossier: Dossier, verdict: Verdict, ctx: Context
) -> Recovery | None:
    """Do the next step of one recovery, and return it as it stands then; None: there is none that can be done."""
    playbook = PLAYBOOKS[recovery.run.reason]
    if recovery.outcome is Outcome.STOPPED:
        return None
    if not is_open_for(playbook, found_in(verdict, recovery.run.reason)):
        return None  # it has to prove itself
    found = doable_step(playbook, recovery.run, dossier, ctx.policy.control, ctx.now)
    if found is None:
        return None
    place, step = found
    carry_out(tx, [Order(dossier, step.kind)], ctx)
    run = after(recovery.run, Act(place, step), playbook, ctx.now)
    return replace(recovery, run=run, put_off_until=None).noting(
        ctx.now, step.kind.value, f"{step.sentence} (asked for by a person)"
    )


@dataclass(frozen=True, slots=True)
class ConfirmOrder:
    """A person's go-ahead for a step of *kind* in a recovery of a channel."""

    channel_id: ChannelId
    kind: StepKind


@act(Permission.COMMAND, about=lambda _tx, order: (order.channel_id,))
def confirm_steps(tx: Transaction, orders: Sequence[ConfirmOrder], ctx: Context) -> list[RecoverOutcome]:
    """Do what was confirmed; refused where no recovery of the channel has such a step, or the step itself is."""
    return [_confirm(tx, order, ctx) for order in orders]


def _confirm(tx: Transaction, order: ConfirmOrder, ctx: Context) -> RecoverOutcome:
    known = _known(tx, order.channel_id, ctx)
    if isinstance(known, Refusal):
        return known
    dossier, _, opened = known
    fitting = [
        (recovery, step)
        for recovery in opened
        for step in PLAYBOOKS[recovery.run.reason].steps
        if step.kind is order.kind and recovery.outcome is None
    ]
    if not fitting:
        return Refusal(
            RefusalCode.NOT_FOUND,
            f"no recovery of {order.channel_id} that is open has a step {order.kind.value}",
            "`muster recover ID` shows what is open, and its steps.",
        )
    recovery, step = fitting[0]
    done = DoneNow(order.channel_id, (step.sentence,))
    if step.kind is StepKind.RESTART:
        request = CommandRequest("RestartDevice")
        queued = queue_commands(tx, [CommandOrder((order.channel_id,), request)], ctx)[0]
        if isinstance(queued, Refusal):
            return queued
        if order.channel_id in queued.refused:
            return queued.refused[order.channel_id]
        assert isinstance(queued, QueuedCommand), "what isn't refused is queued"
        done = replace(done, command_uuid=queued.command_uuid)
    elif step.kind is StepKind.RE_ENROLL:
        serial = None if dossier.inventory is None else dossier.inventory.serial_number
        made = create_links(tx, [LinkOrder(1, LINK_LIFETIME, f"to enroll {serial or dossier.device_id} again")], ctx)[0]
        if isinstance(made, Refusal):
            return made
        done = replace(done, link=made)
    else:
        carry_out(tx, [Order(dossier, step.kind)], ctx)
    what = f"{step.sentence} (confirmed by {ctx.actor.name})"
    recoveries.record(tx, [recovery.noting(ctx.now, step.kind.value, what)])
    detail = {"step": step.kind.value, "reason": recovery.run.reason.value}
    people.record_act(tx, ctx.actor, "recovery.confirm", order.channel_id, detail, ctx.now)
    return done


@act(Permission.COMMAND, about=itself)
def stop_recoveries(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[RecoverOutcome]:
    """Have nothing more done for what is found of each channel now; what is found of it anew begins anew."""
    return [_stop(tx, channel_id, ctx) for channel_id in channel_ids]


def _stop(tx: Transaction, channel_id: ChannelId, ctx: Context) -> RecoverOutcome:
    known = _known(tx, channel_id, ctx)
    if isinstance(known, Refusal):
        return known
    _, verdict, opened = known
    going_on = [one for one in opened if one.outcome is None]
    if not going_on:
        return Refusal(RefusalCode.NOT_FOUND, f"no recovery of {channel_id} is going on")
    stopped = []
    for one in going_on:
        is_over = found_in(verdict, one.run.reason) is Found.NOT
        ended = replace(one, outcome=Outcome.STOPPED, next_at=None, closed_at=ctx.now if is_over else None)
        stopped.append(ended.noting(ctx.now, "stopped", f"stopped by {ctx.actor.name}"))
    recoveries.record(tx, stopped)
    reasons = ", ".join(one.run.reason.value for one in stopped)
    people.record_act(tx, ctx.actor, "recovery.stop", channel_id, {"reasons": reasons}, ctx.now)
    return DoneNow(channel_id, tuple(f"nothing more is done for {one.run.reason.value}" for one in stopped))


@dataclass(frozen=True, slots=True)
class PutOffOrder:
    """The recoveries of a channel are to rest for a time, at most LONGEST_REST."""

    channel_id: ChannelId
    rest: timedelta


@act(Permission.COMMAND, about=lambda _tx, order: (order.channel_id,))
def put_off_recoveries(tx: Transaction, orders: Sequence[PutOffOrder], ctx: Context) -> list[RecoverOutcome]:
    """Have no step done for a while about what is found of each channel; whoever does one now ends that."""
    return [_put_off(tx, order, ctx) for order in orders]


def _put_off(tx: Transaction, order: PutOffOrder, ctx: Context) -> RecoverOutcome:
    if not timedelta(0) < order.rest <= LONGEST_REST:
        return Refusal(
            RefusalCode.ORDER_UNFIT,
            f"a recovery is put off for {LONGEST_REST.days} days at most",
            "Forbid it, if nothing more is to be done about what is found now.",
        )
    known = _known(tx, order.channel_id, ctx)
    if isinstance(known, Refusal):
        return known
    going_on = [one for one in known[2] if one.outcome is None]
    if not going_on:
        return Refusal(RefusalCode.NOT_FOUND, f"no recovery of {order.channel_id} is going on")
    until = ctx.now + order.rest
    said = f"put off until {until:%-d %B %H:%M} UTC by {ctx.actor.name}"
    rest = [replace(one, put_off_until=until, next_at=until).noting(ctx.now, "put_off", said) for one in going_on]
    recoveries.record(tx, rest)
    reasons = ", ".join(one.run.reason.value for one in rest)
    detail = {"reasons": reasons, "until": until.isoformat()}
    people.record_act(tx, ctx.actor, "recovery.put_off", order.channel_id, detail, ctx.now)
    reviews.schedule(tx, order.channel_id, ctx.now)
    return DoneNow(order.channel_id, (said,))


def _known(
    tx: Transaction, channel_id: ChannelId, ctx: Context
) -> tuple[Dossier, Verdict, tuple[Recovery, ...]] | Refusal:
    found = enrollments.find(tx, [channel_id]).get(channel_id)
    if found is None:
        return Refusal(RefusalCode.NOT_FOUND, f"no channel {channel_id} is known", "See `muster devices list`.")
    tx.lock_rows(sorted({channel_id, ChannelId(found.channel.device_id)}))
    reasoning = reason_about(tx, channel_id, ctx)
    assert reasoning is not None, "it is stored"
    opened = recoveries.open_of(tx, [channel_id]).get(channel_id, ())
    return reasoning.dossier, reasoning.judgement.verdict, opened
