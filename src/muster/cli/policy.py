"""`muster policy`: what administrators decide while the server runs."""

import json
import sys
from typing import Annotated

import typer

from muster.cli.connection import connect
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import ago, print_json, print_table
from muster.domain.standing_policies import KINDS, PolicyName, PolicyValue
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.storage import policies
from muster.storage.policies import StoredPolicy

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
    with connect(data_dir, database, key_ring) as data:
        stored = {one.name: one for one in data.view(policies.stored)}
        now = data.now
    standing = {name: stored[name].value if name in stored else kind.default for name, kind in KINDS.items()}
    if as_json:
        print_json([_row(name, standing[name], stored.get(name)) for name in KINDS])
        return
    rows = []
    for name, kind in KINDS.items():
        one = stored.get(name)
        rows.append(
            (
                name.value,
                _shown(standing[name]),
                "" if one is None else ago(one.changed_at, now),
                "" if one is None else one.changed_by,
                kind.help,
            )
        )
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
    with connect(data_dir, database, key_ring) as data:
        done = data.run(set_policies, PolicyOrder(name, value))
    if as_json:
        print_json(done)
        return
    print(f"{done.name.value} is {_shown(done.value)} from now on; it was {_shown(done.former)}.", file=sys.stderr)


def _row(name: PolicyName, value: PolicyValue, stored: StoredPolicy | None) -> dict[str, object]:
    return {
        "name": name.value,
        "value": value,
        "default": KINDS[name].default,
        "changed_at": None if stored is None else stored.changed_at,
        "changed_by": None if stored is None else stored.changed_by,
        "help": KINDS[name].help,
    }


def _shown(value: PolicyValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
