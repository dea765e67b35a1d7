"""What `muster demo` shows: a table that lives on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from muster.bootstrap.data_directory import utc_now
from muster.cli.marks import STYLES, glyphs_for
from muster.cli.output import ago
from muster.laboratory.demonstration import Demonstration, Figures, Happening, Seen, log_path
from muster.operations.views.marks import Mark, Shape, Tone
from muster.operations.views.words import STATES, command_status
from muster.protocol.connect import Status

MAXIMUM_WIDTH = 100
HAPPENINGS_SHOWN = 3
OTHER_LINES = 5
"""Of the live part, beside devices and happenings: figures, an empty line, the head, what is left out, the end."""
LEAST_ROWS = 3
NARROW = 90
"""Columns below which the model is left out."""
QUIET = timedelta(seconds=60)
"""Everything enrolled here is heard from in less."""


class Screen(Protocol):
    """Where a demonstration shows itself, from its opening to its end."""

    def opened(self, shown: Demonstration, program: str) -> None:
        """Say where it is; *program* is how to call `muster` in another terminal."""

    def tell(self, happening: Happening) -> None:
        """Say what happens now."""

    def show(self, seen: Sequence[Seen], figures: Figures, happenings: Sequence[Happening]) -> None:
        """Show how things stand."""

    def closing(self) -> None:
        """Say that the end has begun."""

    def closed(self, figures: Figures, *, kept_in: Path | None) -> None:
        """Say what happened in all, and where the data stays, if it does."""


def choose_screen() -> Screen:
    """Choose by what standard output is."""
    console = Console(highlight=False)
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        return LiveScreen(console)
    return PlainScreen()


class PlainScreen:
    """Lines without control characters."""

    def opened(self, shown: Demonstration, program: str) -> None:
        """As Screen.opened."""
        for line in _introduction(shown, program):
            _say(line)

    def tell(self, happening: Happening) -> None:
        """As Screen.tell."""
        _say(_line(happening))

    def show(self, seen: Sequence[Seen], figures: Figures, happenings: Sequence[Happening]) -> None:
        """Show nothing: every happening was told."""

    def closing(self) -> None:
        """As Screen.closing."""
        _say("Stopping ...")

    def closed(self, figures: Figures, *, kept_in: Path | None) -> None:
        """As Screen.closed."""
        for line in _conclusion(figures, kept_in):
            _say(line)


class LiveScreen:
    """A table that is drawn anew as things change. The introduction above it stands still, to be copied from."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._glyphs = glyphs_for(console.encoding)
        self._introduction: tuple[str, ...] = ()
        self._link = ""
        self._live: Live | None = None
        self._size = console.size

    def opened(self, shown: Demonstration, program: str) -> None:
        """As Screen.opened."""
        self._introduction, self._link = _introduction(shown, program), shown.sign_in_url
        self._begin()

    def tell(self, happening: Happening) -> None:
        """Nothing: the latest happenings are part of what is shown."""

    def show(self, seen: Sequence[Seen], figures: Figures, happenings: Sequence[Happening]) -> None:
        """As Screen.show."""
        if self._console.size != self._size:
            # what stands on the terminal has been wrapped anew: begin on an empty one
            self._stop()
            self._console.clear()
            self._begin()
        assert self._live is not None, "opened comes first"
        self._live.update(self._picture(seen, figures, happenings), refresh=True)

    def closing(self) -> None:
        """As Screen.closing."""
        if self._live is None:
            self._console.print()  # the terminal has put ^C behind our line
        self._stop()
        self._console.print("Stopping ...")

    def closed(self, figures: Figures, *, kept_in: Path | None) -> None:
        """As Screen.closed."""
        for line in _conclusion(figures, kept_in):
            self._console.print(line, markup=False, soft_wrap=True)

    def _begin(self) -> None:
        self._size = self._console.size
        for line in self._introduction:
            text = Text(line)
            text.highlight_words([self._link], Style(bold=True, link=self._link))
            self._console.print(text, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self, seen: Sequence[Seen], figures: Figures, happenings: Sequence[Happening]) -> Group:
        now = utc_now()
        room = self._size.height - len(self._introduction) - HAPPENINGS_SHOWN - OTHER_LINES
        fitting = seen[: max(LEAST_ROWS, room)]
        hidden = len(seen) - len(fitting)
        latest = list(happenings)[-HAPPENINGS_SHOWN:]
        return Group(
            _one_line(_figures_line(figures)),
            Text(),
            self._table(fitting, now),
            Text(f"and {hidden} more: the console shows them" if hidden else "", style="dim"),
            *(_one_line(_line(one), "dim") for one in latest),
            _one_line("Ctrl-C ends it.", "bold"),
        )

    def _table(self, seen: Sequence[Seen], now: datetime) -> Table:
        is_narrow = self._size.width < NARROW
        width = min(self._size.width, MAXIMUM_WIDTH)
        table = Table(box=None, pad_edge=False, header_style="bold", width=width, padding=(0, 2, 0, 0))
        table.add_column("DEVICE", no_wrap=True, overflow="ellipsis", width=16)
        if not is_narrow:
            table.add_column("MODEL", no_wrap=True, overflow="ellipsis", width=11)
        table.add_column("OS", no_wrap=True, width=6)
        table.add_column("STATE", no_wrap=True, width=11)
        table.add_column("CONTACT", justify="right", no_wrap=True, width=10)
        table.add_column("WAITING", justify="right", no_wrap=True, width=7)
        table.add_column("LAST ANSWER", no_wrap=True, overflow="ellipsis", ratio=1)
        for one in seen:
            cells = self._cells(one, now)
            table.add_row(*(cells[:1] + cells[2:] if is_narrow else cells))
        return table

    def _cells(self, seen: Seen, now: datetime) -> list[Text]:
        device = seen.device
        state = STATES.get(device.state) or Mark(device.state, Shape.TRIANGLE, Tone.WARNING)
        contact = device.last_contact_at
        is_quiet = device.ended_at is None and contact is not None and now - contact > QUIET
        return [
            Text(device.name or device.serial_number or device.id),
            Text(device.model or ""),
            Text(device.os_version or ""),
            self._marked(state, state.word),
            Text(ago(contact, now), style=STYLES[Tone.WARNING] if is_quiet else ""),
            Text(str(device.commands_waiting or "")),
            self._answer(seen),
        ]

    def _answer(self, seen: Seen) -> Text:
        if seen.latest is None:
            return Text()
        mark = command_status(seen.latest.status)
        command = seen.latest.request_type or "unknown command"
        is_plain = seen.latest.status == Status.ACKNOWLEDGED
        return self._marked(mark, command if is_plain else f"{command}: {mark.word.lower()}")

    def _marked(self, mark: Mark, words: str) -> Text:
        return Text.assemble((self._glyphs[mark.shape], STYLES[mark.tone]), " ", words)


