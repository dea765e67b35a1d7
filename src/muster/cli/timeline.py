"""`muster timeline`: a device's story, the oldest first."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.marks import Page
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json
from muster.cli.server_calls import at
from muster.domain.control.contact import ContactDay, contacts_of
from muster.domain.control.silence_clock import day_of, start_of
from muster.domain.control.states import ControlState
from muster.domain.control.words import day
from muster.operations.views.story import StoryFacts
from muster.operations.views.storytelling import Line, LineKind, tell_story
from muster.operations.views.timeline import Timeline, show_timeline
from muster.operations.views.verdicts import Held
from muster.protocol.identifiers import ChannelId

DAYS: Final = 30
LONGEST: Final = 400
"""As long as contacts are kept."""
_BUSY_DAY: Final = 24
"""Five-minute marks of a day that fill its column: a device that comes hourly."""


def register(app: typer.Typer) -> None:
    """Add this command to *app*."""
    app.command("timeline")(timeline)


def timeline(
    device_id: Annotated[str, typer.Argument(metavar="ID", help="The device's id or serial number.")],
    days: Annotated[int, typer.Option("--days", min=1, max=LONGEST, help="How far back.")] = DAYS,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell a device's story, the oldest first."""
    with open_office(data_dir, database, key_ring) as data:
        channel_id, now = ChannelId(data.channel(device_id).partition(":")[0]), data.now
        since = start_of(day_of(now)) - timedelta(days=days - 1)
        story = data.ask(
            lambda here: here.view(lambda tx: show_timeline(tx, channel_id, since, now), about=[channel_id]),
            lambda there: there.find(at("devices", channel_id, "timeline"), Timeline, days=days),
        )
    if story is None:
        raise CommandFailed(
            f"no device {device_id} is known", remedy="See `muster devices list`.", code=ExitCode.ABSENT
        )
    facts = story.facts()
    lines = tell_story(facts, now)
    if as_json:
        print_json({"id": channel_id, "since": since, "lines": [_plain(line) for line in lines]})
        return
    print_timeline(Page(), story.name, facts, lines, now)


def _plain(line: Line) -> dict[str, object]:
    return {"at": line.at, "kind": line.kind, "user": line.whose or None, "state": line.state, "text": line.text}


def print_timeline(page: Page, name: str, facts: StoryFacts, lines: Sequence[Line], now: datetime) -> None:
    """Draw the strip, and tell the story beneath it."""
    page.say(Text(f"{name}, from {day(facts.since, now).removeprefix('on ')} to now (UTC)", style="bold"), "")
    _print_strip(page, facts, now)
    if not lines:
        page.say("Nothing happened in this time.")
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column()
    shown = None
    for line in lines:
        told_at = line.at.astimezone(UTC)
        day_text = f"{told_at.day} {told_at:%b}" if told_at.date() != shown else ""
        shown = told_at.date()
        whose = f"{line.whose}: " if line.whose else ""
        text = Text(whose + line.text, style="bold" if line.kind is LineKind.VERDICT else "")
        table.add_row(f"{day_text:>6} {told_at:%H:%M}", page.mark(line.mark, ""), text)
    page.say(table)


def _print_strip(page: Page, facts: StoryFacts, now: datetime) -> None:
    """Draw what was held of it and how often it came, a column a day, the latest days that have room."""
    first, last = day_of(facts.since), day_of(now)
    shown = range(max(first, last - (page.width - 12) + 1), last + 1)
    held = facts.held.get(facts.device_id, ())
    verdict, contacts = Text("  verdict   "), Text("  contacts  ")
    ticks = {one.day: one for one in facts.contact_days.get(facts.device_id, ())}
    for number in shown:
        state = _state_on(held, number)
        if state is None:
            verdict.append(" ")
        elif state is ControlState.IN_CONTROL:
            verdict.append(page.well, style="green")
        else:
            glyph, style = page.glyph(state)
            verdict.append(glyph, style=style)
        contacts.append(page.block(_share(ticks.get(number))), style="cyan")
    page.say(contacts, verdict, "")


def _state_on(held: Sequence[Held], number: int) -> ControlState | None:
    """Return what was held at the end of a day."""
    end = start_of(number + 1)
    return next((one.state for one in reversed(held) if one.begins < end and one.ends > start_of(number)), None)


def _share(ticks: ContactDay | None) -> float:
    return 0.0 if ticks is None else min(1.0, len(contacts_of(ticks)) / _BUSY_DAY)
