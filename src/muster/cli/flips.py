"""`muster flips`: so many devices fell at once that others are told only upon a person's word."""

import sys

import typer

from muster.cli.connection import Connection
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import print_json, print_table
from muster.operations.end_flips import FlipOrder, end_flips, settle_flips
from muster.operations.views.flips import FlipSettled
from muster.storage import tellings
from muster.storage.tellings import MassFlip

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
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(lambda here: here.view(tellings.flips), lambda there: there.get("/flips", tuple[MassFlip, ...]))
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
    with open_office(data_dir, database, key_ring) as data:
        ended = _end(data, is_released=True)
    if as_json:
        print_json({"flip_id": ended.flip_id, "waiting": ended.waiting, "told": ended.told})
        return
    print(f"{ended.waiting} enrollments waited; others are told of {ended.told}.", file=sys.stderr)


@app.command("drop")
def drop(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell nobody of those that wait; they are told of again once their state changes."""
    with open_office(data_dir, database, key_ring) as data:
        ended = _end(data, is_released=False)
    if as_json:
        print_json({"flip_id": ended.flip_id, "waiting": ended.waiting, "told": 0})
        return
    print(f"{ended.waiting} enrollments waited; nobody is told of them.", file=sys.stderr)


def _end(data: Office, *, is_released: bool) -> FlipSettled:
    return data.ask(
        lambda here: _end_here(here, is_released=is_released),
        lambda there: there.send("POST", "/flips/end", FlipSettled, {"release": is_released}),
    )


def _end_here(here: Connection, *, is_released: bool) -> FlipSettled:
    """Decide, and settle all that wait, part after part; where this ends early, the server goes on."""
    ended = here.run(end_flips, FlipOrder(is_released))
    told = 0
    while (settled := here.run(settle_flips, None)).left:
        told += settled.told
    return FlipSettled(ended.flip_id, ended.waiting, told)
