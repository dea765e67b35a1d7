"""`muster devices unenroll` and `reject`: let devices go, on purpose."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import print_json
from muster.operations.context import Context
from muster.operations.let_go import (
    DepartureOrder,
    DepartureOutcome,
    DeparturesOrdered,
    reject_devices,
    unenroll_devices,
    withdraw_rejections,
)
from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction

DeviceIds = Annotated[list[str], typer.Argument(metavar="ID...", help="The devices' UDIDs or EnrollmentIDs.")]
Count = Annotated[
    int | None,
    typer.Option("--count", min=1, help="How many devices are given: named exactly, the hour's limit does not hold."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `muster devices`."""
    app.command("unenroll")(unenroll)
    app.command("reject")(reject)


def unenroll(
    device_ids: DeviceIds,
    count: Count = None,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove the enrollment profile from devices, and with it everything that it brought.

    A command before all others, pushed at once; the device's answer ends its enrollment. It stays enrolled where it
    answers that it can't. No more than the setting leavings_per_hour within an hour, unless their number is named.
    """
    _ask(f"Remove the management of {_devices(device_ids)}, with all profiles and apps that it brought?", yes=yes)
    with open_office(data_dir, database, key_ring) as data:
        done = _run(data, unenroll_devices, device_ids, count)
    _tell(done, "is asked to remove its profile at its next contact, and pushed", as_json=as_json)


def reject(
    device_ids: DeviceIds,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the rejection back.")] = False,
    count: Count = None,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """End the enrollment of devices now, and turn them away at their next contact.

    The reply makes a device remove its management, with all profiles and apps that it brought. It stays in force for
    each identity that the device has now; to manage it again, enroll it by a link. No more than the setting
    leavings_per_hour within an hour, unless their number is named.
    """
    if withdraw:
        with open_office(data_dir, database, key_ring) as data:
            done = _run(data, withdraw_rejections, device_ids, None)
        _tell(done, "is not rejected any more", as_json=as_json)
        return
    _ask(f"Reject {_devices(device_ids)}? Management goes, with all profiles and apps that it brought.", yes=yes)
    with open_office(data_dir, database, key_ring) as data:
        done = _run(data, reject_devices, device_ids, count)
    _tell(done, "is ended, and turned away at its next contact", as_json=as_json)


def _ask(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed("nobody is there to be asked", remedy="Say --yes if it is meant.", code=ExitCode.USAGE)
    typer.confirm(question, abort=True, err=True)


def _devices(device_ids: Sequence[str]) -> str:
    distinct = set(device_ids)
    return f"{len(distinct)} devices" if len(distinct) > 1 else device_ids[0]


def _run(
    data: Office,
    operation: Callable[[Transaction, Sequence[DepartureOrder], Context], list[DepartureOutcome]],
    device_ids: Sequence[str],
    count: int | None,
) -> DeparturesOrdered:
    return data.run(operation, DepartureOrder(tuple(DeviceId(one) for one in device_ids), count))


def _tell(done: DeparturesOrdered, what: str, *, as_json: bool) -> None:
    """Say what was ordered; those that were refused are the command's failure, although the others are done."""
    if as_json:
        refused = {device_id: refusal.code.value for device_id, refusal in done.refused.items()}
        print_json({"device_ids": done.device_ids, "refused": refused})
    for device_id in done.device_ids:
        print(f"{device_id} {what}.", file=sys.stderr)
    refusals = list(done.refused.values())
    for refusal in refusals[1:]:
        print(f"{refusal.message}.", file=sys.stderr)
    if refusals:
        raise CommandRefused(refusals[0])
