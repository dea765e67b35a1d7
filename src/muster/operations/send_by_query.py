"""An administrator sends a command to everyone whom a query finds: recorded in one act, queued part by part.

A fleet in one transaction would keep its devices waiting for as long as that takes. So the order is a row that says how
far it is; any node goes on with it, and so does the command line that gave it. Who is found is told anew for each part.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias

from muster.domain.bulk_sends import is_disruptive, wake_at, wrong_count
from muster.domain.command_findings import CommandTarget
from muster.domain.command_secrets import holds_secret
from muster.domain.command_validation import check_command
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission, to_send
from muster.domain.queries.fields import FIELDS
from muster.domain.queries.syntax import AllOf, OneOf, Query
from muster.operations.check_commands import malformed, unwritable
from muster.operations.context import Context
from muster.operations.let_go import may_remove_enrollments
from muster.operations.permit import act, nobody
from muster.operations.queue_command import CommandOrder, SendPart, command_body, queue_commands, unfit_terms
from muster.operations.read_query import read_query
from muster.protocol.command import Command, CommandRequest, decode_command, encode_command
from muster.protocol.identifiers import CommandUUID
from muster.storage import commands, people, queries, sends
from muster.storage.engine import Transaction, Work
from muster.storage.sends import LeftOut, Send

CHANNELS_IN_PART: Final = 1000
"""Queued in one transaction: devices wait for a tenth of a second, and a fleet takes a hundred of them."""
_REACHABLE: Final = OneOf(FIELDS["state"], (EnrollmentState.ENROLLED.value, EnrollmentState.DORMANT.value))


@dataclass(frozen=True, slots=True)
class SendOrder:
    """A command for everyone who is enrolled and whom *query* finds."""

    query: str
    request: CommandRequest
    to_users: bool = False
    """To the users' channels of who is found, in place of the devices'."""
    priority: int = 0
    command_uuid: CommandUUID | None = None
    anyway: bool = False
    named_count: int | None = None
    """How many they are: needed where the command stops people's work, and never wrong."""
    after: CommandUUID | None = None
    """A command that has to be acknowledged first, on each channel; who never had it, or failed, is left out."""
    follows_any: bool = False
    """Hand it out also when *after* fails, expires or is cancelled."""
    expires_at: datetime | None = None
    """From then on it is not handed out any more; in the future."""
    retries: int = 0
    """How often it is tried again after an error; at most MAXIMUM_RETRIES."""


SendOutcome: TypeAlias = Send | Refusal


def _narrowed(order: SendOrder, narrow: Callable[[str], str | Refusal]) -> SendOrder | Refusal:
    """Return the order for those alone whom *narrow* lets through."""
    query = narrow(order.query)
    return query if isinstance(query, Refusal) else replace(order, query=query)


@act(lambda order: to_send(order.request.request_type), narrow=_narrowed)
def order_sends(tx: Transaction, orders: Sequence[SendOrder], ctx: Context) -> list[SendOutcome]:
    """Record each of *orders*, an act of the audit log each; `continue_sends` queues them.

    Refused where the query can't be read or finds nobody, the command's form is wrong, its UUID is another's, or the
    count named is wrong or missing.
    """
    return [_order(tx, order, ctx) for order in orders]


def _order(tx: Transaction, order: SendOrder, ctx: Context) -> SendOutcome:
    request = order.request
    matched = count_matches(tx, order, ctx.now)
    if isinstance(matched, Refusal):
        return matched
    refusal = refused_as_a_whole(tx, order, matched, ctx.now)
    if refusal is not None:
        return refusal
    command_uuid = order.command_uuid or CommandUUID(ctx.new_id().upper())
    if commands.body(tx, command_uuid) is not None:
        remedy = "Give this one another CommandUUID, or none: then Muster makes one."
        return Refusal(RefusalCode.CONFLICT, f"a command {command_uuid} was sent before", remedy)
    body, is_sealed = encode_command(Command(command_uuid, request.request_type, request.keys)), holds_secret(request)
    kept = ctx.seal(body, table="commands", column="body", row=command_uuid) if is_sealed else body
    new = commands.NewCommand(command_uuid, request.request_type, kept, ctx.actor.name, is_sealed=is_sealed)
    commands.add(tx, new, ctx.now)
    send = Send(
        ctx.new_id(),
        command_uuid,
        request.request_type,
        order.query,
        order.to_users,
        order.priority,
        order.anyway,
        order.named_count,
        matched,
        ctx.now,
        ctx.actor,
        after_uuid=order.after,
        follows_any=order.follows_any,
        expires_at=order.expires_at,
        retries=order.retries,
    )
    sends.add(tx, send)
    tx.made_due(Work.SENDS, ctx.now)
    _record(tx, send, ctx)
    return send


def _record(tx: Transaction, send: Send, ctx: Context) -> None:
    detail: people.AuditDetail = {
        "command_uuid": send.command_uuid,
        "request_type": send.request_type,
        "query": send.query,
        "to_users": send.to_users,
        "matched": send.matched,
        "named_count": send.named_count,
        "anyway": send.is_anyway,
    }
    people.record_act(tx, ctx.actor, "command.send", send.command_uuid, detail, ctx.now)


