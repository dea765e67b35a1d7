"""From errors and refusals to exit codes and to words on standard error."""

import sys
from enum import IntEnum

import typer

from muster.cli.output import without_orders
from muster.domain.errors import Refusal, RefusalCode
from muster.storage.errors import SchemaOutdated, ServerTooOld, Unavailable, WrongKeyRing


class ExitCode(IntEnum):
    """What the exit code of `muster` says."""

    OK = 0
    FAULT = 1
    USAGE = 2
    ABSENT = 3
    REFUSED = 4
    CONFLICT = 5
    UNAVAILABLE = 6
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command can't do what was asked: *message* says what and why, *remedy* what to do."""

    def __init__(self, message: str, *, remedy: str = "", code: ExitCode = ExitCode.FAULT) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code


class CommandRefused(CommandFailed):
    """The operation refused what was asked."""

    def __init__(self, refusal: Refusal) -> None:
        code = _CODES.get(refusal.code, ExitCode.REFUSED)
        super().__init__(refusal.message, remedy=refusal.remedy, code=code)
        self.refusal = refusal


_CODES = {
    RefusalCode.NOT_FOUND: ExitCode.ABSENT,
    RefusalCode.LINK_UNKNOWN: ExitCode.ABSENT,
    RefusalCode.CONFLICT: ExitCode.CONFLICT,
    RefusalCode.POLICY_UNFIT: ExitCode.USAGE,
    RefusalCode.PUSH_REQUEST_UNFIT: ExitCode.USAGE,
    RefusalCode.COUNT_WRONG: ExitCode.USAGE,
    RefusalCode.COMMAND_MALFORMED: ExitCode.USAGE,
    RefusalCode.QUERY_UNFIT: ExitCode.USAGE,
    RefusalCode.TEMPLATE_UNFIT: ExitCode.USAGE,
    RefusalCode.VARIABLE_UNKNOWN: ExitCode.USAGE,
    RefusalCode.ORDER_UNFIT: ExitCode.USAGE,
}

_DATABASE_AWAY = "See that the database runs and can be reached from here, then try again."


def exit_code_of(error: Exception) -> ExitCode | None:
    """Return the exit code for an error we foresaw; None for a fault of ours, which deserves its traceback."""
    if isinstance(error, CommandFailed):
        return error.code
    from muster.settings import SettingsError  # noqa: PLC0415 - takes longer to load than it takes to tell the help

    codes: tuple[tuple[type[Exception], ExitCode], ...] = (
        (SettingsError, ExitCode.USAGE),
        (Unavailable, ExitCode.UNAVAILABLE),
        (SchemaOutdated, ExitCode.UNAVAILABLE),
        (ServerTooOld, ExitCode.UNAVAILABLE),
        (WrongKeyRing, ExitCode.REFUSED),
        (OSError, ExitCode.FAULT),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), None)


def explain(error: Exception) -> None:
    """Say on standard error what went wrong, and what to do."""
    lines = str(error).splitlines() or [type(error).__name__]
    if isinstance(error, OSError) and error.strerror:
        lines = [error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"]
    remedy = _DATABASE_AWAY if isinstance(error, Unavailable) else getattr(error, "remedy", "")
    _say([*lines, *remedy.splitlines()])


def explain_usage(error: typer.TyperException) -> None:
    """Say on standard error what of the command line was not understood, and where its help is."""
    message = error.format_message().replace("Value error, ", "")  # what Typer's validator puts before each reason
    if not message.strip():
        return  # no command was given, and Typer has printed the help
    context: typer.Context | None = getattr(error, "ctx", None)
    _say([*message.splitlines(), f"See `{'muster' if context is None else context.command_path} --help`."])


def _say(lines: list[str]) -> None:
    first, *rest = (without_orders(line.expandtabs(2)) for line in lines)  # what can be chosen from is told with tabs
    print(f"muster: {first}", *rest, sep="\n  ", file=sys.stderr)
