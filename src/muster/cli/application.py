"""The `muster` command: its parts put together, and what its exit codes mean.

0 ok, 1 fault, 2 usage, 3 absent, 4 refused, 5 conflict, 6 unavailable. What went wrong, why, and what to do about it
goes to standard error.
"""

import os
import sys
from collections.abc import Sequence

import typer

from muster.cli import (
    accounts,
    admins,
    apps,
    audit,
    authority,
    command_types,
    commands,
    demo,
    devices,
    directory,
    enroll,
    groups,
    held_commands,
    identities,
    journal,
    letting_go,
    policy,
    profiles,
    push,
    push_cert,
    queue_commands,
    return_to_service,
    secrets,
    send_by_query,
    send_command,
    server,
    users,
)
from muster.cli.errors import ExitCode, exit_code_of, explain, explain_usage

app = typer.Typer(
    name="muster",
    help="Apple device management that knows whether each device is under control.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
server.register(app)
demo.register(app)
app.add_typer(enroll.app, name="enroll")
app.add_typer(devices.app, name="devices")
app.add_typer(groups.app, name="groups")
app.add_typer(identities.app, name="identities")
command_types.register(commands.app)
send_command.register(commands.app)
held_commands.register(commands.app)
send_by_query.register(commands.app)
queue_commands.register(commands.app)
letting_go.register(devices.app)
app.add_typer(authority.app, name="authority")
app.add_typer(commands.app, name="commands")
app.add_typer(journal.app, name="journal")
app.add_typer(profiles.app, name="profiles")
app.add_typer(accounts.app, name="accounts")
app.add_typer(apps.app, name="apps")
app.add_typer(push.app, name="push")
app.add_typer(push_cert.app, name="push-cert")
app.add_typer(secrets.app, name="secrets")
app.add_typer(users.app, name="users")
app.add_typer(directory.app, name="directory")
return_to_service.register(devices.app)
secrets.register(devices.app)
app.add_typer(return_to_service.app, name="return-to-service")
app.add_typer(admins.app, name="admins")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. A fault of ours is raised, for its traceback is what we need to know."""
    command = typer.main.get_command(app)
    try:
        result = command.main(
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