def count_matches(tx: Transaction, order: SendOrder, now: datetime) -> int | Refusal:
    """Count the channels that *order* would go to at *now*; a refusal where its query can't be read."""
    query = reachable(tx, order.query)
    return query if isinstance(query, Refusal) else queries.count(tx, query, now, users=order.to_users)


def refused_as_a_whole(tx: Transaction, order: SendOrder, matched: int, now: datetime) -> Refusal | None:
    """Tell why *order* can't be sent to anybody at *now*, its query finding *matched*, or None when it can."""
    request = order.request
    waits_wrongly = unfit_terms(
        expires_at=order.expires_at, retries=order.retries, after=order.after, follows_any=order.follows_any, now=now
    )
    return (
        waits_wrongly
        or unwritable(request)
        or malformed(request, check_command(request, {CommandTarget()}).values())
        or wrong_count(
            request.request_type,
            is_disruptive=is_disruptive(request.request_type, removes_enrollment=may_remove_enrollments(tx, request)),
            matched=matched,
            named_count=order.named_count,
        )
    )


def reachable(tx: Transaction, text: str) -> Query | Refusal:
    """Read a query for those alone whom commands reach."""
    query = read_query(tx, text)
    return query if isinstance(query, Refusal) else AllOf((query, _REACHABLE))


# --- part by part -----------------------------------------------------------------------------------------------------


@act(Permission.WAKE, about=nobody)
def continue_sends(tx: Transaction, send_ids: Sequence[str | None], ctx: Context) -> list[Send | None]:
    """Queue the next part of each order, of the oldest unfinished one where the id is None; returns how far it is.

    None: there is no such order that is unfinished, or another node is at it.
    """
    return [_continue(tx, send_id, ctx) for send_id in send_ids]


def _continue(tx: Transaction, send_id: str | None, ctx: Context) -> Send | None:
    send = sends.claim(tx, send_id)
    if send is None:
        return None
    query = reachable(tx, send.query)
    after = _stopped(send, query, ctx) if isinstance(query, Refusal) else _queue_part(tx, send, query, ctx)
    sends.store_progress(tx, after)
    if after.finished_at is None:
        tx.made_due(Work.SENDS, ctx.now)
    return after


def _queue_part(tx: Transaction, send: Send, query: Query, ctx: Context) -> Send:
    tx.look_up_by_keys()
    limit = CHANNELS_IN_PART
    if send.named_count is not None:
        limit = min(limit, send.named_count - send.reached)
    found = queries.find(tx, query, ctx.now, after=send.cursor, limit=limit, users=send.to_users) if limit else ()
    if not found:
        return replace(send, finished_at=ctx.now)
    body = command_body(tx, send.command_uuid, ctx)
    assert body is not None, "what is being sent is stored"
    command = decode_command(body)
    order = CommandOrder(
        found,
        CommandRequest(command.request_type, command.keys),
        send.priority,
        send.command_uuid,
        anyway=send.is_anyway,
        after=send.after_uuid,
        follows_any=send.follows_any,
        expires_at=send.expires_at,
        retries=send.retries,
        part=SendPart(wake_at(ctx.now, send.ordered_at, send.queued, ctx.policy.push_coalescing)),
    )
    (outcome,) = queue_commands(tx, [order], replace(ctx, actor=send.actor))
    if isinstance(outcome, Refusal):
        return _stopped(send, outcome, ctx)
    return replace(
        send,
        cursor=found[-1],
        queued=send.queued + len(outcome.queued_on),
        refused=with_refusals(send.refused, outcome.refused.values()),
        finished_at=ctx.now if len(found) < limit else None,
    )


def with_refusals(before: Mapping[str, LeftOut], refused: Iterable[Refusal]) -> dict[str, LeftOut]:
    """Count *refused* with those before them; of each kind the first is kept as an example."""
    counted = dict(before)
    for refusal in refused:
        known = counted.get(refusal.code, LeftOut(0, refusal.message))
        counted[refusal.code.value] = LeftOut(known.count + 1, known.example)
    return counted


def _stopped(send: Send, refusal: Refusal, ctx: Context) -> Send:
    return replace(send, finished_at=ctx.now, stopped_because=refusal.message)


@dataclass(frozen=True, slots=True)
class FailedSend:
    """An order that a fault of ours keeps from going on."""

    send_id: str | None
    error: str


def stop_sends(tx: Transaction, failed: Sequence[FailedSend], ctx: Context) -> list[Send | None]:
    """End orders that can't go on, so that others can; the channels that were reached keep their command."""
    stopped: list[Send | None] = []
    for one in failed:
        send = sends.claim(tx, one.send_id)
        if send is not None:
            send = replace(send, finished_at=ctx.now, stopped_because=f"a fault of the server's: {one.error}"[:500])
            sends.store_progress(tx, send)
        stopped.append(send)
    return stopped
