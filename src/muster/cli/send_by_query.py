"""`muster commands send --where`: a command to everyone whom a query finds, and `sends`, what became of those."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.orders_to_many import nothing, see_through, state_of, tell_left_out
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_acts import Asked, to_found
from muster.cli.server_calls import Server, at
from muster.domain.bulk_sends import WOKEN_PER_SECOND
from muster.domain.errors import Refusal
from muster.operations.send_by_query import SendOrder, continue_sends, order_sends, with_refusals
from muster.operations.views.sends import Preview, check_send, preview_part
from muster.protocol.identifiers import ChannelId
from muster.storage import sends
from muster.storage.engine import Transaction
from muster.storage.sends import Send

if TYPE_CHECKING:
    from muster.cli.connection import Connection

T = TypeVar("T")

FIT_SHOWN: Final = 10
"""Of those whom a preview names."""

Where = Annotated[
    str | None,
    typer.Option("--where", metavar="QUERY", help="Everyone who is enrolled and whom this finds, in place of ID."),
]
Users = Annotated[
    bool, typer.Option("--users", help="With --where: to the users' channels of who is found, not the devices'.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --where: say who would get it, and send nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="With --where: don't ask whether all of them are meant.")]


def send_to_found(data: Office, order: SendOrder, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Send a command to everyone whom the order's query finds, and say how far it is; or say what that would do."""
    if dry_run:
        parts = data.ask(lambda here: _looked_at_here(here, order), lambda there: _looked_at_there(there, order))
        _preview(order, parts, as_json)
        return
    matched = data.ask(lambda here: _matched_here(here, order), lambda there: _matched_there(there, order))
    if not as_json:
        whom = "users" if order.to_users else "devices"
        print(f"The query finds {matched:,} {whom}.", file=sys.stderr)
        if not yes and order.named_count is None and sys.stdin.isatty():
            typer.confirm(f"Send {order.request.request_type} to all of them?", abort=True, err=True)
    send = data.run(order_sends, order)
    is_shown = not as_json and sys.stderr.isatty()
    send = data.ask(
        lambda here: see_through(
            send,
            lambda: here.view(lambda tx: _read(tx, send.id), about=()),
            lambda: here.run(continue_sends, send.id),
            is_shown=is_shown,
        ),
        lambda there: see_through(send, lambda: there.get(at("sends", send.id), Send), nothing, is_shown=is_shown),
    )
    if as_json:
        print_json(send)
    else:
        _tell(send)
    if send.stopped_because is not None:
        raise CommandFailed(send.stopped_because, remedy="See `muster commands sends`.")


def _unless_refused(outcome: T | Refusal) -> T:
    if isinstance(outcome, Refusal):
        raise CommandRefused(outcome)
    return outcome


def _matched_here(here: "Connection", order: SendOrder) -> int:
    now = here.now
    return _unless_refused(here.view(lambda tx: check_send(tx, order, now)))


def _matched_there(there: Server, order: SendOrder) -> int:
    shown = _part_there(there, order, None)
    if shown.refused_as_a_whole is not None:
        raise CommandRefused(shown.refused_as_a_whole)
    return shown.matched


def _looked_at_here(here: "Connection", order: SendOrder) -> list[Preview]:
    now = here.now
    matched = _unless_refused(here.view(lambda tx: check_send(tx, order, now, is_preview=True)))
    parts: list[Preview] = []
    after: ChannelId | None = None
    while True:
        part = _unless_refused(here.view(lambda tx, after=after: preview_part(tx, order, after, now)))  # type: ignore[misc]
        after = part.next_after
        parts.append(Preview(matched, part.fit, part.refused, after is None, after))
        if after is None:
            return parts


def _looked_at_there(there: Server, order: SendOrder) -> list[Preview]:
    parts = [_part_there(there, order, None)]
    while parts[-1].next_after is not None:
        parts.append(_part_there(there, order, parts[-1].next_after))
    return parts


def _part_there(there: Server, order: SendOrder, after: ChannelId | None) -> Preview:
    body = {**to_found(order), "dry_run": True, "preview_after": after}
    return there.outcome(Asked("POST", "/commands", body, "preview"), Preview)


def _read(tx: Transaction, send_id: str) -> Send:
    found = sends.read(tx, send_id)
    assert found is not None, "orders are never deleted"
    return found


def _tell(send: Send) -> None:
    print(send.command_uuid)
    seconds = send.queued // WOKEN_PER_SECOND
    pace = f", within {seconds:,} s" if seconds else ""
    print(f"{send.request_type} waits for {send.queued:,}, who are pushed{pace}.", file=sys.stderr)
    tell_left_out(send.refused)


def _preview(order: SendOrder, parts: Sequence[Preview], as_json: bool) -> None:
    fit = [channel_id for part in parts for channel_id in part.fit]
    left_out = {channel_id: refusal for part in parts for channel_id, refusal in part.refused.items()}
    matched = parts[0].matched
    if as_json:
        reasons = {channel_id: {"code": one.code, "message": one.message} for channel_id, one in left_out.items()}
        print_json({"request_type": order.request.request_type, "matched": matched, "fit": fit, "refused": reasons})
        return
    print(f"{order.request.request_type} would wait for {len(fit):,} of {matched:,}; nothing was sent.")
    for channel_id in fit[:FIT_SHOWN]:
        print(f"  {channel_id}")
    if len(fit) > FIT_SHOWN:
        print(f"  and {len(fit) - FIT_SHOWN:,} more; --json names all")
    tell_left_out(with_refusals({}, left_out.values()))


def list_sends(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List commands that were sent by query, the newest first, and how far they are."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(lambda here: here.view(sends.latest), lambda there: there.get("/sends", tuple[Send, ...]))
        now = data.now
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("Nothing was sent by query yet. See `muster commands send --where`.")
        return
    print_table(
        ("UUID", "COMMAND", "ORDERED", "BY", "FOUND", "QUEUED", "LEFT OUT", "STATE", "QUERY"),
        [
            (
                row.command_uuid,
                row.request_type,
                ago(row.ordered_at, now),
                row.actor.name,
                row.matched,
                row.queued,
                row.reached - row.queued,
                state_of(row),
                row.query,
            )
            for row in rows
        ],
    )
    print("`muster commands show UUID` has who answered, who refused and why.", file=sys.stderr)


def only_type(channel_id: str | None, request_type: str | None) -> str | None:
    """Return the one argument that stands beside --where, which is the command's type. Raises CommandFailed."""
    if channel_id is not None and request_type is not None:
        raise CommandFailed(
            f"--where tells who gets the command, and so does {channel_id}",
            remedy="As in: muster commands send --where \"platform = 'macOS'\" SecurityInfo",
            code=ExitCode.USAGE,
        )
    return channel_id or request_type


def target(channel_id: str | None, *, users: bool, dry_run: bool, yes: bool) -> ChannelId:
    """Return the one channel that gets the command where there is no query. Raises CommandFailed where none is named,
    and for options that only queries have."""
    given = [name for name, is_given in (("--users", users), ("--dry-run", dry_run), ("--yes", yes)) if is_given]
    if given:
        raise CommandFailed(f"{given[0]} is for --where alone", code=ExitCode.USAGE)
    if channel_id is None:
        remedy = "See `muster devices list`; for those whom a query finds, use --where."
        raise CommandFailed("name the device or the user's channel", remedy=remedy, code=ExitCode.USAGE)
    return ChannelId(channel_id)


def register(app: typer.Typer) -> None:
    """Add `sends` to *app*."""
    app.command("sends")(list_sends)
