"""`muster import`: enrollments come over from another server, and their devices notice nothing."""

import base64
import fcntl
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer

from muster.cli.connection import Connection, connect
from muster.cli.device_tables import listed_by
from muster.cli.devices import find_here
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import print_json, print_told
from muster.cli.server_calls import Server
from muster.domain.adoption import AdoptionOrder, PushCertificateElsewhere, Unfit
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.adopt_enrollments import (
    Adopted,
    AdoptionOutcome,
    Rehearsed,
    UploadsRehearsed,
    adopt_enrollments,
    rehearse_adoption,
    rehearse_uploads,
)
from muster.operations.adopt_profiles import AdoptedProfile, ProfileAdopted, adopt_profiles
from muster.operations.upload_push_certificate import (
    UploadedPushCertificate,
    UploadOutcome,
    upload_push_certificates,
)
from muster.protocol.identifiers import DeviceId
from muster.storage.other_servers.errors import Unreadable
from muster.storage.other_servers.micromdm import MicromdmFile
from muster.storage.other_servers.nanomdm_files import NanomdmDirectory
from muster.storage.other_servers.nanomdm_sql import NanomdmDatabase
from muster.storage.push_certificates import certificates_in_use

app = typer.Typer(help="Bring enrollments over from another server.", no_args_is_help=True)

DEVICES_AT_ONCE: Final = 10
"""In one transaction, a quarter of a second: on SQLite devices wait for as long as it takes."""
MAXIMUM_FILE_BYTES: Final = 2 * 1024**3
"""Of a database that is read into memory; that of some thousand devices has some dozen megabytes."""
PROFILES_AT_ONCE: Final = 500
"""Devices in one transaction that are given a profile: some rows each."""
MAXIMUM_PROFILE_BYTES: Final = 1024 * 1024
"""An enrollment profile has some kilobytes, some dozen with certificates."""
SHOWN: Final = 20
"""Of what stays behind, in the summary for people; --json has all of it."""

SHOWN_CHARACTERS: Final = 128
"""Of a device's id, which have no more; what is no id may be longer."""

Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this, only tell what would be done.")]
WithoutQueue = Annotated[bool, typer.Option("--without-queue", help="Leave the commands behind that wait there.")]


@app.callback()
def _group() -> None:
    """Bring enrollments over from another server."""


class Source(Protocol):
    """What another server keeps."""

    def push_certificates(self) -> list[PushCertificateElsewhere]:
        """Read its push certificates."""

    def devices(self, *, with_queue: bool = True) -> Iterator[AdoptionOrder | Unfit]:
        """Read its devices."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(slots=True)
class Summary:
    """What came of it, or would. *known*: devices that were here already; *stayed*: what stays behind, and why."""

    is_applied: bool
    push_certificates: list[str] = field(default_factory=list)
    devices: int = 0
    users: int = 0
    commands: int = 0
    identities_awaited: int = 0
    known: int = 0
    stayed: list[tuple[str, str]] = field(default_factory=list)


@app.command("nanomdm")
def nanomdm(
    dsn: Annotated[
        str,
        typer.Argument(
            metavar="DSN", help="postgres://..., mysql://..., what -storage-dsn has for MySQL, or a directory."
        ),
    ],
    apply: Apply = False,
    without_queue: WithoutQueue = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring the enrollments of a NanoMDM over, its push certificates with them; its own data is only read.

    Devices go on by the identity they have, where URL and topic stay. Their identities are not renewed as long as the
    profile is not known that they were enrolled with. Nothing is changed without --apply.
    """
    directory = Path(dsn)
    with connect(data_dir, database, key_ring) as data:
        source = _opened(lambda: NanomdmDirectory(directory) if directory.is_dir() else NanomdmDatabase(dsn))
        _bring_over(data, source, apply=apply, with_queue=not without_queue, as_json=as_json)


