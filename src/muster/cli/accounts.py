"""`muster accounts`: mail, calendars, networks; each account in a profile of its own, so that it changes alone."""

import sys
from typing import Annotated

import typer

from muster.cli.account_templates import app as templates
from muster.cli.assignments import read_assignments
from muster.cli.connection import Connection, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import ago, print_json, print_table
from muster.crypto.keys import RSAPrivateKey, generate_rsa_key
from muster.operations.account_profiles import IDENTITY_KEY_BITS
from muster.operations.assign_accounts import (
    AccountChange,
    AccountOrder,
    AccountSent,
    assign_accounts,
    change_accounts,
    remove_accounts,
)
from muster.operations.views.accounts import list_accounts
from muster.protocol.identifiers import ChannelId
from muster.storage import accounts

app = typer.Typer(help="Accounts on devices, each in a profile of its own.", no_args_is_help=True)
app.add_typer(templates, name="template")

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id; see `muster accounts list`.")]
Values = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A value of the template's, such as user.email; repeatable."),
]
Anyway = Annotated[bool, typer.Option("--anyway", help="Send the profile in spite of warnings.")]


@app.command("assign")
def assign(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="The template's name.")],
    channel_id: Annotated[str, typer.Argument(metavar="ID", help="A device's or user channel's id.")],
    values: Values = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the account's password from standard input.")
    ] = False,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an account on a channel from a template, and send its profile."""
    given = read_assignments(values)
    password = _read_password() if password_stdin else None
    with connect(data_dir, database, key_ring) as data:
        stored = data.view(lambda tx: accounts.find_template(tx, template))
        key = _new_key() if stored is not None and stored.template.has_certificate else None
        sent = data.run(
            assign_accounts, AccountOrder(template, ChannelId(channel_id), given, password, key=key, anyway=anyway)
        )
    _tell(sent, as_json=as_json)


@app.command("change")
def change(
    account_id: AccountId,
    values: Values = None,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Send an account's profile anew, by its template as it is now, with other values where --set gives some.

    NAME= takes a value away.
    """
    given = read_assignments(values)
    with connect(data_dir, database, key_ring) as data:
        sent = _change(data, AccountChange(account_id, given, anyway=anyway))
    _tell(sent, as_json=as_json)


@app.command("set-password")
def set_password(
    account_id: AccountId,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give an account another password, read from standard input, and send its profile anew."""
    password = _read_password()
    with connect(data_dir, database, key_ring) as data:
        sent = _change(data, AccountChange(account_id, password=password, anyway=anyway))
    _tell(sent, as_json=as_json)


@app.command("renew-certificate")
def renew_certificate(
    account_id: AccountId,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Issue an account a new key and certificate, and send its profile anew."""
    with connect(data_dir, database, key_ring) as data:
        sent = _change(data, AccountChange(account_id, renews_certificate=True, key=_new_key(), anyway=anyway))
    _tell(sent, as_json=as_json)


@app.command("remove")
def remove(
    account_id: AccountId,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove one account, and nothing else, from its device."""
    with connect(data_dir, database, key_ring) as data:
        removed = data.run(remove_accounts, account_id)
    if as_json:
        print_json(removed)
    elif removed.command_uuid is None:
        print(f"{removed.account_id} is removed; {removed.channel_id} has no profile of it.")
    else:
        print(f"{removed.channel_id} is asked to remove the profile of {removed.account_id}, and pushed.")


@app.command("list")
def list_(
    channel_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only those of this channel.")] = None,
    template: Annotated[str | None, typer.Option("--template", help="Only those of this template.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List accounts, and where the profile of each stands."""
    channel = None if channel_id is None else ChannelId(channel_id)
    with connect(data_dir, database, key_ring) as data:
        rows = data.view(lambda tx: list_accounts(tx, channel_id=channel, template=template))
        now = data.now
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No accounts. `muster accounts template create` makes a template, `muster accounts assign` an account.")
        return
    print_table(
        ("ACCOUNT", "TEMPLATE", "CHANNEL", "PROFILE", "SINCE", "PASSWORD", "CERTIFICATE UNTIL", "WHY"),
        [
            (
                row.account_id,
                row.template,
                row.channel_id,
                "not sent in this enrollment" if row.state is None else row.state.value,
                ago(row.state_since, now),
                "yes" if row.has_password else "no",
                None if row.certificate_not_after is None else f"{row.certificate_not_after:%Y-%m-%d}",
                row.reason,
            )
            for row in rows
        ],
    )


def _change(data: Connection, order: AccountChange) -> AccountSent:
    return data.run(change_accounts, order)


def _tell(sent: AccountSent, *, as_json: bool) -> None:
    if as_json:
        print_json(sent)
        return
    print(sent.account_id)
    print(f"Its profile (revision {sent.revision}) waits for {sent.channel_id}, which is pushed.", file=sys.stderr)


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CommandFailed("standard input has no password", remedy="Pipe one line into it.", code=ExitCode.USAGE)
    return password


def _new_key() -> RSAPrivateKey:
    return generate_rsa_key(IDENTITY_KEY_BITS)
