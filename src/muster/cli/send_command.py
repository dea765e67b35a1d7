"""`muster commands send`: queue a command for a device or a user."""

import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.command_types import complete_assignment, complete_request_type
from muster.cli.errors import CommandRefused
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json
from muster.cli.requests import read_request
from muster.cli.send_by_query import DryRun, Users, Where, Yes, only_type, send_to_found, target
from muster.domain.command_findings import Finding
from muster.domain.command_queue import MAXIMUM_RETRIES
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.send_by_query import SendOrder
from muster.protocol.identifiers import ChannelId, CommandUUID

FINDINGS_SHOWN = 10
"""Of what is said of a command; a query for everything has dozens of questions that one kind of device can't answer."""

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhdw])")

ID = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="A device's id or serial number, or a user channel's id; none with --where."),
]
Type = Annotated[
    str | None,
    typer.Argument(
        metavar="TYPE",
        help="Apple's name, such as DeviceInformation; see `muster commands types`.",
        autocompletion=complete_request_type,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A key of the request; may be repeated. See above for VALUE.",
        autocompletion=complete_assignment,
    ),
]
Plist = Annotated[
    Path | None,
    typer.Option(
        "--plist",
        help="Take the command from a property list: all of it, or what its Command holds. - reads standard input.",
    ),
]
Priority = Annotated[int, typer.Option("--priority", min=-100, max=100, help="Higher goes first.")]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Send it although the device would refuse it as far as is known here.")
]
After = Annotated[
    str | None,
    typer.Option(
        "--after",
        metavar="UUID",
        help="A command of the same channel that has to be acknowledged first; with --where, on each channel.",
    ),
]
AfterAny = Annotated[
    bool, typer.Option("--after-any", help="With --after: send it also when that command fails, or is cancelled.")
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="Hand it out no later than in so long: 30m, 12h, 3d, 2w."),
]
Retries = Annotated[
    int, typer.Option("--retries", min=0, max=MAXIMUM_RETRIES, help="Try it again so often after an error.")
]
Count = Annotated[
    int | None,
    typer.Option(
        "--count",
        min=1,
        help="How many they are. With --where: else nothing is sent. Without: the hour's limit on erasing, locking, "
        "restarting and shutting down doesn't hold.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command("send")(send)


def send(
    channel_id: ID = None,
    request_type: Type = None,
    set_: Set = None,
    plist: Plist = None,
    priority: Priority = 0,
    anyway: Anyway = False,
    after: After = None,
    after_any: AfterAny = False,
    expires: Expires = None,
    retries: Retries = 0,
    where: Where = None,
    users: Users = False,
    count: Count = None,
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
        with open_office(data_dir, database, key_ring) as data:
            to_all = SendOrder(
                where,
                request,
                users,
                priority,
                command_uuid,
                anyway,
                count,
                after=None if after is None else CommandUUID(after),
                follows_any=after_any,
                expires_at=expiry(expires, data.now),
                retries=retries,
            )
            send_to_found(data, to_all, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    named = target(channel_id, users=users, dry_run=dry_run, yes=yes)
    request, command_uuid = read_request(request_type, set_ or [], plist)
    with open_office(data_dir, database, key_ring) as data:
        to_one = data.channel(named)
        order = CommandOrder(
            (to_one,),
            request,
            priority,
            command_uuid,
            anyway=anyway,
            after=None if after is None else CommandUUID(after),
            follows_any=after_any,
            expires_at=expiry(expires, data.now),
            retries=retries,
            named_count=count,
        )
        queued = data.run(queue_commands, order)
    for refusal in queued.refused.values():
        raise CommandRefused(refusal)
    findings = queued.findings.get(to_one, ())
    if as_json:
        said = {"request_type": queued.request_type, "id": to_one, "findings": findings}
        print_json({"command_uuid": queued.command_uuid, **said})
        return
    _tell(queued, to_one, findings)


def _tell(queued: QueuedCommand, channel_id: ChannelId, findings: tuple[Finding, ...]) -> None:
    print(queued.command_uuid)
    for finding in findings[:FINDINGS_SHOWN]:
        print(f"{finding.severity}: {finding.message}", file=sys.stderr)
    if len(findings) > FINDINGS_SHOWN:
        print(f"and {len(findings) - FINDINGS_SHOWN} more; --json shows all", file=sys.stderr)
    then = "which is pushed" if channel_id in queued.may_go_out_on else "and is held back; see `muster commands list`"
    print(f"{queued.request_type} waits for {channel_id}, {then}.", file=sys.stderr)


def expiry(text: str | None, now: datetime) -> datetime | None:
    """Return when something expires that is given as so long from *now*: `30m`, `12h`, `3d`, `2w`; None for None.

    Raises BadParameter for anything else.
    """
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text} is no time like 30m, 12h, 3d or 2w", param_hint="--expires")
    return now + int(found[1]) * _UNITS[found[2]]
