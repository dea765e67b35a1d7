"""`muster commands list` and `show`: what became of commands."""

import plistlib
import sys
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from muster.cli.command_words import standing, times
from muster.cli.connection import Connection
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table, print_told
from muster.cli.queued import unknown_channel
from muster.cli.server_calls import Server, at
from muster.edges.api.plist_values import from_json
from muster.operations.views.commands import CommandRow, CommandShown, as_shown, list_commands, show_command
from muster.protocol.identifiers import ChannelId, CommandUUID

app = typer.Typer(help="Commands and what became of them.", no_args_is_help=True)

SEALED = "kept secret; see `muster secrets`"
"""What stands for a command or an answer that holds a secret."""
SHOWN_WITH_ANSWER = 5
"""Channels of one command whose answers are printed one after the other; of more, nobody reads them so."""
ROWS_SHOWN = 50


@app.command("list")
def list_(
    channel_id: Annotated[
        str, typer.Argument(metavar="ID", help="A device's id or serial number, or a user channel's id.")
    ],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List a channel's commands: those that wait, then those that were answered."""
    with open_office(data_dir, database, key_ring) as data:
        channel_id = data.channel(channel_id)
        rows = data.ask(
            lambda here: here.view(lambda tx: list_commands(tx, ChannelId(channel_id)), about=[channel_id]),
            lambda there: there.find(at("devices", channel_id, "commands"), tuple[CommandRow, ...]),
        )
        now = data.now
    if rows is None:
        raise unknown_channel(channel_id)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No commands.")
        return
    print_table(
        ("UUID", "COMMAND", "STATUS", "QUEUED", "PUSHED", "HANDED OUT", "TIMES", "NOT NOW", "ANSWERED"),
        [
            (
                row.command_uuid,
                row.request_type or "unknown",
                standing(row, now),
                ago(row.queued_at, now),
                ago(row.pushed_at, now),
                ago(row.handed_out_at, now),
                row.handed_out_count,
                row.not_now_count,
                "" if row.reported_at is None else ago(row.reported_at, now),
            )
            for row in rows
        ],
    )


@app.command("show")
def show(
    command_uuid: Annotated[str, typer.Argument(metavar="UUID", help="The command's UUID.")],
    channel_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Only what this device's or user channel answered.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one command and what each channel answered.

    Of one that went to many, it is shown how many stand where, and of some of them where; name one for its answer.
    """
    only = None if channel_id is None else ChannelId(channel_id)
    with open_office(data_dir, database, key_ring) as data:
        details = data.ask(
            lambda here: _shown_here(here, CommandUUID(command_uuid), only),
            lambda there: _shown_there(there, command_uuid, only),
        )
        now = data.now
    if details is None:
        raise CommandFailed(f"no command {command_uuid} is known", code=ExitCode.ABSENT)
    if only is not None and not details.channels:
        raise CommandFailed(f"{command_uuid} did not go to {only}", code=ExitCode.ABSENT)
    if as_json:
        answers = {channel_id: SEALED if one is None else one for channel_id, one in details.answers.items()}
        fields = {name: getattr(details, name) for name in ("command_uuid", "request_type", "created_at", "created_by")}
        print_json(
            {
                **fields,
                "command": SEALED if details.command is None else details.command,
                "counts": details.counts,
                "channels": details.channels,
                "answers": answers,
            }
        )
        return
    print_told(
        f"{details.request_type} {details.command_uuid}, by {details.created_by}, {ago(details.created_at, now)}"
    )
    if sum(details.counts.values()) > SHOWN_WITH_ANSWER and only is None:
        _print_many(details, now)
        return
    for row in details.channels:
        print_told(f"\n{row.channel_id}: {standing(row, now)}")
        for line in times(row):
            print_told(f"  {line}")
        if row.channel_id in details.answers and row.reported_at is not None:
            answer = details.answers[row.channel_id]
            print_told(SEALED if answer is None else _as_text(answer))


def _print_many(details: CommandShown, now: datetime) -> None:
    """Print how many channels stand where, and of some of them where, those that refused it first."""
    print(", ".join(f"{count:,} {status}" for status, count in details.counts.items()) + "\n")
    refused_first = sorted(details.channels, key=lambda row: row.failure is None)
    rows = [(row.channel_id, standing(row, now)) for row in refused_first[:ROWS_SHOWN]]
    print_table(("ID", "WHERE IT STANDS"), rows)
    print(f"\nFor an answer: muster commands show {details.command_uuid} ID", file=sys.stderr)


def _shown_here(here: Connection, uuid: CommandUUID, only: ChannelId | None) -> CommandShown | None:
    found = here.view(lambda tx: show_command(tx, uuid, only), about=only and [only])
    return None if found is None else as_shown(found, lambda value: value)


def _shown_there(there: Server, uuid: str, only: ChannelId | None) -> CommandShown | None:
    found = there.find(at("commands", uuid), CommandShown, channel_id=only)
    if found is None and only is not None:
        of_all = there.find(at("commands", uuid), CommandShown)
        return None if of_all is None else replace(of_all, channels=())
    if found is None:
        return None
    answers = {channel_id: from_json(answer) for channel_id, answer in found.answers.items()}
    return replace(found, command=from_json(found.command), answers=answers)


def _as_text(answer: object) -> str:
    if isinstance(answer, str):
        return answer
    try:
        return plistlib.dumps(answer).decode()  # type: ignore[arg-type] # it is a property list, decoded
    except (TypeError, OverflowError):
        return str(answer)
