"""The `muster` command: its parts put together, and what its exit codes mean.

0 ok, 1 fault, 2 usage, 3 absent, 4 refused, 5 conflict, 6 unavailable. What went wrong, why, and what to do about it
goes to standard error.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from muster.cli.acting import ACTING_AS, SERVER, ServerAddress
from muster.cli.errors import ExitCode, exit_code_of, explain, explain_usage
from muster.cli.parts import add_parts

_HALF_CHARACTER: Final = re.compile("[\ud800-\udfff]")
"""What Python makes of octets that are no UTF-8."""

app = typer.Typer(
    name="muster",
    help="Apple device management that knows whether each device is under control.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - every command would wait for it

        print(f"muster {version('muster-mdm')}")
        raise typer.Exit


@app.callback()
def _root(
    is_version_wanted: Annotated[  # noqa: ARG001 - its callback ends the command
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Tell the version, and end.")
    ] = False,
    acting_as: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="With the role and scope of this administrator."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="A server elsewhere, asked by a token.", envvar="MUSTER_SERVER"),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="The token. Others on this machine see it; better is a file, or MUSTER_TOKEN.",
            envvar="MUSTER_TOKEN",
            show_envvar=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="File with the token, for you alone to read.", envvar="MUSTER_TOKEN_FILE"),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", help="Who vouches for the server (PEM).", envvar="MUSTER_CA_FILE"),
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="The server may be asked unencrypted, by http://.")
    ] = False,
) -> None:
    ACTING_AS.set(acting_as)
    SERVER.set(ServerAddress(server, token, token_file, ca_file, allow_http) if server else None)


def root() -> TyperGroup:
    """Return the whole command line, its parts not loaded yet."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup), "it has a callback"
    add_parts(group)
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. A fault of ours is raised, for its traceback is what we need to know."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if any(_HALF_CHARACTER.search(one) for one in given):
        explain_usage(typer.BadParameter("an argument has characters that are no UTF-8"))
        return ExitCode.USAGE
    try:
        result = root().main(
            args=None if arguments is None else list(arguments), prog_name="muster", standalone_mode=False
        )
        sys.stdout.flush()
    except typer.TyperException as error:
        explain_usage(error)
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _stop_writing()
    except SystemExit as end:
        # what Typer and Rich make of a broken pipe
        if isinstance(end.__context__, BrokenPipeError):
            return _stop_writing()
        raise
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        explain(error)
        return code
    return result if isinstance(result, int) else ExitCode.OK


def _stop_writing() -> ExitCode:
    """End well: the reader of our output has seen enough, and Python must not complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.OK
