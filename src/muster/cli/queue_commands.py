"""`muster commands cancel`, `clear`, `pause` and `resume`: take commands back, and stop a queue."""

import sys
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.held_commands import settle_held
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json
from muster.operations.cancel_commands import Cancelled, CancelOrder, cancel_commands
from muster.operations.pause_queues import PauseOrder, pause_queues, resume_queues
from muster.protocol.identifiers import ChannelId, CommandUUID

Id = Annotated[str, typer.Argument(metavar="ID", help="A device's id or serial number, or a user channel's id.")]


def register(app: typer.Typer) -> None:
    """Add these commands to *app*."""
    app.command("cancel")(cancel)
    app.command("clear")(clear)
    app.command("pause")(pause)
    app.command("resume")(resume)


def cancel(
    command_uuid: Annotated[
        str | None, typer.Argument(metavar="UUID", help="The command's UUID; see `muster commands list`.")
    ] = None,
    channel_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only on these channels; without: wherever it waits.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every command that `muster commands held` lists.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Take a command back: it is not handed out any more, and what comes after it is closed as well.

    A device that has it already may carry it out all the same; what it answers then is kept.
    """
    if command_uuid is None or all_:
        settle_held(command_uuid, all_, data_dir, database, key_ring, as_json=as_json, does_release=False)
        return
    order = CancelOrder(CommandUUID(command_uuid), tuple(ChannelId(one) for one in channel_ids or ()))
    with open_office(data_dir, database, key_ring) as data:
        cancelled = data.run(cancel_commands, order)
    _tell(cancelled, as_json=as_json)


def clear(
    channel_id: Id,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Take back all that waits for a device or user; a renewal of its identity stays."""
    with open_office(data_dir, database, key_ring) as data:
        cancelled = data.run(cancel_commands, CancelOrder(None, (data.channel(channel_id),)))
    _tell(cancelled, as_json=as_json)


def _tell(cancelled: Cancelled, *, as_json: bool) -> None:
    if as_json:
        print_json(cancelled.commands)
    else:
        for one in cancelled.commands:
            print(f"{one.command_uuid} {one.channel_id} {one.request_type}")
    for _, refusal in cancelled.refused:
        print(f"{refusal.message}.", file=sys.stderr)
    if as_json:
        return
    has_it = sum(one.was_handed_out for one in cancelled.commands)
    print(f"{len(cancelled.commands)} command(s) cancelled.", file=sys.stderr)
    if has_it:
        print(f"{has_it} of them were handed out before, and may be carried out all the same.", file=sys.stderr)


def pause(
    channel_id: Id,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who wonder.", show_default=False)],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop a queue: nothing is handed out but renewals, and nobody is pushed for the rest, until it is resumed.

    A device and each of its users have queues of their own.
    """
    if not reason.strip():
        raise CommandFailed("say why: --reason is empty", code=ExitCode.USAGE)
    with open_office(data_dir, database, key_ring) as data:
        paused = data.run(pause_queues, PauseOrder(data.channel(channel_id), reason.strip()))
    if as_json:
        print_json(paused)
        return
    print(f"{channel_id} is paused; `muster commands resume {channel_id}` ends it.", file=sys.stderr)


def resume(
    channel_id: Id,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """End a pause; what waits is handed out, and the channel is pushed for it."""
    with open_office(data_dir, database, key_ring) as data:
        resumed = data.run(resume_queues, data.channel(channel_id))
    if as_json:
        print_json(resumed)
        return
    print(f"{channel_id} goes on.", file=sys.stderr)