def _one_line(words: str, style: str = "") -> Text:
    return Text(words, style=style, no_wrap=True, overflow="ellipsis")


def _say(line: str) -> None:
    print(line, flush=True)


def _introduction(shown: Demonstration, program: str) -> tuple[str, ...]:
    return (
        "",
        "Open this in your browser; it signs you in, once:",
        f"  {shown.sign_in_url}",
        "",
        f"In another terminal:  {program} devices list --data-dir {shown.data_dir}",
        f"The server's log:     {log_path(shown.data_dir)}",
        "",
    )


def _line(happening: Happening) -> str:
    return f"{happening.at.astimezone():%H:%M:%S}  {happening.text}"


def _figures_line(figures: Figures) -> str:
    if figures.enrolled < figures.devices:
        enrolled = f"{figures.enrolled} of {_number(figures.devices, 'device')} enrolled"
    else:
        enrolled = f"{_number(figures.devices, 'device')} enrolled"
    if figures.first_enrolled_after is not None:
        enrolled += f", the first after {figures.first_enrolled_after.total_seconds():.1f} s"
    if figures.former:
        enrolled += f", beside {figures.former} with a past"
    traffic = ", ".join(
        (
            _number(figures.requests, "request"),
            _number(figures.pushes, "push", "pushes"),
            _number(figures.answers.answered, "answer"),
        )
    )
    return f"{enrolled} · {traffic} · {_length(figures.elapsed)}"


def _conclusion(figures: Figures, kept_in: Path | None) -> tuple[str, ...]:
    answers = figures.answers
    first = figures.first_enrolled_after
    how_soon = "" if first is None else f", the first {first.total_seconds():.1f} s after the server's start"
    enrolled = f"{figures.enrolled} of {_number(figures.devices, 'device')} enrolled{how_soon}"
    traffic = f"{_number(figures.requests, 'request')}, {_number(figures.pushes, 'push', 'pushes')}"
    said = f"{_number(answers.answered, 'command')} answered ({answers.failed} with an error)"
    where = "was thrown away" if kept_in is None else f"stays in {kept_in}"
    lines = [f"Ended after {_length(figures.elapsed)}. {enrolled}."]
    if figures.requests:
        lines.append(f"{traffic}, {said}, {answers.not_now} put off with NotNow.")
    return (*lines, f"Nothing is left running; the data {where}.")


def _number(count: int, one: str, more: str = "") -> str:
    return f"{count} {one}" if count == 1 else f"{count} {more or one + 's'}"


def _length(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
