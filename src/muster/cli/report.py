"""`muster report`: signed statements of what was under control, verified anywhere, and one device's entry proved."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from muster.cli.connection import Connection, connect
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import print_json, print_table, without_orders
from muster.crypto.certificates import der_from_pem, inspect_certificate, pem_from_der
from muster.crypto.errors import CryptoError
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.control_report import canonical
from muster.domain.control_report.entries import NOT_JUDGED, Contents, Entry, contents_of
from muster.domain.control_report.proof import MAX_PROOF_OCTETS, find_entries, is_proof, proof, verify_proof
from muster.domain.control_report.statement import (
    MAX_LINE_OCTETS,
    MAX_SIGNATURE_OCTETS,
    Draft,
    ReportUnsound,
    VerifiedStatement,
    verify_entries,
    verify_statement,
)
from muster.domain.errors import Refusal
from muster.operations.sign_reports import sign_reports
from muster.operations.views.control_report import compare, entries_at, policies_stated, read_report_query
from muster.storage import identities
from muster.storage.engine import Transaction

app = typer.Typer(help="Signed reports of what was under control, and their verification.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The statement: what --output named.")]
Trust = Annotated[
    Path | None,
    typer.Option("--trust", metavar="PEM", help="The authority's certificate, as you have it from elsewhere."),
]


@app.command("control")
def control(
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="DATE", help="As of the end of this day (UTC), or of an instant; else as of now."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="QUERY", help="Only channels of devices that this finds now.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Sign it: the statement in FILE, the rest in files beside it."),
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Count what was in control by which proof, and what was not and why; with --output as a signed statement.

    Written are FILE, the statement; FILE.p7s, the signature; FILE.entries, a line for each channel; FILE.pem, the
    certificate of the authority. None of them may be there before.
    """
    with connect(data_dir, database, key_ring) as data:
        asked_at = _instant(at, data.now)
        if output is None:
            contents = _gather(data, asked_at, where, lambda _: None)[0]
            if as_json:
                print_json(contents.counts)
            else:
                _print_counts(asked_at, contents.counts)
                print("\nNot signed: --output FILE writes it as a signed statement.")
            return
        _write(data, asked_at, where, output)
        octets = output.read_bytes()
    stated = canonical.read(octets)
    if as_json:
        print_json({"file": str(output), "statement": stated})
        return
    _print_counts(asked_at, _mapping(stated, "counts"))
    print(f"\nSigned: {output}, with {_beside(output, SIGNATURE).name} and {_beside(output, ENTRIES).name}.")


SIGNATURE, ENTRIES, AUTHORITY = ".p7s", ".entries", ".pem"


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _instant(text: str | None, now: datetime) -> datetime:
    if text is None:
        return now.replace(microsecond=0)
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        remedy = "Write 2026-11-02, or 2026-11-02T14:00:00+01:00."
        raise CommandFailed(f"--at {text} is no date", remedy=remedy, code=ExitCode.USAGE) from error
    if found > now:
        raise CommandFailed(f"--at {text} is still to come", code=ExitCode.USAGE)
    if len(text) <= len("2026-11-02"):
        return min(found + timedelta(days=1), now.replace(microsecond=0))
    return found


def _gather(
    data: Connection, at: datetime, where: str | None, keep: Callable[[bytes], object]
) -> tuple[Contents, canonical.Json]:
    """Count the entries as of *at*, handing each line on, and read the policies of then, all of one moment."""
    now = data.now

    def read(tx: Transaction) -> tuple[Contents, canonical.Json] | Refusal:
        query = read_report_query(tx, where)
        if isinstance(query, Refusal):
            return query
        entries = _kept(entries_at(tx, at, query, now), keep)
        return contents_of(entries), policies_stated(tx, at)

    found = data.view(read)
    if isinstance(found, Refusal):
        raise CommandRefused(found)
    return found


def _kept(
    entries: Iterator[Entry], keep: Callable[[bytes], object]
) -> Iterator[tuple[bytes, Mapping[str, canonical.Json]]]:
    for entry in entries:
        data = entry.data()
        line = canonical.written(data)
        keep(line + b"\n")
        yield line, data


