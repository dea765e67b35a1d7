"""`muster witnesses`: who else may say that devices were seen."""

import sys
from typing import Annotated

import typer

from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.domain.control.witness import Witness, WitnessKind
from muster.operations.manage_witnesses import (
    NewToken,
    WitnessOrder,
    add_witnesses,
    remove_witnesses,
    rotate_witnesses,
)
from muster.storage import witnesses

app = typer.Typer(
    help="Agents, sign-ins, networks and the like that may say of devices that they were seen.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Its name, as in sentences and in the policy `agent`.")]


@app.command("add")
def add(
    name: Name,
    kind: Annotated[WitnessKind, typer.Option("--kind", help="What it is.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a witness, and print the token by which it posts. The token is shown this once."""
    with open_office(data_dir, database, key_ring) as data:
        made = data.run(add_witnesses, WitnessOrder(name, kind))
    _show(made, as_json)


@app.command("rotate")
def rotate(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a witness another token, and print it. The former one is good no more."""
    with open_office(data_dir, database, key_ring) as data:
        made = data.run(rotate_witnesses, name)
    _show(made, as_json)


@app.command("remove")
def remove(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a witness say no more. What it said stays evidence."""
    with open_office(data_dir, database, key_ring) as data:
        witness = data.run(remove_witnesses, name)
    if as_json:
        print_json(witness)
        return
    print(f"{witness.name} may say no more; what it said stays evidence.")


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List witnesses: when each spoke last, and how many of the devices it named are not known here."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows = data.ask(
            lambda here: tuple(here.view(witnesses.all_witnesses)),
            lambda there: there.get("/witnesses", tuple[Witness, ...]),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("There are no witnesses yet: `muster witnesses add` makes one.")
        return
    print_table(
        ("NAME", "KIND", "HEARD", "SIGHTINGS", "UNKNOWN DEVICES", "TOKEN SINCE", "ADDED BY"),
        [
            (
                row.name,
                row.kind.value,
                ago(row.heard_at, now),
                row.sightings,
                row.unknown,
                f"{row.token_changed_at:%Y-%m-%d}",
                row.created_by,
            )
            for row in rows
        ],
    )


def _show(made: NewToken, as_json: bool) -> None:
    if as_json:
        print_json({"name": made.witness.name, "kind": made.witness.kind, "token": made.token})
        return
    print(made.token)
    print(f"{made.witness.name} may post; the line above is its token, which is not shown again.", file=sys.stderr)
