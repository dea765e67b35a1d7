"""Commands: sent to those who are named or whom a query finds, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from muster.domain.command_findings import Finding
from muster.domain.command_queue import MAXIMUM_RETRIES
from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import MAXIMUM_FILE_BYTES, Call, Written, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Id, Ids, Limits, QueryText
from muster.edges.api.plist_values import to_json
from muster.edges.api.problems import FaultyMember, malformed, of_refusal
from muster.edges.api.property_values import read_request
from muster.operations.cancel_commands import Cancelled, CancelOrder, cancel_commands
from muster.operations.permit import Sight, of_devices, of_fleet, of_no_device
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.send_by_query import SendOrder, order_sends
from muster.operations.views import sends as views
from muster.operations.views.commands import (
    CommandDetails,
    CommandRow,
    CommandShown,
    as_shown,
    list_commands,
    show_command,
)
from muster.operations.views.sends import Preview, PreviewPart, check_send, preview_part
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.sends import Send

Uuid = Annotated[str, Limits("A CommandUUID.", 1, 255, is_plain=True)]


@dataclass(frozen=True, slots=True)
class CommandBody:
    """A command to send, to `ids` or to everyone who is enrolled and whom `where` finds.

    *keys*: what stands beside RequestType, as in Apple's documentation; data is written {"$data": base64}, a date
    {"$date": time}. *users*: with `where`, to the users' channels of who is found. *anyway*: although the device would
    refuse it, as far as is known. *named_count*: how many they are; a command that stops people's work is sent to a
    query's finds with it alone. *after*: a command of the same channel that has to be acknowledged first; with
    *follows_any* it may also fail. *dry_run*: with `where`, say who would get it, and send nothing; *preview_after*: of
    those behind this one, `next_after` of the part before.
    """

    request_type: Annotated[str, Limits("Apple's name, such as DeviceInformation.", 1, 64, is_plain=True)]
    keys: Mapping[str, object] | None = None
    ids: Ids | None = None
    where: QueryText | None = None
    users: bool = False
    dry_run: bool = False
    preview_after: Id | None = None
    priority: Annotated[int, Limits("Higher goes first.", -100, 100)] = 0
    anyway: bool = False
    named_count: Annotated[int | None, Limits("How many they are.", 1, 10_000_000)] = None
    command_uuid: Uuid | None = None
    after: Uuid | None = None
    follows_any: bool = False
    expires_at: datetime | None = None
    retries: Annotated[int, Limits("How often it is tried again after an error.", 0, MAXIMUM_RETRIES)] = 0


@dataclass(frozen=True, slots=True)
class SentCommand:
    """What became of an order.

    To `ids`: *queued_on* has those on whose channels it waits, *may_go_out_on* those to whom it isn't held back,
    *refused* who was left out and why, *findings* what is to be said of it. To a query: *send* says how far it is, and
    `GET /sends/{send_id}` how it goes on. *preview*: what a dry run found; nothing was sent.
    """

    command_uuid: CommandUUID | None
    request_type: str
    queued_on: tuple[ChannelId, ...] = ()
    may_go_out_on: tuple[ChannelId, ...] = ()
    refused: Mapping[ChannelId, Refusal] | None = None
    findings: Mapping[ChannelId, tuple[Finding, ...]] | None = None
    send: Send | None = None
    preview: Preview | None = None


@endpoint(
    "POST",
    "/commands",
    needs=Permission.WAKE,
    refuses=(404, 409),
    gives=SentCommand,
    is_once=True,
    maximum_bytes=MAXIMUM_FILE_BYTES,
)
async def send_command(call: Call, body: CommandBody) -> Written | SentCommand:
    """Send a command.

    It is held against what is known of the command and of the device first; what the device would refuse is not sent.
    Which role it takes depends on the command. To a query it goes part by part, in the background.
    """
    if (body.ids is None) == (body.where is None):
        raise malformed(FaultyMember("body", "give one of ids and where"))
    if body.where is None and (body.users or body.dry_run):
        raise malformed(FaultyMember("body", "users and dry_run are for where alone"))
    request = read_request(body.request_type, body.keys or {})
    if body.where is None:
        return await call.do_once(queue_commands, _to_ids(body, request), _queued)
    order = _to_found(body, body.where, request)
    if body.dry_run:
        return await _preview(call, order, None if body.preview_after is None else ChannelId(body.preview_after))
    return await call.do_once(order_sends, order, _ordered)


def _to_ids(body: CommandBody, request: CommandRequest) -> CommandOrder:
    return CommandOrder(
        tuple(map(ChannelId, dict.fromkeys(body.ids or ()))),
        request,
        body.priority,
        _uuid(body.command_uuid),
        anyway=body.anyway,
        after=_uuid(body.after),
        follows_any=body.follows_any,
        expires_at=body.expires_at,
        retries=body.retries,
        named_count=body.named_count,
    )


def _to_found(body: CommandBody, where: str, request: CommandRequest) -> SendOrder:
    return SendOrder(
        where,
        request,
        body.users,
        body.priority,
        _uuid(body.command_uuid),
        body.anyway,
        body.named_count,
        after=_uuid(body.after),
        follows_any=body.follows_any,
        expires_at=body.expires_at,
        retries=body.retries,
    )


def _uuid(text: str | None) -> CommandUUID | None:
    return None if text is None else CommandUUID(text)


def _queued(queued: QueuedCommand) -> SentCommand:
    return SentCommand(
        queued.command_uuid,
        queued.request_type,
        queued.queued_on,
        queued.may_go_out_on,
        queued.refused,
        queued.findings,
    )


def _ordered(send: Send) -> SentCommand:
    return SentCommand(send.command_uuid, send.request_type, send=send)


async def _preview(call: Call, order: SendOrder, after: ChannelId | None) -> SentCommand:
    now = call.runner.now()

    def look(tx: Transaction, narrowed: SendOrder) -> tuple[int | Refusal, PreviewPart | Refusal, int | Refusal]:
        matched = check_send(tx, narrowed, now, is_preview=True)
        return matched, preview_part(tx, narrowed, after, now), check_send(tx, narrowed, now)

    matched, part, sent = await call.foresee(order_sends, order, look)
    if isinstance(matched, Refusal):
        raise of_refusal(matched)
    if isinstance(part, Refusal):
        raise of_refusal(part)
    as_a_whole = sent if isinstance(sent, Refusal) else None
    preview = Preview(matched, part.fit, part.refused, part.next_after is None, part.next_after, as_a_whole)
    return SentCommand(None, order.request.request_type, preview=preview)


@dataclass(frozen=True, slots=True)
class CommandAsked:
    """Whose part in a command."""

    channel_id: Annotated[Id | None, Limits("Only what this device or user answered.", 1, 512, is_plain=True)] = None


@endpoint("GET", "/commands/{command_uuid}", refuses=(404,))
async def get_command(call: Call, command_uuid: str, asked: CommandAsked) -> CommandShown:
    """Show one command, how many stand where, and what was answered.

    Whoever is limited to groups names the channel.
    """
    only = None if asked.channel_id is None else ChannelId(asked.channel_id)

    def view(tx: Transaction) -> CommandDetails | None:
        return show_command(tx, CommandUUID(command_uuid), only)

    sight: Sight[CommandDetails | None] = of_fleet(view) if only is None else of_devices([only], view)
    details = nothing_known(await call.see(sight), "command", command_uuid)
    if only is not None and not details.rows:
        nothing_known(None, "command of this channel with the UUID", command_uuid)
    return as_shown(details, to_json)


@endpoint("DELETE", "/commands/{command_uuid}", needs=Permission.COMMAND, refuses=(404, 409))
async def cancel_command(call: Call, command_uuid: str, asked: CommandAsked) -> Cancelled:
    """Take a command back wherever it waits, or on one channel; what comes after it is closed with it.

    A device that has it already may carry it out.
    """
    only = () if asked.channel_id is None else (ChannelId(asked.channel_id),)
    return await call.do(cancel_commands, CancelOrder(CommandUUID(command_uuid), only))


@dataclass(frozen=True, slots=True)
class CancelBody:
    """On which channels."""

    ids: Ids


@endpoint("POST", "/commands/{command_uuid}/cancel", needs=Permission.COMMAND, refuses=(404, 409))
async def cancel_command_on(call: Call, command_uuid: str, body: CancelBody) -> Cancelled:
    """Take a command back on some channels; what comes after it there is closed with it."""
    channels = tuple(map(ChannelId, dict.fromkeys(body.ids)))
    return await call.do(cancel_commands, CancelOrder(CommandUUID(command_uuid), channels))


@endpoint("GET", "/devices/{channel_id}/commands", refuses=(404,))
async def list_channel_commands(call: Call, channel_id: str) -> tuple[CommandRow, ...]:
    """List the commands of a device, or of a user's channel: those that wait, then those that were answered."""
    channel = ChannelId(channel_id)
    rows = await call.see(of_devices([channel], lambda tx: list_commands(tx, channel)))
    return nothing_known(rows, "device", channel_id)


@endpoint("DELETE", "/devices/{channel_id}/commands", needs=Permission.COMMAND, refuses=(404, 409))
async def cancel_channel_commands(call: Call, channel_id: str) -> Cancelled:
    """Take back whatever waits on a channel."""
    return await call.do(cancel_commands, CancelOrder(None, (ChannelId(channel_id),)))


@endpoint("GET", "/sends")
async def list_sends(call: Call) -> tuple[Send, ...]:
    """List commands that were sent to a query's finds, the latest first, and how far each is.

    Whoever is limited to groups sees what they sent themselves.
    """
    return await call.see(of_no_device(lambda tx: views.list_sends(tx, call.principal)))


@endpoint("GET", "/sends/{send_id}", refuses=(404,))
async def get_send(call: Call, send_id: str) -> Send:
    """Show how far one command to a query's finds is."""
    found = await call.see(of_no_device(lambda tx: views.show_send(tx, send_id, call.principal)))
    return nothing_known(found, "send", send_id)


ENDPOINTS = (
    send_command,
    get_command,
    cancel_command,
    cancel_command_on,
    list_channel_commands,
    cancel_channel_commands,
    list_sends,
    get_send,
)
