"""`muster journal`: what the journal holds, and telling a restored database what it missed."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from muster.bootstrap.data_directory import read_key_ring
from muster.bootstrap.journaling import JOURNAL
from muster.bootstrap.replaying import Tally, rehearse_all, replay_all
from muster.cli.connection import Connection, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import print_json, print_table
from muster.operations.replay_journal import ReplayResult
from muster.storage import journal_marks
from muster.storage.journal import JournalRecord, count_records
from muster.storage.journal_files import JournalFile, journal_files, read_merged

app = typer.Typer(help="The journal of check-ins, outside the database.", no_args_is_help=True)

From = Annotated[
    list[Path] | None,
    typer.Option("--from", help="A directory with journal files, as of another node; may be repeated."),
]


@app.command("list")
def list_(
    from_: From = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the journal's files, and how far the database has taken them in."""
    with connect(data_dir, database, key_ring) as data:
        files = journal_files(_directories(data, from_))
        marks = data.view(journal_marks.marks)
    rows = []
    for file in files:
        records = count_records(file.path)
        mark = marks.get(file.node)
        taken_in = 0
        if mark is not None:
            name = file.path.name
            taken_in = (
                records if name < mark.position.file else mark.position.count if name == mark.position.file else 0
            )
        rows.append((file.day.isoformat(), file.node, records, min(taken_in, records), file.path.stat().st_size))
    if as_json:
        names = ("day", "node", "records", "taken_in", "bytes")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    if not rows:
        print("No journal.")
        return
    print_table(("DAY", "NODE", "RECORDS", "TAKEN IN", "BYTES"), rows)


@app.command("replay")
def replay(
    from_: From = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Only what came on this day or later.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell the database what the journal has and it has not: after a restore, and to be sure. Safe to run again.

    Without --from, this node's journal. Those of several nodes are read as one, by the times of their records. What
    devices have said since stays as it is. With --dry-run the database is held while the journal is read.
    """
    first = _first_instant(since)
    tally = Tally()
    with connect(data_dir, database, key_ring) as data:
        files = [file for file in journal_files(_directories(data, from_)) if file.day >= first.date()]
        records = _records(data, files, first, tally)
        if dry_run:
            rehearse_all(data.runner, records, tally)
        else:
            replay_all(data.runner, records, tally)
    if as_json:
        print_json(_as_json(tally))
    else:
        _print(tally, dry_run=dry_run)


def _directories(data: Connection, given: list[Path] | None) -> list[Path]:
    for directory in given or ():
        if not directory.is_dir():
            raise CommandFailed(f"there is no directory {directory}", code=ExitCode.ABSENT)
    return given or [data.settings.data_dir / JOURNAL]


def _first_instant(since: str | None) -> datetime:
    if since is None:
        return datetime.min.replace(tzinfo=UTC)
    try:
        found = datetime.fromisoformat(since)
    except ValueError as error:
        raise CommandFailed(f"--since {since} is no date", remedy="Write 2026-11-02.", code=ExitCode.USAGE) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _records(data: Connection, files: list[JournalFile], first: datetime, tally: Tally) -> Iterator[JournalRecord]:
    ring = read_key_ring(data.settings.key_ring_path)
    for entry in read_merged(files, ring, behind={}, on_damage=tally.damages.append):
        if entry.record.at >= first:
            yield entry.record


def _as_json(tally: Tally) -> dict[str, object]:
    return {
        "counts": [
            {"message": message, "result": result, "records": count}
            for (message, result), count in sorted(tally.counts.items())
        ],
        "devices": sorted(tally.devices),
        "not_replayed": [
            {"at": one.record.at, "message": one.record.message, "id": one.device_id, "reason": one.reason}
            for one in tally.not_replayed
        ],
        "damages": [
            {"file": one.position.file, "record": one.position.count, "reason": one.reason} for one in tally.damages
        ],
    }


def _print(tally: Tally, *, dry_run: bool) -> None:
    messages = sorted({message for message, _ in tally.counts})
    if not messages:
        print("The journal has no records.")
    else:
        print_table(
            ("MESSAGE", *(result.value.upper() for result in ReplayResult)),
            [(message, *(tally.counts[message, result] for result in ReplayResult)) for message in messages],
        )
    for one in tally.not_replayed:
        print(f"{one.record.message} of {one.device_id or 'no device'}: {one.reason}", file=sys.stderr)
    for damage in tally.damages:
        print(f"{damage.position.file}, record {damage.position.count}: {damage.reason}", file=sys.stderr)
    verb = "would be told something new" if dry_run else "was told something new"
    print(f"Of {len(tally.devices)} device(s) the database {verb}.", file=sys.stderr)
