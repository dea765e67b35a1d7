"""`muster commands`: send commands to devices and users, and see what became of them."""

import plistlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.command_types import complete_assignment, complete_request_type
from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.output import ago, print_json, print_table
from muster.cli.requests import read_request
from muster.cli.send_by_query import DryRun, Users, Where, Yes, only_type, send_to_found, target
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.send_by_query import SendOrder
from muster.operations.views.commands import list_commands, show_command
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.plist import read_plist

app = typer.Typer(help="Commands and what became of them.", no_args_is_help=True)

SEALED = "kept secret; see `muster secrets`"
"""What stands for a command or an answer that holds a secret."""
FINDINGS_SHOWN = 10
"""Of what is said of a command; a query for everything has dozens of questions that one kind of device can't answer."""


@app.command("send")
def send(
    channel_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A device's or user channel's id; none with --where.")
    ] = None,
    request_type: Annotated[
        str | None,
        typer.Argument(
            metavar="TYPE",
            help="Apple's name, such as DeviceInformation; see `muster commands types`.",
            autocompletion=complete_request_type,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the request; may be repeated. See above for VALUE.",
            autocompletion=complete_assignment,
        ),
    ] = None,
    plist: Annotated[
        Path | None,
        typer.Option(
            "--plist",
            help="Take the command from a property list: all of it, or what its Command holds. - reads standard input.",
        ),
    ] = None,
    priority: Annotated[int, typer.Option("--priority", min=-100, max=100, help="Higher goes first.")] = 0,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Send it although the device would refuse it as far as is known here.")
    ] = False,
    where: Where = None,
    users: Users = False,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="With --where: how many they are; else nothing is sent.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Queue a command on a channel, or on those of everyone whom a query finds, and push them.

    It is held against what is known of the command and of the device first
    (`muster commands describe TYPE`); what the device would refuse is not sent.

    VALUE of --set is text, but is taken for what it looks like:

    - true and false are booleans
    - whole numbers without leading zeros are integers, except in keys that
      Apple defines as text, such as PIN
    - @FILE is the content of a file, as data
    - what begins with a quote, \\[ or { is JSON, so '"7"' is text

    KEY\\[]=a,b,c is a list, each of its parts by the same rules.

    A CommandUUID in the file is kept; it may go to several channels, to each once.
    """
    if where is not None:
        request, command_uuid = read_request(only_type(channel_id, request_type), set_ or [], plist)
        to_all = SendOrder(where, request, users, priority, command_uuid, anyway, count)
        with connect(data_dir, database, key_ring) as data:
            send_to_found(data, to_all, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    to_one = target(channel_id, users=users, dry_run=dry_run, yes=yes)
    request, command_uuid = read_request(request_type, set_ or [], plist)
    order = CommandOrder((to_one,), request, priority, command_uuid, anyway=anyway)
    with connect(data_dir, database, key_ring) as data:
        queued = data.run(queue_commands, order)
    for refusal in queued.refused.values():
        raise CommandRefused(refusal)
    findings = queued.findings.get(to_one, ())
    if as_json:
        said = {"request_type": queued.request_type, "id": to_one, "findings": findings}
        print_json({"command_uuid": queued.command_uuid, **said})
        return
    print(queued.command_uuid)
    for finding in findings[:FINDINGS_SHOWN]:
        print(f"{finding.severity}: {finding.message}", file=sys.stderr)
    if len(findings) > FINDINGS_SHOWN:
        print(f"and {len(findings) - FINDINGS_SHOWN} more; --json shows all", file=sys.stderr)
    print(f"{queued.request_type} waits for {to_one}, which is pushed.", file=sys.stderr)


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
        rows = data.view(lambda tx: list_commands(tx, ChannelId(channel_id)))
        now = data.now
    if rows is None:
        raise CommandFailed(f"no channel {channel_id} is known", code=ExitCode.ABSENT)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No commands.")
        return
    print_table(
        ("UUID", "COMMAND", "STATUS", "QUEUED", "HANDED OUT", "TIMES", "NOT NOW", "ANSWERED"),
        [
            (
                row.command_uuid,
                row.request_type or "unknown",
                row.status,
                ago(row.queued_at, now),
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
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one command and what each channel answered."""
    with connect(data_dir, database, key_ring) as data:
        details = data.view(lambda tx: show_command(tx, CommandUUID(command_uuid)))
        now = data.now
    if details is None:
        raise CommandFailed(f"no command {command_uuid} is known", code=ExitCode.ABSENT)
    if as_json:
        answers = {
            channel_id: SEALED if body is None else _readable(body) for channel_id, body in details.answers.items()
        }
        fields = {name: getattr(details, name) for name in ("command_uuid", "request_type", "created_at", "created_by")}
        print_json(
            {
                **fields,
                "command": SEALED if details.body is None else _readable(details.body),
                "channels": details.rows,
                "answers": answers,
            }
        )
        return
    print(f"{details.request_type} {details.command_uuid}, by {details.created_by}, {ago(details.created_at, now)}")
    for row in details.rows:
        when = "" if row.reported_at is None else f", {ago(row.reported_at, now)}"
        print(f"\n{row.channel_id}: {row.status}{when}")
        if row.channel_id in details.answers and row.reported_at is not None:
            body = details.answers[row.channel_id]
            print(SEALED if body is None else _as_text(body))


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
