"""`muster act`: everyone whom a query finds is pushed, asked for inventory, recovered, or put into a group."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from muster.cli.errors import CommandFailed
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.orders_to_many import nothing, see_through, state_of, tell_left_out
from muster.cli.output import ago, print_json, print_table, without_orders
from muster.cli.server_acts import bulk_body
from muster.cli.server_calls import at
from muster.domain.bulk_acts import BulkKind
from muster.operations.act_by_query import BulkOrder, continue_bulk_acts, order_bulk_acts
from muster.operations.views.bulk_acts import BulkPreview, list_bulk_acts, preview_bulk_act, show_bulk_act
from muster.storage.bulk_acts import BulkAct

if TYPE_CHECKING:
    from muster.cli.connection import Connection

app = typer.Typer(help="Do to everyone whom a query finds what is done to one.", no_args_is_help=True)

ASKED: Final = {
    BulkKind.PUSH: "Push all of them?",
    BulkKind.ASK: "Ask all of them for their inventory?",
    BulkKind.RECOVER: "Go on now with the recovery of all of them?",
    BulkKind.GROUP: "Put all of them into the group?",
}
SAID: Final = {
    BulkKind.PUSH: "Pushed",
    BulkKind.ASK: "Asked",
    BulkKind.RECOVER: "Went on with the recovery of",
    BulkKind.GROUP: "Put into the group",
}

Enrolled = Annotated[
    str, typer.Option("--where", metavar="QUERY", help="Everyone who is enrolled and whom this finds.")
]
Anybody = Annotated[str, typer.Option("--where", metavar="QUERY", help="Everyone whom this finds, enrolled or not.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many they are, name some, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask whether all of them are meant.")]


@app.callback()
def _group() -> None:
    """Do to everyone whom a query finds what is done to one."""


@app.command("push")
def push(
    where: Enrolled,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Have everyone connect whom a query finds."""
    with open_office(data_dir, database, key_ring) as data:
        _do(data, BulkOrder(where, BulkKind.PUSH), dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("inventory")
def inventory(
    where: Enrolled,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask everyone whom a query finds what they are and what they have, and push for it."""
    with open_office(data_dir, database, key_ring) as data:
        _do(data, BulkOrder(where, BulkKind.ASK), dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("recover")
def recover(
    where: Enrolled,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Do the next step of each recovery that needs no go-ahead; whoever has none is asked a harmless question."""
    with open_office(data_dir, database, key_ring) as data:
        _do(data, BulkOrder(where, BulkKind.RECOVER), dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("group")
def group(
    name: Annotated[str, typer.Argument(metavar="GROUP", help="The group: one into which devices are put.")],
    where: Anybody,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Put everyone whom a query finds into a group. They stay in it, whatever the query finds later."""
    with open_office(data_dir, database, key_ring) as data:
        _do(data, BulkOrder(where, BulkKind.GROUP, name), dry_run=dry_run, yes=yes, as_json=as_json)


def _do(data: Office, order: BulkOrder, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    if dry_run or not as_json:
        preview = data.ask(
            lambda here: _preview_here(here, order),
            lambda there: there.send("POST", "/bulk-acts/preview", BulkPreview, bulk_body(order)),
        )
        if dry_run and as_json:
            print_json(preview)
            return
        print(
            f"The query finds {preview.matched:,} {'device' if preview.matched == 1 else 'devices'}.", file=sys.stderr
        )
        if dry_run:
            _tell_preview(preview)
            return
        if not yes and sys.stdin.isatty():
            typer.confirm(ASKED[order.kind], abort=True, err=True)
    ordered = data.run(order_bulk_acts, order)
    is_shown = not as_json and sys.stderr.isatty()
    done = data.ask(
        lambda here: see_through(
            ordered,
            lambda: _known(here, ordered),
            lambda: here.run(continue_bulk_acts, ordered.id),
            is_shown=is_shown,
        ),
        lambda there: see_through(
            ordered, lambda: there.get(at("bulk-acts", ordered.id), BulkAct), nothing, is_shown=is_shown
        ),
    )
    if as_json:
        print_json(done)
    else:
        print(f"{SAID[done.kind]} {done.done:,} of {done.matched:,}.", file=sys.stderr)
        tell_left_out(done.refused)
    if done.stopped_because is not None:
        raise CommandFailed(done.stopped_because, remedy="See `muster act list`.")


def _preview_here(here: "Connection", order: BulkOrder) -> BulkPreview:
    now = here.now
    return here.foresee(order_bulk_acts, order, lambda tx, narrowed: preview_bulk_act(tx, narrowed, now))


def _known(here: "Connection", ordered: BulkAct) -> BulkAct:
    found = here.view(lambda tx: show_bulk_act(tx, ordered.id, here.principal), about=())
    assert found is not None, "orders are never deleted"
    return found


def _tell_preview(preview: BulkPreview) -> None:
    for row in preview.first:
        print(without_orders(f"  {row.id}  {row.name or row.serial_number or ''}").rstrip())
    if preview.matched > len(preview.first):
        print(f"  and {preview.matched - len(preview.first):,} more")
    print("Nothing was done.", file=sys.stderr)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what was done to many, the newest first, and how far it is."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(lambda tx: list_bulk_acts(tx, here.principal), about=()),
            lambda there: there.get("/bulk-acts", tuple[BulkAct, ...]),
        )
        now = data.now
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("Nothing was done to many yet. See `muster act --help`.")
        return
    print_table(
        ("ACT", "ORDERED", "BY", "FOUND", "DONE", "LEFT OUT", "STATE", "GROUP", "QUERY"),
        [
            (
                row.kind,
                ago(row.ordered_at, now),
                row.actor.name,
                row.matched,
                row.done,
                row.reached - row.done,
                state_of(row),
                row.group_name,
                row.query,
            )
            for row in rows
        ],
    )