@app.command("micromdm")
def micromdm(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its database, micromdm.db; stop MicroMDM first.")],
    apply: Apply = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring the devices of a MicroMDM over, its push certificate with them; its file is only read.

    It keeps no users, which come by themselves at their next login, and no identities but their hashes: those are met
    at each device's first contact. Its queue stays behind. Nothing is changed without --apply.
    """
    with connect(data_dir, database, key_ring) as data:
        source = _opened(lambda: MicromdmFile(_read(file), data.now))
        _bring_over(data, source, apply=apply, with_queue=False, as_json=as_json)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAXIMUM_FILE_BYTES:
            raise Unreadable(f"{file} has more than {MAXIMUM_FILE_BYTES} bytes")
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # which whoever writes to it forbids
            return opened.read()
    except BlockingIOError as error:
        raise Unreadable(f"{file} is in use", "Stop MicroMDM first: it would be read while it is written.") from error
    except OSError as error:
        raise Unreadable(f"{file} can't be read: {error.strerror}") from error


def _opened(open_source: Callable[[], Source]) -> Source:
    try:
        return open_source()
    except Unreadable as error:
        raise CommandFailed(str(error), remedy=error.remedy) from error


def _bring_over(data: Connection, source: Source, *, apply: bool, with_queue: bool, as_json: bool) -> None:
    summary = Summary(apply)
    try:
        _bring_certificates(data, source.push_certificates(), summary)
        for batch in _batches(source.devices(with_queue=with_queue)):
            orders = [one for one in batch if isinstance(one, AdoptionOrder)]
            summary.stayed += [(one.device_id, one.why) for one in batch if isinstance(one, Unfit)]
            for order, outcome in zip(orders, _adopt(data, orders, apply=apply), strict=True):
                _count(summary, order, outcome)
    except Unreadable as error:
        raise _broken_off(summary, error) from error
    finally:
        source.close()
    if as_json:
        print_json(summary)
    else:
        _print(summary)


def _broken_off(summary: Summary, error: Unreadable) -> CommandFailed:
    """Tell what can't be read, and what stays of an import that came so far."""
    if not summary.is_applied or not (summary.devices or summary.push_certificates):
        return CommandFailed(str(error), remedy=error.remedy)
    came = f"{summary.devices:,} devices and {len(summary.push_certificates):,} push certificates came over before"
    return CommandFailed(
        f"{error}; {came}", remedy=error.remedy or "Mend that, and import again: who is here stays as it is."
    )


def _bring_certificates(data: Connection, found: Sequence[PushCertificateElsewhere], summary: Summary) -> None:
    """Put its push certificates into use, unless theirs is here already or is refused, which is told."""
    here = data.view(certificates_in_use)
    new = [one for one in found if one.topic not in here]
    uploads = [UploadedPushCertificate(one.certificate_pem, one.key_pem) for one in new]
    for one, outcome in zip(new, _upload(data, uploads, apply=summary.is_applied), strict=True):
        if isinstance(outcome, Refusal):
            summary.stayed.append((f"the push certificate of {one.topic}", outcome.message))
        else:
            summary.push_certificates.append(one.topic)


def _upload(
    data: Connection, uploads: Sequence[UploadedPushCertificate], *, apply: bool
) -> Sequence[UploadOutcome | Refusal]:
    if apply:
        return data.run_all(upload_push_certificates, uploads)
    try:
        return data.run_all(rehearse_uploads, uploads)
    except UploadsRehearsed as rehearsed:
        return rehearsed.outcomes


def _batches(found: Iterable[AdoptionOrder | Unfit]) -> Iterator[list[AdoptionOrder | Unfit]]:
    remaining = iter(found)
    while batch := list(islice(remaining, DEVICES_AT_ONCE)):
        yield batch


def _adopt(data: Connection, orders: Sequence[AdoptionOrder], *, apply: bool) -> list[AdoptionOutcome]:
    if apply:
        return data.run_all(adopt_enrollments, orders)
    try:
        return data.run_all(rehearse_adoption, orders)
    except Rehearsed as rehearsed:
        return rehearsed.outcomes


def _count(summary: Summary, order: AdoptionOrder, outcome: AdoptionOutcome) -> None:
    if isinstance(outcome, Adopted):
        summary.devices += 1
        summary.users += outcome.users
        summary.commands += outcome.commands
        summary.identities_awaited += not outcome.is_identity_known
        summary.stayed += [(outcome.device_id, one) for one in outcome.left]
    elif outcome.code is RefusalCode.CONFLICT:
        summary.known += 1
    else:
        summary.stayed.append((order.kept_as, outcome.message))


def _print(summary: Summary) -> None:
    for topic in summary.push_certificates:
        print_told(f"Push certificate: {topic}")
    print(
        f"{summary.devices:,} devices with {summary.users:,} users and {summary.commands:,} commands; "
        f"{summary.known:,} are here already."
    )
    if summary.identities_awaited:
        print(f"The identities of {summary.identities_awaited:,} are not known; their first contact shows them.")
    if summary.stayed:
        print(f"\n{len(summary.stayed):,} {'stays' if len(summary.stayed) == 1 else 'stay'} behind:")
        for who, why in summary.stayed[:SHOWN]:
            print_told(f"  {_on_one_line(who)[:SHOWN_CHARACTERS]}: {_on_one_line(why)}")
        reasons = Counter(_on_one_line(why) for _, why in summary.stayed[SHOWN:])
        for why, count in reasons.most_common(SHOWN):
            print_told(f"  {count:,} more: {why}")
    said = "Done." if summary.is_applied else "Nothing was changed; --apply does it."
    print(said, file=sys.stderr)


def _on_one_line(text: str) -> str:
    return " ".join(text.splitlines())


# --- the profile that devices have ------------------------------------------------------------------------------------


@app.command("profile")
def profile(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The .mobileconfig that the former server gave, signed or not.")
    ],
    device_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="The devices that have it; none with --where.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="QUERY", help="The devices that have it are those whom this finds.")
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Although it isn't known which profiles a device has, or other payloads would go."
        ),
    ] = False,
    apply: Apply = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Supply the enrollment profile of devices that came over, so that their identities can be renewed.

    It is held against what each device has: its topic, its URL, its identifier in the device's list of profiles.
    """
    if (where is None) is not bool(device_ids):
        raise CommandFailed("name devices, or give --where", code=ExitCode.USAGE)
    content = _read_profile(file)
    with open_office(data_dir, database, key_ring) as data:
        ids = _meant(data, device_ids or (), where)
        done = [
            data.ask(
                lambda here, part=part: here.run(  # type: ignore[misc] # bound now
                    adopt_profiles, AdoptedProfile(part, content, here.terms().public_url, anyway, not apply)
                ),
                lambda there, part=part: _supply_there(there, part, content, anyway=anyway, apply=apply),  # type: ignore[misc]
            )
            for part in (ids[at : at + PROFILES_AT_ONCE] for at in range(0, len(ids), PROFILES_AT_ONCE))
        ]
    _tell_profile(done, as_json=as_json, is_applied=apply)


def _read_profile(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_PROFILE_BYTES)
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error


def _meant(data: Office, device_ids: Sequence[str], where: str | None) -> tuple[DeviceId, ...]:
    if where is None:
        return tuple(map(DeviceId, device_ids))
    rows = data.ask(lambda here: find_here(here, where), lambda there: listed_by(there, where=where)[0])
    if not rows:
        raise CommandFailed(
            "the query finds no device", remedy="Try it: `muster devices list --where`.", code=ExitCode.ABSENT
        )
    return tuple(DeviceId(row.id) for row in rows)


def _supply_there(
    there: Server, ids: Sequence[DeviceId], content: bytes, *, anyway: bool, apply: bool
) -> ProfileAdopted:
    body = {"ids": ids, "mobileconfig": base64.b64encode(content).decode(), "anyway": anyway, "dry_run": not apply}
    return there.send("POST", "/adopted-profiles", ProfileAdopted, body)


def _tell_profile(done: Sequence[ProfileAdopted], *, as_json: bool, is_applied: bool) -> None:
    first = done[0]
    ids = [device_id for one in done for device_id in one.device_ids]
    refused = {device_id: refusal for one in done for device_id, refusal in one.refused.items()}
    if as_json:
        said = {name: getattr(first, name) for name in ("payload_identifier", "topic", "server_url", "identity_kind")}
        print_json({**said, "device_ids": ids, "refused": refused, "is_applied": is_applied})
        return
    print_told(
        f"{first.payload_identifier}: topic {first.topic}, {first.server_url}, identity by {first.identity_kind}"
    )
    what = "can be renewed from now on" if is_applied else "could be renewed"
    print(f"{len(ids):,} devices {what}; {len(refused):,} are left out.")
    for refusal in list(refused.values())[:SHOWN]:
        print_told(f"  {refusal.message}" + (f". {refusal.remedy}" if refusal.remedy else ""))
    if len(refused) > SHOWN:
        print(f"  and {len(refused) - SHOWN:,} more; --json has all")
    if not is_applied:
        print("Nothing was changed; --apply does it.")
