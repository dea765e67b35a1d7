"""`muster policy`: what administrators decide while the server runs."""

import json
import sys
from typing import Annotated

import typer

from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.domain.standing_policies import KINDS, PolicyName
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.views.policies import PolicyStanding, list_standing_policies

_LIST = "\n\n".join(f"{name.value}: {kind.help}" for name, kind in KINDS.items())

app = typer.Typer(help="Policies that hold from the moment they are set.", no_args_is_help=True)


@app.command("show")
def show(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show every policy: as it stands, and who set it."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        standing = data.ask(
            lambda here: here.view(list_standing_policies),
            lambda there: there.get("/policies", tuple[PolicyStanding, ...]),
        )
    if as_json:
        print_json([_row(one) for one in standing])
        return
    rows = [
        (
            one.name,
            _shown(one.value),
            "" if one.changed_at is None else ago(one.changed_at, now),
            one.changed_by or "",
            one.about,
        )
        for one in standing
    ]
    print_table(("POLICY", "VALUE", "SET", "BY", "WHAT"), rows)


@app.command("set", help=f"Set a policy.\n\n{_LIST}")
def set_(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(PolicyName)}.")],
    value: Annotated[str, typer.Argument(help="What it is to be; what begins with {, [ or a quote is JSON.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Set a policy."""
    with open_office(data_dir, database, key_ring) as data:
        done = data.run(set_policies, PolicyOrder(name, value))
    if as_json:
        print_json(done)
        return
    print(f"{done.name.value} is {_shown(done.value)} from now on; it was {_shown(done.former)}.", file=sys.stderr)


def _row(one: PolicyStanding) -> dict[str, object]:
    kind = KINDS[PolicyName(one.name)] if one.name in set(PolicyName) else None  # a newer server may have more
    return {
        "name": one.name,
        "value": one.value,
        "default": None if kind is None else kind.default,
        "changed_at": one.changed_at,
        "changed_by": one.changed_by,
        "help": one.about,
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
