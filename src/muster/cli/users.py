"""`muster users`: the people who may enroll devices."""

import sys
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.domain.enrollment_users import MAXIMUM_PASSWORD_CHARACTERS, EnrollmentUser
from muster.operations.enrollment_users import UserOrder, add_enrollment_users, disable_users, set_passwords
from muster.storage import enrollment_users

app = typer.Typer(help="People who sign in to enroll devices.", no_args_is_help=True)

UserName = Annotated[str, typer.Argument(help="Managed Apple Account or e-mail address.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]


@app.command("add")
def add(
    name: UserName,
    password_stdin: FromStdin = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a person who may enroll devices where signing in is asked for."""
    with open_office(data_dir, database, key_ring) as data:
        user = data.run(add_enrollment_users, UserOrder(name, ask_for_password(password_stdin)))
    _show(user, as_json, f"{user.user_name} may sign in to enroll devices.")


@app.command("set-password")
def set_password(
    name: UserName,
    password_stdin: FromStdin = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a person another password; one who was disabled may sign in again."""
    with open_office(data_dir, database, key_ring) as data:
        user = data.run(set_passwords, UserOrder(name, ask_for_password(password_stdin)))
    _show(user, as_json, f"{user.user_name} has a new password.")


@app.command("disable")
def disable(
    name: UserName,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a person sign in no more. Devices that are enrolled stay so."""
    with open_office(data_dir, database, key_ring) as data:
        user = data.run(disable_users, name)
    _show(user, as_json, f"{user.user_name} can't sign in any more; devices that are enrolled stay so.")


@app.command("list")
def list_users(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the people who may enroll devices, and those who might once."""
    with open_office(data_dir, database, key_ring) as data:
        users = data.ask(
            lambda here: tuple(here.view(enrollment_users.all_users)),
            lambda there: there.get("/enrollment-users", tuple[EnrollmentUser, ...]),
        )
        now = data.now
    if as_json:
        print_json(users)
        return
    rows = [
        (user.user_name, ago(user.created_at, now), "" if user.disabled_at is None else ago(user.disabled_at, now))
        for user in users
    ]
    print_table(("USER", "ADDED", "DISABLED"), rows)


def _show(user: EnrollmentUser, as_json: bool, words: str) -> None:
    if as_json:
        print_json(user)
    else:
        print(words)


def ask_for_password(from_stdin: bool) -> str:
    """Ask for a password twice, or read it from standard input. Raises CommandFailed where neither is possible."""
    if not from_stdin:
        if not sys.stdin.isatty():
            raise CommandFailed(
                "there is no terminal to ask for the password",
                remedy="Give it with --password-stdin.",
                code=ExitCode.USAGE,
            )
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    line = sys.stdin.buffer.readline(4 * MAXIMUM_PASSWORD_CHARACTERS + 2)
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CommandFailed("the password is not UTF-8", code=ExitCode.USAGE) from None
