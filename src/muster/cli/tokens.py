"""`muster tokens`: what programs sign in with."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import Server
from muster.domain.permissions import Permission
from muster.domain.roles import Role
from muster.operations.manage_tokens import LONGEST_LIFETIME, TokenOrder, create_tokens, revoke_tokens
from muster.operations.views.people import MadeToken, TokenRow, list_tokens, made_token

app = typer.Typer(help="Tokens, by which programs do what their role allows.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for; it stands in the audit log beside all that it does.")],
    role: Annotated[Role, typer.Option("--role", help="Each has what those before it have.")] = Role.VIEWER,
    groups: Annotated[
        list[str] | None, typer.Option("--group", help="Only devices of this group, and of others that are named.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=LONGEST_LIFETIME.days, help="How long it is good.")] = 90,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    order = TokenOrder(name, role, timedelta(days=days), tuple(groups or ()))
    with open_office(data_dir, database, key_ring) as data:
        made = data.ask(
            lambda here: made_token(here.run(create_tokens, order)), lambda there: _made_there(there, order)
        )
    if as_json:
        print_json({"name": name, "token": made.secret, "role": role, "expires_at": made.expires_at})
        return
    print(made.secret)
    print(f"{name} is {role.value} until {made.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the tokens, what they may, until when, and when and from where they were used last."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows = data.ask(
            lambda here: here.view(list_tokens, about=(), needs=Permission.PEOPLE),
            lambda there: there.get("/tokens", tuple[TokenRow, ...]),
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "ROLE", "SCOPE", "EXPIRES (UTC)", "LAST USED", "FROM", "MADE BY"),
        [
            (
                row.name,
                row.role,
                "the whole fleet" if row.groups is None else ", ".join(row.groups),
                f"{row.expires_at:%Y-%m-%d %H:%M}" if row.expires_at > now else "expired",
                "never" if row.last_used_at is None else ago(row.last_used_at, now),
                row.last_source,
                row.created_by,
            )
            for row in rows
        ],
    )


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The token's name.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a token be good no more, at once."""
    with open_office(data_dir, database, key_ring) as data:
        data.run(revoke_tokens, name)
    if as_json:
        print_json({"name": name})
        return
    print(f"{name} is good no more.", file=sys.stderr)


def _made_there(there: Server, order: TokenOrder) -> MadeToken:
    lifetime = int(order.lifetime.total_seconds())
    body = {"name": order.name, "role": order.role, "lifetime_seconds": lifetime, "groups": order.groups}
    return there.send("POST", "/tokens", MadeToken, body)
