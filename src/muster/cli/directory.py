"""`muster directory`: network users of Macs and their passwords, in the file that the server asks."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.connection import AsJson, DataDir
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.output import print_json
from muster.cli.users import FromStdin, ask_for_password
from muster.edges.directory.password_file import PasswordFile, PasswordFileError
from muster.settings import read_settings

app = typer.Typer(
    help="Network users of Macs: their passwords, for the policy network_users set to digest.", no_args_is_help=True
)

UserName = Annotated[str, typer.Argument(help="The short name by which the user logs in to a Mac.")]


@app.command("set-password")
def set_password(name: UserName, password_stdin: FromStdin = False, data_dir: DataDir = None) -> None:
    """Give a network user, new or not, a password; from the next login on."""
    file = _open(data_dir)
    password = ask_for_password(password_stdin)
    if not password:
        raise CommandFailed("the password is empty", code=ExitCode.USAGE)
    try:
        file.set_password(name, password)
    except PasswordFileError as error:
        raise CommandFailed(str(error)) from error
    print(f"{name} has a new password.", file=sys.stderr)


@app.command("remove")
def remove(name: UserName, data_dir: DataDir = None) -> None:
    """Take a network user out. Who is logged in stays so until the next login."""
    try:
        is_gone = _open(data_dir).remove(name)
    except PasswordFileError as error:
        raise CommandFailed(str(error)) from error
    if not is_gone:
        raise CommandFailed(f"there is no user {name!r}", code=ExitCode.ABSENT)
    print(f"{name} is no network user any more.", file=sys.stderr)


@app.command("list")
def list_users(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the network users."""
    try:
        users = _open(data_dir).users()
    except PasswordFileError as error:
        raise CommandFailed(str(error)) from error
    if as_json:
        print_json(users)
        return
    for user in users:
        print(user)


def _open(data_dir: Path | None) -> PasswordFile:
    settings = read_settings({"data_dir": data_dir})
    return PasswordFile(settings.directory_path, settings.directory_realm)