def _write(data: Connection, at: datetime, where: str | None, output: Path) -> None:
    for file in (output, *(_beside(output, suffix) for suffix in (SIGNATURE, ENTRIES, AUTHORITY))):
        if file.exists():
            raise CommandFailed(f"{file} is there already", remedy="Name another file.", code=ExitCode.CONFLICT)
    with _new_file(_beside(output, ENTRIES)) as entries:
        contents, policies = _gather(data, at, where, entries.write)
        signed = data.run(sign_reports, Draft(at, where, contents, policies))
    for file, octets in (
        (_beside(output, AUTHORITY), pem_from_der([signed.authority_der])),
        (_beside(output, SIGNATURE), signed.signature),
        (output, signed.statement),
    ):
        with _new_file(file) as opened:
            opened.write(octets)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that is there whole or not at all, for its owner's eyes: serial numbers are in it."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# --- verified ---------------------------------------------------------------------------------------------------------


@app.command("verify")
def verify(file: File, trust: Trust = None, as_json: AsJson = False) -> None:
    """Verify a report, or a proof of one entry: signature, counts, entries. Needs no server and no database.

    Without --trust the authority that came along is taken as it is: compare its SHA-256 with what you know of it.
    """
    roots = _roots(trust)
    octets = _read(file, MAX_PROOF_OCTETS)
    with _explained(file):
        if is_proof(octets):
            proved = verify_proof(octets, roots)
            _print_verified(proved.statement, as_json, entry=proved.entry)
            return
        verified = _verified(file, octets, roots)
    _print_verified(verified, as_json)


