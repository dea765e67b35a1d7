"""`muster audit`: read the log of what was done, and verify that it is whole."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from muster.cli.connection import Connection
from muster.cli.errors import CommandFailed
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json, print_table
from muster.cli.server_calls import at
from muster.domain.permissions import Permission
from muster.operations.views.audit import (
    AuditRow,
    ChainCheck,
    KeptHash,
    export_line,
    is_of_chain,
    list_acts,
    read_acts,
    verify_chain,
)

_HASH: Final = re.compile("[0-9a-fA-F]{64}")

app = typer.Typer(help="The log of who did what.", no_args_is_help=True)


@app.command("list")
def list_(
    act: Annotated[
        str | None,
        typer.Option("--act", metavar="ACT", help="Only this act, such as secret.reveal, or secret for all."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="ID", help="Only what was done to this: a device, a command.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most.")] = 100,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what was done, the latest first: when, by whom, and to what."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(
                lambda tx: list_acts(tx, limit=limit, act=act, subject=subject), needs=Permission.READ_AUDIT
            ),
            lambda there: tuple(islice(there.pages("/audit", AuditRow, act=act, subject=subject), limit)),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No such act.")
        return
    print_table(
        ("NUMBER", "AT (UTC)", "BY", "FROM", "ACT", "SUBJECT", "DETAIL"),
        [
            (
                row.sequence,
                f"{row.at:%Y-%m-%d %H:%M:%S}",
                row.actor_name,
                row.source,
                row.act,
                row.subject,
                ", ".join(f"{name} {value}" for name, value in row.detail.items() if value not in (None, "")),
            )
            for row in rows
        ],
    )


@app.command("export")
def export(
    out: Annotated[Path | None, typer.Option("--out", help="The file to write; absent: standard output.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Write the whole log as lines of JSON, the oldest first, each with its hash.

    The hash of a line is the SHA-256 of the former line's hash and of this JSON array without blanks, in ASCII, names
    in objects sorted: [sequence, at, actor_kind, actor_name, source, act, subject, detail].
    """
    with open_office(data_dir, database, key_ring) as data, _opened(out) as file:
        file.writelines(data.ask(_lines_here, lambda there: there.lines("/audit/export")))


def _lines_here(here: Connection) -> Iterator[str]:
    after = 0
    while rows := here.view(lambda tx, after=after: read_acts(tx, after), needs=Permission.READ_AUDIT):  # type: ignore[misc]
        yield from map(export_line, rows)
        after = rows[-1].act.sequence


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="ascii") as file:
        yield file


@app.command("verify")
def verify(
    kept: Annotated[
        str | None,
        typer.Option("--kept", metavar="HASH", help="A last hash of before, kept elsewhere: it has to be in the log."),
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold each row against the hash over it and all before it.

    Keep the last hash elsewhere, and give it as --kept the next time: it shows that nothing was cut off since, and that
    the log was not written anew.
    """
    former = None if kept is None else _hash(kept)
    with open_office(data_dir, database, key_ring) as data:
        found = data.ask(
            lambda here: here.view(verify_chain, needs=Permission.READ_AUDIT),
            lambda there: there.get("/audit/verification", ChainCheck),
        )
        is_there = former is None or data.ask(
            lambda here: here.view(lambda tx: is_of_chain(tx, former), needs=Permission.READ_AUDIT),
            lambda there: there.get(at("audit", "hashes", former.hex()), KeptHash).is_there,
        )
    if as_json:
        print_json({"rows": found.rows, "broken_at": found.broken_at, "last_hash": found.last_hash.hex()})
    elif found.broken_at is None:
        print(f"{found.rows:,} acts are as they were written; the last hash is {found.last_hash.hex()}.")
    if found.broken_at is not None:
        raise CommandFailed(
            f"the audit log was changed: number {found.broken_at:,} is missing, or not as it was written",
            remedy="`muster audit list --limit 100` and a backup show what differs.",
        )
    if not is_there:
        raise CommandFailed(
            "the hash that was kept is none of this log's: acts were cut off since, or the log was written anew",
            remedy="Look at a backup, and at an export of that time. A database that was restored is behind, too.",
        )


def _hash(text: str) -> bytes:
    if _HASH.fullmatch(text) is None:
        raise typer.BadParameter("a hash has 64 hexadecimal digits", param_hint="--kept")
    return bytes.fromhex(text)
