"""`muster secrets`: what is kept of devices that opens them, and what is done about it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.connection import connect
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import Server, at
from muster.domain.errors import Refusal
from muster.domain.secrets import SecretKind, needed_to_reveal
from muster.operations.filevault_profile import FilevaultTerms, make_filevault_profiles
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.reveal_secrets import RevealOrder, reveal_secrets
from muster.operations.rotate_secrets import (
    AdministratorOrder,
    SecretAct,
    SecretOrder,
    change_secrets,
    clear_passcodes,
    make_administrators,
)
from muster.operations.views.revealed import Encoding, RevealedValue, as_revealed
from muster.operations.views.secrets import SecretRow, find_secrets, list_secrets
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, DeviceId

_KINDS = "\n\n".join(f"{kind.value} ({needed_to_reveal(kind).value})" for kind in SecretKind)

app = typer.Typer(
    help="Secrets of devices: what opens them. They outlive re-enrollment and the device's record.",
    no_args_is_help=True,
)

DeviceArgument = Annotated[str, typer.Argument(metavar="ID", help="The device's id or serial number.")]
Kind = Annotated[SecretKind, typer.Argument(metavar="KIND", help=f"One of {', '.join(SecretKind)}.")]
Number = Annotated[int, typer.Option("--number", min=0, help="Which, as listed: 0 is the one to try first.")]
Account = Annotated[str | None, typer.Option("--account", help="The short name of the account, where it has several.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Although the device would refuse it as far as is known here.")]


@app.command("list")
def list_(
    device_id: DeviceArgument,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what is kept of a device: kinds, states and times, never the secrets."""
    with open_office(data_dir, database, key_ring) as data:
        device_id = data.channel(device_id)
        rows = data.ask(
            lambda here: here.view(lambda tx: list_secrets(tx, DeviceId(device_id)), about=[device_id]),
            lambda there: there.find(at("devices", device_id, "secrets"), tuple[SecretRow, ...]) or (),
        )
        now = data.now
    _print_rows(rows, now, f"nothing is kept of {device_id}", as_json=as_json)


