"""`muster profiles`: install configuration profiles, remove them, and see what became of each."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.queued import require_queued, tell_findings, unknown_channel
from muster.cli.server_calls import at
from muster.domain.installed_profiles import ProfileState
from muster.operations.install_profiles import (
    ProfileOrder,
    ProfileRemovalOrder,
    install_profiles,
    remove_profiles,
)
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.views.profiles import ProfileRow, list_profiles
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId

app = typer.Typer(help="Configuration profiles, and what became of them.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="A device's or user channel's id.")]


@app.command("install")
def install(
    channel_id: Id,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .mobileconfig, signed or not; - is standard input.")],
    secret: Annotated[
        bool, typer.Option("--secret", help="It holds a secret: keep it sealed until it is handed out.")
    ] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Send it in spite of warnings.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Install a profile, in place of the one that has its PayloadIdentifier.

    It goes to the device byte for byte. One with several accounts is warned of, for none of them could be changed
    alone; `muster accounts` makes a profile for each.
    """
    content = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    with open_office(data_dir, database, key_ring) as data:
        sent = data.run(install_profiles, ProfileOrder((ChannelId(channel_id),), content, secret, anyway))
    require_queued(sent.queued)
    if as_json:
        print_json(sent)
        return
    print(sent.queued.command_uuid)
    tell_findings(sent.queued)
    print(f"{sent.identifier} waits for {channel_id}, which is pushed.", file=sys.stderr)


@app.command("remove")
def remove(
    channel_id: Id,
    identifier: Annotated[str, typer.Argument(metavar="IDENTIFIER", help="The profile's PayloadIdentifier.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Try it also where it was not installed from here.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove a profile that was installed from here."""
    with open_office(data_dir, database, key_ring) as data:
        queued = data.run(remove_profiles, ProfileRemovalOrder((ChannelId(channel_id),), identifier, anyway))
    require_queued(queued)
    if as_json:
        print_json({"command_uuid": queued.command_uuid, "id": channel_id, "identifier": identifier})
        return
    print(queued.command_uuid)
    print(f"{channel_id} is asked to remove {identifier}, and pushed.", file=sys.stderr)


@app.command("verify")
def verify(
    channel_id: Id,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask a device for its list of profiles, and hold what was installed against it.

    See `muster profiles list` once it has answered.
    """
    with open_office(data_dir, database, key_ring) as data:
        queued = data.run(queue_commands, CommandOrder((ChannelId(channel_id),), CommandRequest("ProfileList")))
    require_queued(queued)
    if as_json:
        print_json({"command_uuid": queued.command_uuid, "id": channel_id})
        return
    print(queued.command_uuid)
    print(f"{channel_id} is asked for its profiles, and pushed.", file=sys.stderr)


@app.command("list")
def list_(
    channel_id: Id,
    history: Annotated[bool, typer.Option("--history", help="With what was replaced and removed.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the profiles that were installed on a channel, and whether the device still has them."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(
                lambda tx: list_profiles(tx, ChannelId(channel_id), history=history), about=[channel_id]
            ),
            lambda there: there.find(at("devices", channel_id, "profiles"), tuple[ProfileRow, ...], history=history),
        )
        now = data.now
    if rows is None:
        raise unknown_channel(channel_id)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No profiles were installed from here.")
        return
    print_table(
        ("IDENTIFIER", "NAME", "STATE", "SINCE", "VERIFIED", "COMMAND", "WHY"),
        [
            (
                row.identifier,
                row.name,
                _state(row),
                ago(row.changed_at, now),
                ago(row.verified_at, now),
                row.command_uuid,
                row.reason,
            )
            for row in rows
        ],
    )


def _state(row: ProfileRow) -> str:
    if row.state is ProfileState.SENT and not row.is_waiting:
        return "sent, waits no more"
    return row.state.value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
