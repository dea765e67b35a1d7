"""`muster admins`: let people into the console."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import at
from muster.domain.permissions import Permission
from muster.domain.roles import Role
from muster.operations.end_sessions import end_sessions
from muster.operations.set_roles import AccessOrder, RoleOrder, set_access, set_roles
from muster.operations.set_up_sign_in import reset_ways
from muster.operations.sign_in import create_sign_in_links
from muster.operations.views.people import (
    AdministratorRow,
    Invitation,
    SessionRow,
    invitation,
    list_administrators,
    sessions_of,
)

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
    with open_office(data_dir, database, key_ring) as data:
        made = data.ask(
            lambda here: invitation(here.run(create_sign_in_links, name), here.terms().public_url),
            lambda there: there.send("POST", "/administrators", Invitation, {"name": name}),
        )
    if as_json:
        print_json({"url": made.url, "name": made.name, "expires_at": made.expires_at})
        return
    print(made.url)
    print(f"Signs {name} in, once, until {made.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the administrators and their roles."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(list_administrators, about=(), needs=Permission.PEOPLE),
            lambda there: there.get("/administrators", tuple[AdministratorRow, ...]),
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "ROLE", "SCOPE", "SIGNS IN BY", ""),
        [
            (
                row.name,
                row.role,
                "the whole fleet" if row.groups is None else ", ".join(row.groups),
                ", ".join(row.ways),
                "" if row.disabled_at is None else "shut out",
            )
            for row in rows
        ],
    )


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
    with open_office(data_dir, database, key_ring) as data:
        data.run(set_roles, RoleOrder(name, role))
    if as_json:
        print_json({"name": name, "role": role})
        return
    print(f"{name} is {role.value} from now on.", file=sys.stderr)


@app.command("set-scope")
def set_scope(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    groups: Annotated[list[str] | None, typer.Argument(metavar="[GROUP]...", help="None: the whole fleet.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Limit an administrator to the devices of some groups: no other is seen or touched."""
    with open_office(data_dir, database, key_ring) as data:
        data.run(set_roles, RoleOrder(name, groups=tuple(groups or ())))
    if as_json:
        print_json({"name": name, "groups": groups or None})
        return
    print(f"{name} has {', '.join(groups) if groups else 'the whole fleet'} from now on.", file=sys.stderr)


@app.command("disable")
def disable(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Shut an administrator out, at once; the name stays in the audit log."""
    _set_access(AccessOrder(name, is_disabled=True), data_dir, database, key_ring, as_json=as_json)


@app.command("enable")
def enable(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Let an administrator sign in again."""
    _set_access(AccessOrder(name, is_disabled=False), data_dir, database, key_ring, as_json=as_json)


@app.command("reset")
def reset(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget somebody's password, codes and passkeys, and end every session: for a telephone that was stolen."""
    with open_office(data_dir, database, key_ring) as data:
        data.run(reset_ways, name)
    if as_json:
        print_json({"name": name})
        return
    print(f"{name} comes in by `muster admins link {name}`, and sets it up anew.", file=sys.stderr)


@app.command("sessions")
def sessions(
    name: Annotated[str, typer.Argument(help="The administrator's name.")],
    end: Annotated[bool, typer.Option("--end", help="End all of them.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List somebody's sessions: by what they signed in, from where, and when each was used last."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows = data.ask(
            lambda here: here.view(lambda tx: sessions_of(tx, name, now), about=(), needs=Permission.PEOPLE),
            lambda there: there.get(at("administrators", name, "sessions"), tuple[SessionRow, ...]),
        )
        if end:
            data.run(end_sessions, name)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("FROM", "BY", "SIGNED IN", "LAST USED", "BROWSER"),
        [(row.source, row.how, ago(row.created_at, now), ago(row.last_used_at, now), row.user_agent) for row in rows],
    )
    if end:
        print(f"All sessions of {name} are ended.", file=sys.stderr)


def _set_access(
    order: AccessOrder, data_dir: Path | None, database: str | None, key_ring: Path | None, *, as_json: bool
) -> None:
    with open_office(data_dir, database, key_ring) as data:
        data.run(set_access, order)
    if as_json:
        print_json({"name": order.name, "is_disabled": order.is_disabled})
        return
    print(f"{order.name} {'is shut out' if order.is_disabled else 'may sign in again'}.", file=sys.stderr)
