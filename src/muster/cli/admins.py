"""`muster admins`: let people into the console."""

import sys
from typing import Annotated

import typer

from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.output import print_json, print_table
from muster.domain.roles import Role
from muster.operations.set_roles import RoleOrder, set_roles
from muster.operations.sign_in import create_sign_in_links
from muster.storage import people

app = typer.Typer(help="Administrators.", no_args_is_help=True)
OWNER = "owner"


@app.callback()
def _group() -> None:
    """Administrators."""


@app.command("link")
def link(
    name: Annotated[str, typer.Argument(help="The administrator's name; added when new.")] = OWNER,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a link that signs an administrator in, once, within 24 hours."""
    with connect(data_dir, database, key_ring) as data:
        made = data.run(create_sign_in_links, name)
        url = f"{data.terms().public_url}/sign-in/{made.token}"
    if as_json:
        print_json({"url": url, "name": made.administrator.name, "expires_at": made.expires_at})
        return
    print(url)
    print(f"Signs {name} in, once, until {made.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the administrators and their roles."""
    with connect(data_dir, database, key_ring) as data:
        rows = data.view(people.all_administrators)
    if as_json:
        print_json([{"name": one.name, "role": one.role} for one in rows])
        return
    print_table(("NAME", "ROLE"), [(one.name, one.role.value) for one in rows])


@app.command("set-role")
def set_role(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    role: Annotated[Role, typer.Argument(help="Each has what those before it have.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give an administrator a role. The first one is the owner, those added later are viewers."""
    with connect(data_dir, database, key_ring) as data:
        done = data.run(set_roles, RoleOrder(name, role))
    if as_json:
        print_json({"name": done.name, "role": done.role})
        return
    print(f"{done.name} is {done.role.value} from now on.", file=sys.stderr)
