"""`muster commands`: send commands to devices and users, and see what became of them."""

import plistlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.output import ago, print_json, print_table
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.views.commands import list_commands, show_command
from muster.protocol.command import CommandRequest, read_command_file
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.plist import PlistValue, read_plist

app = typer.Typer(help="Commands and what became of them.", no_args_is_help=True)


@app.command("send")
def send(
    channel_id: Annotated[str, typer.Argument(metavar="ID", help="A device's or user channel's id.")],
    request_type: Annotated[
        str | None, typer.Argument(metavar="[REQUESTTYPE]", help="Apple's name, such as DeviceInformation.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the request. VALUE is text; true, false and whole numbers are taken as such, "
            "a list is a,b,c under KEY[], and @FILE is a file's bytes.",
        ),
    ] = None,
    plist: Annotated[
        Path | None, typer.Option("--plist", help="Take the command from a property list; - reads standard input.")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", min=-100, max=100, help="Higher goes first.")] = 0,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Queue a command on a channel and push it."""
    request = _request(request_type, set_ or [], plist)
    with connect(data_dir, database, key_ring) as data:
        queued = data.run(queue_commands, CommandOrder((ChannelId(channel_id),), request, priority))
    for refusal in queued.refused.values():
        raise CommandRefused(refusal)
    if as_json:
        print_json({"command_uuid": queued.command_uuid, "request_type": queued.request_type, "id": channel_id})
        return
    print(queued.command_uuid)
    print(f"{queued.request_type} waits for {channel_id}, which is pushed.", file=sys.stderr)


def _request(request_type: str | None, assignments: list[str], plist: Path | None) -> CommandRequest:
    """Build the request from a file, from KEY=VALUE, or from both; the latter win."""
    keys: dict[str, PlistValue] = {}
    if plist is not None:
        try:
            content = sys.stdin.buffer.read() if str(plist) == "-" else plist.read_bytes()
            read = read_command_file(content)
        except OSError as error:
            raise CommandFailed(f"{plist} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
        except MalformedMessage as error:
            raise CommandFailed(f"{plist} is not a command: {error}", code=ExitCode.USAGE) from error
        if request_type is not None and request_type != read.request_type:
            raise typer.BadParameter(f"the file holds a {read.request_type}, not a {request_type}")
        request_type = read.request_type
        keys.update(read.keys)
    if request_type is None:
        raise typer.BadParameter("name the command, as in `muster commands send ID DeviceInformation`")
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{assignment!r} is not KEY=VALUE", param_hint="--set")
        if key.endswith("[]"):
            keys[key.removesuffix("[]")] = [_scalar(part) for part in text.split(",") if part]
        else:
            keys[key] = _scalar(text)
    return CommandRequest(request_type, keys)


def _scalar(text: str) -> PlistValue:
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise CommandFailed(f"{text[1:]} can't be read: {error.strerror}", code=ExitCode.USAGE) from error
    digits = text.removeprefix("-")
    # a PIN such as 012345 stays text
    if digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0")) and len(digits) < 19:
        return int(text)
    return text


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
        answers = {channel_id: _readable(body) for channel_id, body in details.answers.items()}
        fields = {name: getattr(details, name) for name in ("command_uuid", "request_type", "created_at", "created_by")}
        print_json({**fields, "command": _readable(details.body), "channels": details.rows, "answers": answers})
        return
    print(f"{details.request_type} {details.command_uuid}, by {details.created_by}, {ago(details.created_at, now)}")
    for row in details.rows:
        when = "" if row.reported_at is None else f", {ago(row.reported_at, now)}"
        print(f"\n{row.channel_id}: {row.status}{when}")
        body = details.answers.get(row.channel_id)
        if body is not None and row.reported_at is not None:
            print(_as_text(body))


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
