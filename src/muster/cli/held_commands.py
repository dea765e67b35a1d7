"""`muster commands held` and `release`: what waits for a person's word."""

import sys
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.operations.release_commands import Verdict, settle_held_commands
from muster.operations.views.commands import HeldCommand, list_held
from muster.operations.views.holds import WHY_HELD
from muster.protocol.identifiers import CommandUUID

Uuid = Annotated[str | None, typer.Argument(metavar="UUID", help="The command's UUID; see `muster commands held`.")]
All = Annotated[bool, typer.Option("--all", help="Every command that is held back.")]


def register(app: typer.Typer) -> None:
    """Add these commands to *app*."""
    app.command("held")(held)
    app.command("release")(release)


def held(
    data_dir: DataDir = None, database: Database = None, key_ring: KeyRingFile = None, as_json: AsJson = False
) -> None:
    """List the commands that wait for your word.

    They may have been handed out before a database was restored; or were never answered, and are parked so that the
    rest goes on; or can't be opened.
    """
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(list_held), lambda there: there.get("/held-commands", tuple[HeldCommand, ...])
        )
        now = data.now
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("Nothing is held back.")
        return
    print_table(
        ("ID", "UUID", "COMMAND", "QUEUED", "HANDED OUT", "WHY"),
        [
            (
                row.channel_id,
                row.command_uuid,
                row.request_type,
                ago(row.queued_at, now),
                ago(row.handed_out_at, now),
                WHY_HELD.get(row.because, row.because),
            )
            for row in rows
        ],
    )


def release(
    command_uuid: Uuid = None,
    all_: All = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a command that is held back go out after all: EraseDevice erases, even a device that was erased before."""
    settle_held(command_uuid, all_, data_dir, database, key_ring, as_json=as_json, does_release=True)


def settle_held(
    command_uuid: str | None,
    is_all: bool,
    data_dir: DataDir,
    database: Database,
    key_ring: KeyRingFile,
    *,
    as_json: bool,
    does_release: bool,
) -> None:
    """Carry a person's word out on one held command, or on all, and say on which."""
    if (command_uuid is None) != is_all:
        raise CommandFailed("name one command by its UUID, or give --all", code=ExitCode.USAGE)
    verdict = Verdict(None if command_uuid is None else CommandUUID(command_uuid), does_release)
    with open_office(data_dir, database, key_ring) as data:
        settled = data.run(settle_held_commands, verdict)
    if as_json:
        print_json([{"id": channel_id, "command_uuid": uuid} for channel_id, uuid in settled.entries])
        return
    for channel_id, uuid in settled.entries:
        print(f"{uuid} {channel_id}")
    what = "may be handed out now; their devices are pushed" if does_release else "are closed"
    print(f"{len(settled.entries)} command(s) {what}.", file=sys.stderr)