@app.command("prove")
def prove(
    file: File,
    id_: Annotated[str, typer.Argument(metavar="ID", help="A channel's id or a device's serial number.")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where to write the proof.")],
    as_json: AsJson = False,
) -> None:
    """Write a proof of one entry of a report, which shows no other: for `muster report verify`."""
    octets = _read(file, MAX_PROOF_OCTETS)
    with _explained(file):
        _verified(file, octets, ())
    with _opened(_beside(file, ENTRIES)) as lines:
        leaves, found = find_entries(lines, [id_])
    if not found:
        raise CommandFailed(f"the report says nothing of {id_}", code=ExitCode.ABSENT)
    if len(found) > 1:
        ids = ", ".join(str(canonical.read(line)["channel"]) for line in found.values())
        raise CommandFailed(f"{id_} stands for several: {ids}", remedy="Name one of them.", code=ExitCode.CONFLICT)
    [(index, line)] = found.items()
    if output.exists():
        raise CommandFailed(f"{output} is there already", remedy="Name another file.", code=ExitCode.CONFLICT)
    with _new_file(output) as opened:
        opened.write(proof(octets, _read(_beside(file, SIGNATURE), MAX_SIGNATURE_OCTETS), leaves, index, line))
    if as_json:
        print_json({"file": str(output), "entry": canonical.read(line)})
        return
    print(f"{output} proves what the report says of {id_}, and shows nothing of others.")


@app.command("compare")
def compare_(
    file: File,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold a report against the server's data: whether anything of what it rests on was changed since."""
    octets = _read(file, MAX_PROOF_OCTETS)
    with connect(data_dir, database, key_ring) as data:
        roots = data.view(lambda tx: [one.certificate_der for one in identities.all_authorities(tx)])
        with _explained(file):
            verified = _verified(file, octets, roots)
        with _opened(_beside(file, ENTRIES)) as lines:
            compared = data.view(lambda tx: compare(tx, verified.data, lines))
    if as_json:
        print_json({"is_same": compared.is_same, **asdict(compared)})
    else:
        for what, ids in (("is not as it was", compared.changed), ("is gone", compared.missing)):
            for id_ in ids:
                print(f"{id_}: the story of its verdicts {what}")
        if not compared.is_audit_whole:
            print("The audit log is not as it was: `muster audit verify` says where.")
        if compared.is_same:
            print(f"The stories of {compared.channels:,} channels and the audit log are as they were.")
    if not compared.is_same:
        raise CommandFailed(f"{file} and the data differ", code=ExitCode.REFUSED)


def _verified(file: Path, octets: bytes, roots: Sequence[bytes]) -> VerifiedStatement:
    verified = verify_statement(octets, _read(_beside(file, SIGNATURE), MAX_SIGNATURE_OCTETS), roots)
    with _opened(_beside(file, ENTRIES)) as lines:
        verify_entries(verified.data, lines)
    return verified


def _roots(trust: Path | None) -> tuple[bytes, ...]:
    if trust is None:
        return ()
    try:
        return der_from_pem(_read(trust, MAX_SIGNATURE_OCTETS))
    except CryptoError as error:
        raise CommandFailed(f"{trust} holds no certificate: {error}", code=ExitCode.USAGE) from error


def _read(file: Path, limit: int) -> bytes:
    with _open(file) as opened:
        octets = opened.read(limit + 1)
    if len(octets) > limit:
        raise CommandFailed(f"{file} is too large to be of a report")
    return octets


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror}", code=ExitCode.ABSENT) from error


@contextmanager
def _opened(file: Path) -> Iterator[Iterator[bytes]]:
    with _open(file) as opened:
        yield iter(lambda: opened.readline(MAX_LINE_OCTETS + 1), b"")


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except ReportUnsound as error:
        raise CommandFailed(f"{file} does not hold: {error}", code=ExitCode.REFUSED) from error


def _print_verified(
    verified: VerifiedStatement, as_json: bool, entry: Mapping[str, canonical.Json] | None = None
) -> None:
    authority = inspect_certificate(verified.authority_der)
    if as_json:
        print_json(
            {
                "is_trusted": verified.is_trusted,
                "signed_at": verified.signed_at,
                "authority_sha256": authority.fingerprint,
                "statement": verified.data,
                "entry": entry,
            }
        )
    else:
        what = "The report" if entry is None else "The entry"
        print(f"{what} is as it was signed on {verified.signed_at:%Y-%m-%d at %H:%M} UTC.")
        _say(f"Authority: {authority.subject}, SHA-256 {authority.fingerprint.hex()}")
        if entry is not None:
            _print_entry(verified, entry)
        else:
            _print_counts(str(verified.data.get("at")), _mapping(verified.data, "counts"))
    if not verified.is_trusted:
        print(
            "The authority was not compared with anything: give --trust, or compare its SHA-256 with what you know.",
            file=sys.stderr,
        )


def _print_entry(verified: VerifiedStatement, entry: Mapping[str, canonical.Json]) -> None:
    serial = f" (serial number {entry['serial_number']})" if entry.get("serial_number") else ""
    _say(f"As of {verified.data.get('at')}, {entry.get('channel')}{serial}:", before="\n")
    if entry.get("state") is None:
        print("  not judged yet")
        return
    _say(f"  {entry['state']} since {entry.get('since')}, reason {entry.get('reason')}")
    _say(f"  {entry.get('sentence')}")
    proved_at = f", given {entry['proof_at']}" if entry.get("proof_at") else ""
    _say(f"  proof level {entry.get('proof_level')}{proved_at}")


def _say(text: str, before: str = "") -> None:
    """Print what somebody else wrote, who may be anybody as long as nobody trusts the authority."""
    print(before + without_orders(text))


def _mapping(data: Mapping[str, canonical.Json], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def _print_counts(at: datetime | str, counts: Mapping[str, Any]) -> None:
    said = at if isinstance(at, str) else canonical.instant(at)
    _say(f"As of {said}:")
    if not any(_mapping(counts, name).get("total") for name in ("devices", "user_channels")):
        print("  no channel was known")
    for name, title in (("devices", "Devices"), ("user_channels", "User channels")):
        told = _mapping(counts, name)
        if not told.get("total"):
            continue
        print(f"\n{title}: {told['total']:,}")
        states, proofs = _mapping(told, "states"), _mapping(told, "in_control_by_proof_level")
        reasons = _mapping(told, "others_by_reason")
        order = [*ControlState, NOT_JUDGED]
        rows = [("state", state, states[state]) for state in order if state in states]
        rows += [("in control, proof level", level, proofs[level]) for level in sorted(proofs, reverse=True)]
        rows += [("reason", reason.value, reasons[reason.value]) for reason in Reason if reason.value in reasons]
        print_table(("", "", "CHANNELS"), rows)
