"""`muster recover`: what is done to bring a device back under control, and a person's part in it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import segno
import typer

from muster.cli.connection import Connection
from muster.cli.enroll import read_duration
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import print_json, print_table, without_orders
from muster.cli.server_calls import Server, at
from muster.domain.control.recovery import StepKind
from muster.domain.control.saying import STATES
from muster.domain.control.states import ControlState
from muster.domain.control.words import instant_near
from muster.operations.recover_by_hand import (
    LONGEST_REST,
    ConfirmOrder,
    PutOffOrder,
    confirm_steps,
    put_off_recoveries,
    recover_now,
    stop_recoveries,
)
from muster.operations.views.recoveries import (
    LIST_LIMIT,
    Planned,
    Recovering,
    RecoveryDone,
    RecoveryRow,
    list_recoveries,
    show_recovery,
    told_as_done,
)
from muster.protocol.identifiers import ChannelId


def register(app: typer.Typer) -> None:
    """Add this command to *app*."""
    app.command("recover")(recover)


def recover(
    channel_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A device's id or serial number, or a user channel's id.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List what is going on, for all devices.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, step by step, with times; do nothing.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="Do the next step now, whenever it is due.")] = False,
    confirm: Annotated[
        StepKind | None, typer.Option("--confirm", metavar="STEP", help="Do a step that needs your go-ahead.")
    ] = None,
    put_off: Annotated[
        str | None,
        typer.Option("--put-off", metavar="TIME", help="Do nothing for so long, then go on: 12h, 7d, 2w; 30d at most."),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Do nothing more about what is found now.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="With --confirm re_enroll: write the link's QR code to this file.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what is done to bring a device back under control: what was found, what was done, and what comes next."""
    if sum((list_, dry_run, now, confirm is not None, put_off is not None, stop)) > 1:
        raise CommandFailed(
            "give one of --list, --dry-run, --now, --confirm, --put-off and --stop", code=ExitCode.USAGE
        )
    if (channel_id is None) is not list_:
        raise CommandFailed("name a device, or give --list", code=ExitCode.USAGE)
    word = _Word(now, stop, confirm, None if put_off is None else _rest(put_off))
    with open_office(data_dir, database, key_ring) as data:
        if channel_id is None:
            _list(data, as_json=as_json)
        elif word.is_given:
            _act(data, data.channel(channel_id), word, svg, as_json=as_json)
        else:
            _show(data, data.channel(channel_id), dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Word:
    """What a person wants to be done, one of these at most."""

    is_now: bool
    is_stop: bool
    confirm: StepKind | None
    rest: timedelta | None

    @property
    def is_given(self) -> bool:
        """Tell whether anything is to be done."""
        return self.is_now or self.is_stop or self.confirm is not None or self.rest is not None


def _rest(text: str) -> timedelta:
    """Read for how long a recovery is put off. Raises BadParameter for what is no time, or too long."""
    rest = read_duration(text, "--put-off")
    if rest > LONGEST_REST:
        said = f"{LONGEST_REST.days} days at most; --stop has nothing more done while what was found lasts"
        raise typer.BadParameter(said, param_hint="--put-off")
    return rest


def _list(data: Office, *, as_json: bool) -> None:
    rows = data.ask(
        lambda here: here.view_within(lambda tx, within: list_recoveries(tx, within=within)),
        lambda there: there.get("/recoveries", tuple[RecoveryRow, ...]),
    )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("Nothing is being recovered.")
        return
    print_table(
        ("ID", "SINCE (UTC)", "REASON", "DONE LAST", "NEXT (UTC)"),
        [
            (
                row.channel_id,
                f"{row.opened_at:%Y-%m-%d %H:%M}",
                row.reason,
                row.log[-1].step if row.log else "",
                "stopped" if row.outcome else ("" if row.next_at is None else f"{row.next_at:%Y-%m-%d %H:%M}"),
            )
            for row in rows
        ],
    )
    if len(rows) == LIST_LIMIT:
        print(f"The {LIST_LIMIT} oldest are listed.", file=sys.stderr)


def _show(data: Office, channel_id: ChannelId, *, dry_run: bool, as_json: bool) -> None:
    found = data.ask(
        lambda here: here.look(lambda tx, ctx: show_recovery(tx, channel_id, ctx), about=[channel_id]),
        lambda there: there.find(at("devices", channel_id, "recovery"), Recovering),
    )
    if found is None:
        raise CommandFailed(
            f"no channel {channel_id} is known", remedy="See `muster devices list`.", code=ExitCode.ABSENT
        )
    if as_json:
        print_json(found.plan if dry_run else found)
        return
    state = STATES[ControlState(found.state)]
    print(without_orders(f"{found.channel_id} is {state} ({found.reason}): {found.sentence}."))
    if dry_run:
        _print_plan(found.plan)
        return
    _print_recoveries(data, found)


def _print_recoveries(data: Office, found: Recovering) -> None:
    if not found.recoveries:
        print("Nothing was done to bring it back, and nothing has to be.")
    for row in found.recoveries:
        print()
        ended = f", {row.outcome}" if row.outcome else ""
        ended += f" {instant_near(row.closed_at, data.now)}" if row.closed_at else ""
        print(f"{row.reason} ({row.title}), begun {instant_near(row.opened_at, data.now)}{ended}")
        for done in row.log:
            print(without_orders(f"  {done.at:%Y-%m-%d %H:%M} UTC  {done.step}: {done.what}"))
        if row.next:
            when = "" if row.next_at is None else f", {instant_near(row.next_at, data.now)}"
            print(f"  next: {row.next}{when}")
    for kind in found.confirmable:
        print(f"\n`muster recover {found.channel_id} --confirm {kind}` does what needs your go-ahead.", file=sys.stderr)


def _print_plan(plan: Sequence[Planned]) -> None:
    if not plan:
        print("Nothing would be done.")
        return
    print("If nothing changed, this would be done:")
    print_table(
        ("NOT BEFORE (UTC)", "REASON", "STEP", "WHAT"),
        [(f"{one.at:%Y-%m-%d %H:%M}", one.reason, one.kind, _what(one)) for one in plan],
    )


def _what(one: Planned) -> str:
    if one.needs_person:
        return f"{one.what}; needs --confirm {one.kind}"
    return f"{one.what}; when it comes" if one.at_contact else one.what


def _act(data: Office, channel_id: ChannelId, word: _Word, svg: Path | None, *, as_json: bool) -> None:
    done = data.ask(lambda here: _done_here(here, channel_id, word), lambda there: _done_there(there, channel_id, word))
    url = done.url
    code = None if url is None else segno.make_qr(url)
    if svg is not None and code is not None:
        code.save(str(svg), kind="svg", scale=8, light="#fff")
    if as_json:
        print_json(_fields(done))
        return
    for step in done.steps:
        print(f"{channel_id}: {step}.", file=sys.stderr)
    if done.command_uuid is not None:
        print(done.command_uuid)
    if url is not None:
        print(url)
        if code is not None and sys.stdout.isatty():
            code.terminal(compact=True)
        print(f"Good for one device until {done.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


def _done_here(here: Connection, channel_id: ChannelId, word: _Word) -> RecoveryDone:
    if word.confirm is not None:
        done = here.run(confirm_steps, ConfirmOrder(channel_id, word.confirm))
    elif word.rest is not None:
        done = here.run(put_off_recoveries, PutOffOrder(channel_id, word.rest))
    else:
        done = here.run(recover_now if word.is_now else stop_recoveries, channel_id)
    return told_as_done(done, here.terms().public_url)


def _done_there(there: Server, channel_id: ChannelId, word: _Word) -> RecoveryDone:
    act = "now" if word.is_now else "stop"
    body: dict[str, object] | None = None
    if word.confirm is not None:
        act, body = "confirm", {"step": word.confirm.value}
    elif word.rest is not None:
        act, body = "put-off", {"rest_seconds": int(word.rest.total_seconds())}
    return there.send("POST", at("devices", channel_id, "recovery", act), RecoveryDone, body)


def _fields(done: RecoveryDone) -> dict[str, object]:
    return {
        "id": done.channel_id,
        "steps": done.steps,
        "command_uuid": done.command_uuid,
        "url": done.url,
        "expires_at": done.expires_at,
    }
