"""`muster return-to-service` and `muster devices return-to-service`: erased devices that enroll by themselves."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.domain.return_to_service import MAXIMUM_WIFI_PROFILE_BYTES
from muster.operations.return_to_service import ReturnOrder, ReturnPolicyOrder, return_devices, set_return_policies
from muster.operations.views.returning import ReturnRow, list_returning
from muster.protocol.identifiers import DeviceId

app = typer.Typer(
    help="Whether devices that are erased by hand enroll by themselves again; never, unless it is allowed here.",
    no_args_is_help=True,
)

WifiProfile = Annotated[
    Path | None,
    typer.Option("--wifi-profile", help="A .mobileconfig for the Wi-Fi by which the device comes back."),
]
Device = Annotated[str | None, typer.Argument(metavar="[ID]", help="The device's UDID.")]
AllDevices = Annotated[bool, typer.Option("--all", help="Every device that has nothing of its own set.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask whether it is meant.")]


@app.command("allow")
def allow(
    device_id: Device = None,
    all_devices: AllDevices = False,
    wifi_profile: WifiProfile = None,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Have a device that asks, when it is erased, enroll by itself again."""
    scope = _scope(device_id, all_devices)
    content = _read(wifi_profile)
    _confirm(f"Whoever erases {_name(scope)} gets a managed device back, without being asked. Go on?", yes)
    with open_office(data_dir, database, key_ring) as data:
        data.run(set_return_policies, ReturnPolicyOrder(scope, is_enabled=True, wifi_profile=content))
    print(f"From now on, {_name(scope)} returns to service when erased.")


@app.command("forbid")
def forbid(
    device_id: Device = None,
    all_devices: AllDevices = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Have a device stay as it is after it was erased."""
    scope = _scope(device_id, all_devices)
    with open_office(data_dir, database, key_ring) as data:
        data.run(set_return_policies, ReturnPolicyOrder(scope, is_enabled=False))
    print(f"From now on, {_name(scope)} does not return to service when erased by hand.")


@app.command("show")
def show(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what was set. Wi-Fi profiles hold passwords and are not shown."""
    with open_office(data_dir, database, key_ring) as data:
        stored = data.ask(
            lambda here: here.view(list_returning),
            lambda there: there.get("/return-to-service", tuple[ReturnRow, ...]),
        )
        now = data.now
    if as_json:
        print_json(stored)
        return
    if not stored:
        print("No device returns to service when it is erased by hand.")
        return
    rows = [
        (
            one.device_id or "all others",
            "returns" if one.is_enabled else "stays",
            "yes" if one.has_wifi_profile else "no",
            ago(one.changed_at, now),
            one.changed_by,
        )
        for one in stored
    ]
    print_table(("DEVICE", "WHEN ERASED", "WI-FI", "SET", "BY"), rows)


Count = Annotated[
    int | None,
    typer.Option("--count", min=1, max=1, help="Say 1 to erase it though the hour's limit on disruptions is reached."),
]


def register(devices: typer.Typer) -> None:
    """Add what is done to one device to the commands for devices."""
    devices.command("return-to-service")(send)


def send(
    device_id: Annotated[str, typer.Argument(metavar="ID", help="The device's UDID.")],
    wifi_profile: WifiProfile = None,
    yes: Yes = False,
    count: Count = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Erase a device, everything on it, and have it enroll by itself again."""
    content = _read(wifi_profile)
    _confirm(f"Everything on {device_id} will be erased. Go on?", yes)
    with open_office(data_dir, database, key_ring) as data:
        queued = data.run(return_devices, ReturnOrder(DeviceId(device_id), content, count))
    if as_json:
        print_json(queued)
        return
    print(queued.command_uuid)
    print(f"{device_id} is erased when it next comes, and enrolls by itself again.", file=sys.stderr)


def _scope(device_id: str | None, all_devices: bool) -> DeviceId | None:
    if (device_id is None) is not all_devices:
        raise typer.BadParameter("name one device, or give --all", param_hint="ID")
    return None if device_id is None else DeviceId(device_id)


def _name(scope: DeviceId | None) -> str:
    return "every device" if scope is None else scope


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(
            "there is no terminal to ask whether it is meant", remedy="Say so with --yes.", code=ExitCode.USAGE
        )
    typer.confirm(question, abort=True)


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_WIFI_PROFILE_BYTES + 1)
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
