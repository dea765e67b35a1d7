"""`muster commands list` and `show`: what became of commands."""

import plistlib
import sys
from datetime import datetime
from typing import Annotated

import typer

from muster.cli.command_words import standing, times
from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.output import ago, print_json, print_table, print_told
from muster.cli.queued import unknown_channel
from muster.operations.views.commands import CommandDetails, list_commands, show_command
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.plist import read_plist

app = typer.Typer(help="Commands and what became of them.", no_args_is_help=True)

SEALED = "kept secret; see `muster secrets`"
"""What stands for a command or an answer that holds a secret."""
SHOWN_WITH_ANSWER = 5
"""Channels of one command whose answers are printed one after the other; of more, nobody reads them so."""
ROWS_SHOWN = 50


@app.command("list")
def list_(
    channel_id: Annotated[str, typer.Argument(metavar="ID", help="A device's or user channel's id.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List a channel's commands: those that wait, then those that were answered."""
    with connect(data_dir, database, key_ring) as data:
        rows = data.view(lambda tx: list_commands(tx, ChannelId(channel_id)), about=[channel_id])
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
    with connect(data_dir, database, key_ring) as data:
        details = data.view(lambda tx: show_command(tx, CommandUUID(command_uuid), only), about=only and [only])
        now = data.now
    if details is None:
        raise CommandFailed(f"no command {command_uuid} is known", code=ExitCode.ABSENT)
    if only is not None and not details.rows:
        raise CommandFailed(f"{command_uuid} did not go to {only}", code=ExitCode.ABSENT)
    if as_json:
        answers = {
            channel_id: SEALED if body is None else _readable(body) for channel_id, body in details.answers.items()
        }
        fields = {name: getattr(details, name) for name in ("command_uuid", "request_type", "created_at", "created_by")}
        print_json(
            {
                **fields,
                "command": SEALED if details.body is None else _readable(details.body),
                "counts": details.counts,
                "channels": details.rows,
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
    for row in details.rows:
        print_told(f"\n{row.channel_id}: {standing(row, now)}")
        for line in times(row):
            print_told(f"  {line}")
        if row.channel_id in details.answers and row.reported_at is not None:
            body = details.answers[row.channel_id]
            print_told(SEALED if body is None else _as_text(body))


def _print_many(details: CommandDetails, now: datetime) -> None:
    """Print how many channels stand where, and of some of them where, those that refused it first."""
    print(", ".join(f"{count:,} {status}" for status, count in details.counts.items()) + "\n")
    refused_first = sorted(details.rows, key=lambda row: row.failure is None)
    rows = [(row.channel_id, standing(row, now)) for row in refused_first[:ROWS_SHOWN]]
    print_table(("ID", "WHERE IT STANDS"), rows)
    print(f"\nFor an answer: muster commands show {details.command_uuid} ID", file=sys.stderr)


def _readable(body: bytes) -> object:
    """Decode an answer for JSON; what can't be decoded is given as text."""
    try:
        return read_plist(body)
    except MalformedMessage:
        return body.decode(errors="replace")


def _as_text(body: bytes) -> str:
    try:
        return plistlib.dumps(read_plist(body)).decode()
    except (MalformedMessage, TypeError, OverflowError):
        return body.decode(errors="replace")
