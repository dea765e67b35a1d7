"""`muster directory`: network users of Macs and their passwords, in the file that the server asks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from muster.cli.connection import Connection, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile
from muster.cli.output import print_json
from muster.cli.users import FromStdin, ask_for_password
from muster.edges.directory.password_file import PasswordFile, PasswordFileError
from muster.operations.note_directory import DirectoryChange, note_directory_changes

app = typer.Typer(
    help="Network users of Macs: their passwords, for the policy network_users set to digest.", no_args_is_help=True
)

UserName = Annotated[str, typer.Argument(help="The short name by which the user logs in to a Mac.")]


@app.command("set-password")
def set_password(
    name: UserName,
    password_stdin: FromStdin = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Give a network user, new or not, a password; from the next login on."""
    with connect(data_dir, database, key_ring) as data, _open(data) as file:
        password = ask_for_password(password_stdin)
        if not password:
            raise CommandFailed("the password is empty", code=ExitCode.USAGE)
        file.set_password(name, password)
        data.run_all(note_directory_changes, [DirectoryChange(name, is_removed=False)])
    print(f"{name} has a new password.", file=sys.stderr)


@app.command("remove")
def remove(name: UserName, data_dir: DataDir = None, database: Database = None, key_ring: KeyRingFile = None) -> None:
    """Take a network user out. Who is logged in stays so until the next login."""
    with connect(data_dir, database, key_ring) as data, _open(data) as file:
        if not file.remove(name):
            raise CommandFailed(f"there is no user {name!r}", code=ExitCode.ABSENT)
        data.run_all(note_directory_changes, [DirectoryChange(name, is_removed=True)])
    print(f"{name} is no network user any more.", file=sys.stderr)


@app.command("list")
def list_users(
    data_dir: DataDir = None, database: Database = None, key_ring: KeyRingFile = None, as_json: AsJson = False
) -> None:
    """List the network users."""
    with connect(data_dir, database, key_ring) as data, _open(data) as file:
        users = file.users()
    if as_json:
        print_json(users)
        return
    for user in users:
        print(user)


@contextmanager
def _open(data: Connection) -> Iterator[PasswordFile]:
    try:
        yield PasswordFile(data.settings.directory_path, data.settings.directory_realm)
    except PasswordFileError as error:
        raise CommandFailed(str(error)) from error
