"""`muster apps`: install managed apps, configure and remove them, and see what became of each."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.queued import require_queued, tell_findings, unknown_channel
from muster.cli.server_calls import at
from muster.operations.install_apps import AppOrder, AppRemovalOrder, install_apps, remove_apps
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.views.apps import AppRow, list_apps_with_versions
from muster.protocol.command import CommandRequest
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId
from muster.protocol.plist import PlistValue, read_plist

app = typer.Typer(help="Managed apps, and what became of them.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="A device's or user channel's id.")]
Bundle = Annotated[str, typer.Argument(metavar="IDENTIFIER", help="The app's bundle identifier.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Send it although the device would refuse it.")]

_REMOVED_AT_UNENROLLMENT = 1
_NOT_IN_BACKUPS = 4


@app.command("install")
def install(
    channel_id: Id,
    store_id: Annotated[int | None, typer.Option("--store-id", min=1, help="The number in the App Store.")] = None,
    identifier: Annotated[str | None, typer.Option("--identifier", help="The bundle identifier in the store.")] = None,
    manifest_url: Annotated[str | None, typer.Option("--manifest-url", help="Where the manifest is (https).")] = None,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="A manifest, sent within the command; for Macs.")
    ] = None,
    package: Annotated[
        bool, typer.Option("--package", help="The manifest is of a package for a Mac (InstallEnterpriseApplication).")
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", help="A property list for the app to read.")] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Manage an app that its user has installed already.")
    ] = False,
    device_license: Annotated[
        bool, typer.Option("--device-license", help="It is licensed to the device, so nobody signs in to the store.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it when the device is unenrolled.")] = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Keep its data out of backups.")] = False,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Install an app as a managed one: from the store, or by a manifest.

    An app that is accepted is asked for a few times, until it is there.
    """
    keys: dict[str, PlistValue] = {}
    if store_id is not None:
        keys["iTunesStoreID"] = store_id
    if identifier is not None:
        keys["Identifier"] = identifier
    if manifest_url is not None:
        keys["ManifestURL"] = manifest_url
    if manifest is not None:
        keys["Manifest"] = _plist(manifest)
    is_package = package or manifest is not None
    flags = (0 if keep else _REMOVED_AT_UNENROLLMENT) | (_NOT_IN_BACKUPS if no_backup else 0)
    if flags:
        keys["ManagementFlags"] = flags
    if config is not None:
        keys["Configuration"] = _plist(config)
    if take_over:
        keys["ChangeManagementState"] = "Managed"
    if is_package:
        keys["InstallAsManaged"] = True
    elif device_license:
        keys["Options"] = {"PurchaseMethod": 1}
    request = CommandRequest("InstallEnterpriseApplication" if is_package else "InstallApplication", keys)
    with open_office(data_dir, database, key_ring) as data:
        queued = data.run(install_apps, AppOrder((ChannelId(channel_id),), request, anyway))
    _tell(queued, channel_id, as_json=as_json)


@app.command("configure")
def configure(
    channel_id: Id,
    identifier: Bundle,
    config: Annotated[Path, typer.Argument(metavar="FILE", help="A property list for the app to read.")],
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a managed app another configuration, in place of the one it has."""
    item: dict[str, PlistValue] = {
        "Item": "ApplicationConfiguration",
        "Identifier": identifier,
        "Configuration": _plist(config),
    }
    with open_office(data_dir, database, key_ring) as data:
        queued = _send(data, channel_id, CommandRequest("Settings", {"Settings": [item]}), anyway=anyway)
    _tell(queued, channel_id, as_json=as_json)


@app.command("remove")
def remove(
    channel_id: Id,
    identifier: Bundle,
    anyway: Annotated[bool, typer.Option("--anyway", help="Try it also where it was not installed from here.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove a managed app, with its data."""
    with open_office(data_dir, database, key_ring) as data:
        queued = data.run(remove_apps, AppRemovalOrder((ChannelId(channel_id),), identifier, anyway))
    _tell(queued, channel_id, as_json=as_json)


@app.command("verify")
def verify(
    channel_id: Id,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask a device which apps it manages; see `muster apps list` once it has answered."""
    with open_office(data_dir, database, key_ring) as data:
        queued = _send(data, channel_id, CommandRequest("ManagedApplicationList"), anyway=False)
    _tell(queued, channel_id, as_json=as_json)


@app.command("list")
def list_(
    channel_id: Id,
    history: Annotated[bool, typer.Option("--history", help="With what was removed, or asked for again.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the apps that a channel was told to install, where each stands, and which version the device lists."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(
                lambda tx: list_apps_with_versions(tx, ChannelId(channel_id), history=history), about=[channel_id]
            ),
            lambda there: there.find(at("devices", channel_id, "apps"), tuple[AppRow, ...], history=history),
        )
        now = data.now
    if rows is None:
        raise unknown_channel(channel_id)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No apps were installed from here.")
        return
    print_table(
        ("APP", "ASKED FOR", "VERSION", "STATE", "DEVICE SAYS", "SINCE", "VERIFIED", "WHY"),
        [
            (
                row.identifier,
                row.source,
                row.version,
                row.state.value,
                row.device_state,
                ago(row.changed_at, now),
                ago(row.verified_at, now),
                row.reason,
            )
            for row in rows
        ],
    )


def _send(data: Office, channel_id: str, request: CommandRequest, *, anyway: bool) -> QueuedCommand:
    return data.run(queue_commands, CommandOrder((ChannelId(channel_id),), request, anyway=anyway))


def _tell(queued: QueuedCommand, channel_id: str, *, as_json: bool) -> None:
    require_queued(queued)
    if as_json:
        print_json({"command_uuid": queued.command_uuid, "request_type": queued.request_type, "id": channel_id})
        return
    print(queued.command_uuid)
    tell_findings(queued)
    print(f"{queued.request_type} waits for {channel_id}, which is pushed.", file=sys.stderr)


def _plist(path: Path) -> dict[str, PlistValue]:
    try:
        return read_plist(path.read_bytes())
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
    except MalformedMessage as error:
        raise CommandFailed(f"{path} is no property list: {error}", code=ExitCode.USAGE) from error
