"""`muster flips`: so many devices fell at once that others are told only upon a person's word."""

import sys

import typer

from muster.cli.connection import Connection, connect
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import print_json, print_table
from muster.operations.end_flips import FlipEnded, FlipOrder, end_flips, settle_flips
from muster.storage import tellings

app = typer.Typer(
    help="Mass flips: so many devices out of control at once that others are told only upon your word.",
    no_args_is_help=True,
)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List mass flips, the one that waits for your word first."""
    with connect(data_dir, database, key_ring) as data:
        rows = data.view(tellings.flips)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No mass flip.")
        return
    print_table(
        ("SINCE (UTC)", "NOTICED AT", "OF", "WAITING", "DECIDED (UTC)", "WHAT", "BY"),
        [
            (
                f"{row.opened_at:%Y-%m-%d %H:%M}",
                row.count,
                row.fleet,
                row.left,
                "waits for you" if row.ended_at is None else f"{row.ended_at:%Y-%m-%d %H:%M}",
                "" if row.is_released is None else ("released" if row.is_released else "dropped"),
                row.ended_by or "",
            )
            for row in rows
        ],
    )


@app.command("release")
def release(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell others of those that are out of control still; of those that came back nobody is told."""
    with connect(data_dir, database, key_ring) as data:
        ended, told = _end(data, is_released=True)
    if as_json:
        print_json({"flip_id": ended.flip_id, "waiting": ended.waiting, "told": told})
        return
    print(f"{ended.waiting} enrollments waited; others are told of {told}.", file=sys.stderr)


@app.command("drop")
def drop(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell nobody of those that wait; they are told of again once their state changes."""
    with connect(data_dir, database, key_ring) as data:
        ended, _ = _end(data, is_released=False)
    if as_json:
        print_json({"flip_id": ended.flip_id, "waiting": ended.waiting, "told": 0})
        return
    print(f"{ended.waiting} enrollments waited; nobody is told of them.", file=sys.stderr)


def _end(data: Connection, *, is_released: bool) -> tuple[FlipEnded, int]:
    """Decide, and settle all that wait, part after part; where this ends early, the server goes on."""
    ended = data.run(end_flips, FlipOrder(is_released))
    told = 0
    while (settled := data.run(settle_flips, None)).left:
        told += settled.told
    return ended, told