@app.command("find")
def find(
    serial_number: Annotated[str, typer.Argument(metavar="SERIAL", help="The device's serial number.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what was ever kept of a serial number, also where its device is not known any more."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(lambda tx: find_secrets(tx, serial_number)),
            lambda there: there.get(at("secrets", serial_number), tuple[SecretRow, ...]),
        )
        now = data.now
    _print_rows(rows, now, f"nothing is kept of a device with the serial number {serial_number}", as_json=as_json)


def _print_rows(rows: Sequence[SecretRow], now: datetime, nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        raise CommandFailed(nothing, code=ExitCode.ABSENT)
    print_table(
        ("DEVICE", "KIND", "ACCOUNT", "NUMBER", "STATE", "SINCE", "LIFE", "FROM", "COMMAND", "SEEN BY"),
        [
            (
                row.device_id,
                row.kind.value,
                row.subject,
                row.number,
                row.state.value,
                ago(row.since, now),
                row.epoch,
                row.origin,
                row.command_status or "",
                row.revealed_by,
            )
            for row in rows
        ],
    )


@app.command("reveal", help=f"Print a secret. An act of the audit log, for which a role is needed.\n\n{_KINDS}")
def reveal(
    device_id: DeviceArgument,
    kind: Kind,
    number: Annotated[
        int, typer.Option("--history", "--number", min=0, help="Which, as listed: 0 is the one to try first.")
    ] = 0,
    account: Account = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")] = "",
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a secret."""
    with open_office(data_dir, database, key_ring) as data:
        order = RevealOrder(DeviceId(data.channel(device_id)), kind, number, reason, account)
        seen = data.ask(lambda here: as_revealed(here.run(reveal_secrets, order)), lambda there: _reveal(there, order))
        now = data.now
    if as_json:
        print_json(seen)
        return
    print(seen.value)
    encoded = "" if seen.encoding is Encoding.TEXT else f", in {seen.encoding}"
    print(f"{kind.value}{encoded}: {seen.state.value}, {ago(seen.since, now)}.", file=sys.stderr)
    if seen.others:
        print(f"{seen.others} proposed since may be in force instead: see `muster secrets list`.", file=sys.stderr)
    if seen.rotates_at is not None:
        print(f"A new one takes its place after {seen.rotates_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


def _reveal(there: Server, order: RevealOrder) -> RevealedValue:
    body = {"kind": order.kind, "number": order.number, "subject": order.subject, "reason": order.reason}
    return there.send("POST", at("devices", order.device_id, "secrets", "reveal"), RevealedValue, body)


@app.command("rotate")
def rotate(
    device_id: DeviceArgument,
    kind: Kind,
    account: Account = None,
    guid: Annotated[str | None, typer.Option("--guid", help="The account's GUID, where it is not known here.")] = None,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a device take a new secret, made here; also the first one.

    It is kept as proposed until the device confirms it; until then both are kept.
    """
    with open_office(data_dir, database, key_ring) as data:
        order = SecretOrder(
            DeviceId(data.channel(device_id)), kind, SecretAct.ROTATE, subject=account, account_guid=guid, anyway=anyway
        )
        queued = data.run(change_secrets, order)
    _tell(queued, device_id, as_json=as_json)


@app.command("clear")
def clear(
    device_id: DeviceArgument,
    kind: Kind,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Take the recovery lock or the firmware password away."""
    with open_office(data_dir, database, key_ring) as data:
        order = SecretOrder(DeviceId(data.channel(device_id)), kind, SecretAct.CLEAR, anyway=anyway)
        queued = data.run(change_secrets, order)
    _tell(queued, device_id, as_json=as_json)


@app.command("verify")
def verify(
    device_id: DeviceArgument,
    kind: Kind,
    number: Number = 0,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask a device whether a recovery lock or firmware password is the one in force; its answer settles the list."""
    with open_office(data_dir, database, key_ring) as data:
        order = SecretOrder(DeviceId(data.channel(device_id)), kind, SecretAct.VERIFY, number, anyway=anyway)
        queued = data.run(change_secrets, order)
    _tell(queued, device_id, as_json=as_json)


@app.command("administrator")
def administrator(
    device_id: DeviceArgument,
    short_name: Annotated[str, typer.Argument(metavar="NAME", help="The account's short name.")],
    full_name: Annotated[str | None, typer.Option("--full-name", help="Absent: the short name.")] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Not shown at the login window.")] = False,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Have Setup Assistant make an administrator on a Mac that waits in it, with a password made and kept here."""
    with open_office(data_dir, database, key_ring) as data:
        order = AdministratorOrder(DeviceId(data.channel(device_id)), short_name, full_name, hidden, anyway)
        queued = data.run(make_administrators, order)
    _tell(queued, device_id, as_json=as_json)


@app.command("filevault-profile")
def filevault_profile(
    device_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The device to install it on; absent: it is only written.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the profile to this file; - is standard output.")
    ] = None,
    location: Annotated[
        str, typer.Option("--location", help="Who keeps the recovery key, as the person at the Mac is told.")
    ] = "your organization's device management",
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the profile that turns FileVault on and has Macs give their recovery keys to this server."""
    if (device_id is None) == (out is None):
        said = "it is not said where the profile goes"
        raise CommandFailed(said, remedy="Name a device, or --out FILE.", code=ExitCode.USAGE)
    with connect(data_dir, database, key_ring) as data:
        profile = data.run(make_filevault_profiles, FilevaultTerms(location))
        if device_id is not None:
            request = CommandRequest("InstallProfile", {"Payload": profile})
            queued = data.run(queue_commands, CommandOrder((ChannelId(device_id),), request, anyway=anyway))
            for refusal in queued.refused.values():
                raise CommandRefused(refusal)
            _tell(queued, device_id, as_json=as_json)
            return
    if out is not None and str(out) != "-":
        out.write_bytes(profile)
        return
    sys.stdout.write(profile.decode())


def register(devices: typer.Typer) -> None:
    """Add to `muster devices` what a kept secret does without being seen."""
    devices.command("clear-passcode")(clear_passcode)


def clear_passcode(
    device_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The devices' ids or serial numbers.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Clear the passcode of iPhones and iPads by the unlock tokens that are kept of them."""
    with open_office(data_dir, database, key_ring) as data:
        outcomes = data.run_all(clear_passcodes, [DeviceId(data.channel(one)) for one in device_ids])
    queued = [one for one in outcomes if isinstance(one, QueuedCommand)]
    refused = [one for one in outcomes if isinstance(one, Refusal)]
    if as_json:
        print_json([{"command_uuid": one.command_uuid, "id": one.queued_on[0]} for one in queued])
    for one in queued:
        print(f"{one.queued_on[0]}: its passcode is cleared at its next contact; it is pushed.", file=sys.stderr)
    for refusal in refused[1:]:
        print(f"{refusal.message}.", file=sys.stderr)
    if refused:
        raise CommandRefused(refused[0])


def _tell(queued: QueuedCommand, device_id: str, *, as_json: bool) -> None:
    findings = [one for found in queued.findings.values() for one in found]
    if as_json:
        said = [asdict(one) for one in findings]
        print_json({"command_uuid": queued.command_uuid, "request_type": queued.request_type, "findings": said})
        return
    print(queued.command_uuid)
    for finding in findings:
        print(f"{finding.severity}: {finding.message}", file=sys.stderr)
    print(f"{queued.request_type} waits for {device_id}, which is pushed.", file=sys.stderr)
