"""`muster commands types` and `describe`: the commands there are, and what one of them takes and answers."""

from typing import Annotated, Any

import typer

from muster.cli.command_pages import command_page, needs, since
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson
from muster.cli.output import print_json, print_table
from muster.protocol.catalogue.commands import all_commands, command_names, find_command, similar_commands
from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, Support, SupportByFamily, ValueKind
from muster.protocol.os_family import OsFamily


def register(app: typer.Typer) -> None:
    """Add both to `muster commands`."""
    app.command("types")(types)
    app.command("describe")(describe)


def complete_request_type(incomplete: str) -> list[str]:
    """Complete the name of a command for the shell, in whatever case it is typed."""
    return [name for name in command_names() if name.casefold().startswith(incomplete.casefold())]


def complete_assignment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete KEY= of a request for the shell, by the command named before it."""
    return assignments(ctx.params.get("request_type") or "", incomplete)


def assignments(request_type: str, incomplete: str) -> list[str]:
    """What KEY=VALUE can be that begins so: the keys of the request, behind the = the words that Apple lists. Nothing
    of a command that isn't known."""
    command = find_command(request_type)
    if command is None:
        return []
    keys = {key.name: key for key in command.request}
    name, separator, typed = incomplete.partition("=")
    if not separator:
        return [f"{key}=" for key in keys if key.casefold().startswith(name.casefold())]
    known = keys.get(name)
    if known is None:
        return []
    words = ["true", "false"] if known.kind is ValueKind.BOOLEAN else [str(word) for word in known.allowed]
    return [f"{name}={word}" for word in words if word.casefold().startswith(typed.casefold())]


def types(
    os: Annotated[
        OsFamily | None, typer.Option("--os", case_sensitive=False, help="Only those of one family of systems.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the commands that Apple defines, with the version of each system that knows them first."""
    commands = [one for one in all_commands() if os is None or one.support.get(os) is not None]
    if as_json:
        print_json([{"request_type": one.request_type, "support": _support_json(one.support)} for one in commands])
    elif os is None:
        rows = [(one.request_type, *(since(one.support.get(family)) for family in OsFamily)) for one in commands]
        print_table(("COMMAND", *(family.value for family in OsFamily)), rows)
    else:
        supported = [(one.request_type, one.support.get(os)) for one in commands]
        print_table(("COMMAND", "SINCE", "NEEDS"), [(name, since(said), needs(said, os)) for name, said in supported])


def describe(
    request_type: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="Apple's name of the command, such as EraseDevice.",
            autocompletion=complete_request_type,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Describe a command: where it is known, the keys of its request, and those of its answer.

    Each key comes with its type, whether it must be there, what it can be, and
    the systems that know it; nothing there: all that know the command.
    """
    exact = next((name for name in command_names() if name.casefold() == request_type.casefold()), request_type)
    command = find_command(exact)
    if command is None:
        near = similar_commands(request_type)
        meant = f"Did you mean {' or '.join(near)}?" if near else "`muster commands types` lists those there are."
        raise CommandFailed(f"no command {request_type} is known here", remedy=meant, code=ExitCode.ABSENT)
    if as_json:
        print_json(_command_json(command))
    else:
        print(command_page(command))


def _command_json(command: CommandFacts) -> dict[str, Any]:
    return {
        "request_type": command.request_type,
        "support": _support_json(command.support),
        "request": [_key_json(key) for key in command.request],
        "response": [_key_json(key) for key in command.response],
    }


def _key_json(key: KeyFacts) -> dict[str, Any]:
    """What is known of a key; what isn't said of it is absent."""
    said = {
        "allowed": key.allowed,
        "default": key.default,
        "bounds": None if key.bounds == (None, None) else key.bounds,
        "pattern": key.pattern,
        "repetition": None if key.repetition == (None, None) else key.repetition,
        "support": _support_json(key.support),
        "members": [_key_json(member) for member in key.members],
    }
    named = {"name": key.name, "type": key.kind, "required": key.is_required}
    return named | {name: value for name, value in said.items() if value is not None and value not in ((), [], {})}


def _support_json(by_family: SupportByFamily) -> dict[str, Any]:
    return {family.value: None if said is None else _said(said) for family, said in by_family.items()}


def _said(support: Support) -> dict[str, Any]:
    said = {name: getattr(support, name) for name in Support.__dataclass_fields__}
    return {
        name: value
        for name, value in said.items()
        if value is not None and value != Support.__dataclass_fields__[name].default
    }
