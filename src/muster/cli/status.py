"""`muster status`: the fleet at a glance, and how it stood before."""

import re
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from muster.cli.marks import Indented, Page
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json
from muster.cli.server_calls import Server
from muster.domain.control import saying
from muster.domain.control.states import ControlState
from muster.domain.control.words import count, instant_near
from muster.operations.views.control import ControlDay, FleetControl, control_history, fleet_control
from muster.operations.views.fleet_needs import FleetStanding, Needs, fleet_needs
from muster.operations.views.marks import CONTROL

REASONS_SHOWN: Final = 8
INCIDENTS_SHOWN: Final = 3
"""So that all of it stands on a terminal of 30 lines."""
LONGEST_HISTORY: Final = 800
_DAYS: Final = re.compile(r"([0-9]{1,3})d?")


def register(app: typer.Typer) -> None:
    """Add this command to *app*."""
    app.command("status")(status)


def status(
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="DAYS", help="How the fleet stood on each of the last days, such as 30d."),
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell how much of the fleet is under control, why not the rest, and what needs a person."""
    days = None if history is None else _read_days(history)
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        if days is not None:
            past = data.ask(
                lambda here: here.view(lambda tx: control_history(tx, now, days)),
                lambda there: there.get("/fleet/history", tuple[ControlDay, ...], days=days),
            )
            print_json(past) if as_json else print_history(past)
            return
        fleet, needs = data.ask(
            lambda here: here.view(lambda tx: (fleet_control(tx, now), fleet_needs(tx, now))), _standing
        )
    if as_json:
        print_json({"fleet": fleet, "needs": needs})
    else:
        print_status(fleet, needs)


def _standing(there: Server) -> tuple[FleetControl, Needs]:
    stands = there.get("/fleet", FleetStanding)
    return stands.control, stands.needs


def _read_days(text: str) -> int:
    read = _DAYS.fullmatch(text)
    if read is None or not 1 <= int(read[1]) <= LONGEST_HISTORY:
        raise typer.BadParameter(f"a number of days from 1 to {LONGEST_HISTORY}, such as 30d", param_hint="--history")
    return int(read[1])


def print_status(fleet: FleetControl, needs: Needs) -> None:
    """Say how the fleet stands, the sentence first; on a terminal of 100 columns and 30 lines all of it is seen."""
    page = Page()
    states = {ControlState(state): devices for state, devices in fleet.states.items()}
    page.say(Text(saying.fleet_sentences(states, fleet.needing), style="bold"))
    if any(states.values()):
        page.say("", _states(page, states, fleet.total))
    _print_reasons(page, fleet)
    if fleet.incidents:
        page.heading("Incidents, one line for one cause")
        for one in fleet.incidents[:INCIDENTS_SHOWN]:
            began = instant_near(one.began_at, fleet.at)
            page.say(Indented(f"{saying.capital(one.sentence)}; it began {began}.", 4, "  -"))
        if len(fleet.incidents) > INCIDENTS_SHOWN:
            page.say(f"    {len(fleet.incidents) - INCIDENTS_SHOWN} more: muster incidents --open")
    lines = _for_somebody(fleet, needs)
    if lines:
        page.heading("For somebody to do")
        for line in lines:
            page.say(Indented(line, 4, "  -"))
    if needs.identities_ending:
        is_one = needs.identities_ending == 1
        what = "1 identity ends" if is_one else f"{needs.identities_ending:,} identities end"
        page.say("", f"{what} within 30 days; {'it is' if is_one else 'each is'} renewed by itself before that.")


def _states(page: Page, states: dict[ControlState, int], total: int) -> Table:
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "left"):
        table.add_column(justify=justify)
    for state in (ControlState.IN_CONTROL, *saying.WORRIES, ControlState.ENDED):
        devices = states[state]
        if devices or state is ControlState.IN_CONTROL:
            is_over = state is ControlState.ENDED
            mark = page.mark(CONTROL[state], f"{saying.STATES[state]}")
            part = "" if is_over else saying.share(devices, total)
            bar = "" if is_over else Text(page.bar(devices, total, 48), style=page.glyph(state)[1])
            table.add_row(Text.assemble("  ", mark), f"{devices:,}", part, bar)
    return table


def _print_reasons(page: Page, fleet: FleetControl) -> None:
    if not fleet.reasons:
        return
    page.heading("Why not the others")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)  # what a narrow terminal has no room for is never the figure
    table.add_column()
    table.add_column()
    for row in fleet.reasons[:REASONS_SHOWN]:
        needing = f" ({row.needing:,} for a person)" if row.needing else ""
        what = Text.assemble(row.title, (needing, "yellow"))
        table.add_row(f"  {row.devices:,}", what, Text(row.brings_back, style="dim"))
    page.say(table)
    left_out = fleet.reasons[REASONS_SHOWN:]
    if left_out:
        devices = sum(row.devices for row in left_out)
        page.say(f"  {devices:,} for {count(len(left_out), 'other reason')}: muster status --json")


def _for_somebody(fleet: FleetControl, needs: Needs) -> list[str]:
    lines = []
    if needs.held_flip is not None:
        lines.append(needs.held_flip.replace("`", ""))
    if fleet.needing:
        which = "muster devices list --where \"group = 'needs-a-person'\""
        what = "1 device comes" if fleet.needing == 1 else f"{fleet.needing:,} devices come"
        lines.append(f"{what} back by a person alone: {which}")
    for topic, ends in sorted(needs.push_certificates_ending.items()):
        verb = "expired" if ends <= fleet.at else "expires"
        lines.append(
            f"The push certificate for {topic} {verb} {instant_near(ends, fleet.at)}; renew that same one: "
            "muster push-cert request"
        )
    if needs.commands_held:
        verb = "waits" if needs.commands_held == 1 else "wait"
        lines.append(f"{count(needs.commands_held, 'command')} {verb} for somebody's word: muster commands held")
    return lines


def print_history(days: tuple[ControlDay, ...]) -> None:
    """Say how the fleet stood, a line for each day."""
    page = Page()
    if not days:
        page.say("No device was judged yet.")
        return
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "right", "left"):
        table.add_column(justify=justify)
    table.add_row("DAY", "DEVICES", "UNDER CONTROL", "SHARE", "", style="bold")
    for one in days:
        bar = Text(page.bar(one.in_control, one.total, 40), style="green")
        share = saying.share(one.in_control, one.total)
        table.add_row(f"{one.day:%Y-%m-%d}", f"{one.total:,}", f"{one.in_control:,}", share, bar)
    page.say(table)
