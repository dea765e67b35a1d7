"""`muster why`: the reasoning behind a verdict, rule by rule."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.marks import Indented, Page
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json
from muster.cli.server_calls import at
from muster.domain.control import saying
from muster.domain.control.finding import Cited, Finding, Verdict
from muster.domain.control.reasons import REASONS
from muster.domain.control.words import instant_near
from muster.operations.views.marks import CONTROL
from muster.operations.views.verdicts import Answer
from muster.operations.views.why import Why, tell_why


def register(app: typer.Typer) -> None:
    """Add this command to *app*."""
    app.command("why")(why)


def why(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The device's id or serial number; or the id of a user's channel, its device's:its user's.",
        ),
    ],
    every_rule: Annotated[
        bool,
        typer.Option("--all", help="Show the rules that found nothing, too, in the order in which they are asked."),
    ] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell why a device is held to be as it is, rule by rule."""
    with open_office(data_dir, database, key_ring) as data:
        now, channel_id = data.now, data.channel(name)
        told = data.ask(
            lambda here: here.look(lambda tx, ctx: tell_why(tx, channel_id, ctx), about=[channel_id]),
            lambda there: there.find(at("devices", channel_id, "verdict"), Why),
        )
    if told is None:
        raise CommandFailed(
            f"no device {channel_id} is known", remedy="See `muster devices list`.", code=ExitCode.ABSENT
        )
    if as_json:
        print_json({"id": channel_id, "at": now, "verdict": told.found, "rules": told.rules, "held": told.recorded})
        return
    print_why(Page(), told, now, every_rule=every_rule)


def print_why(page: Page, told: Why, now: datetime, *, every_rule: bool) -> None:
    """Say the verdict, what rests on it, what each rule answered, and the evidence."""
    verdict = told.found
    page.say(
        page.mark(CONTROL[verdict.state], saying.verdict_sentence(verdict.state, verdict.since, verdict.sentence, now))
    )
    _print_reason(page, verdict, now)
    page.heading("What was asked")
    _print_answers(page, told.rules, every_rule=every_rule)
    _print_evidence(page, "Evidence that decides", verdict.evidence, now)
    for note in verdict.notes:
        _print_note(page, note)
    held = told.recorded
    if held is None:
        page.say("", "It was not reviewed yet; this is what a review would find now.")
    elif (held.verdict.state, held.verdict.reason) != (verdict.state, verdict.reason):
        was = f"{saying.STATES[held.verdict.state]} ({held.verdict.reason.value})"
        when = instant_near(held.judged_at, now)
        page.say("", Indented(f"The last review, {when}, held it to be {was}; the next one records this.", 0))


def _print_reason(page: Page, verdict: Verdict, now: datetime) -> None:
    lines = [
        ("reason", f"{REASONS[verdict.reason].number} {verdict.reason.value}: {REASONS[verdict.reason].title}"),
        ("proof", saying.proof_sentence(
            verdict.proof_level, verdict.proof_at, now, is_push_proved=verdict.is_push_proved
        )),
        ("causes", saying.candidates_sentence(verdict.candidates)),
        ("forecast", f"{saying.capital(saying.FORECASTS[verdict.forecast])}."),
        ("next", saying.next_sentence(verdict.next_step, verdict.forecast)),
        ("looks again", "" if verdict.look_again_at is None else f"{instant_near(verdict.look_again_at, now)}."),
    ]  # fmt: skip
    for name, text in lines:
        if text:
            page.say(Indented(text, 15, f"  {name}"))


def _print_answers(page: Page, answers: Sequence[Answer], *, every_rule: bool) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    quiet = 0
    for number, answer in enumerate(answers, 1):
        if not answer.found and not every_rule:
            quiet += 1
            continue
        found = Text(saying.capital(answer.found) + "." if answer.found else "No.", style="" if answer.found else "dim")
        if answer.is_note:
            found.append(" (shown, decides nothing)", style="dim")
        elif answer.state is not None:
            found = Text.assemble(found, " ", (f"{saying.STATES[answer.state]}", "bold"))
            found.append(": this decides" if answer.decides else "")
        table.add_row(" >" if answer.decides else "", f"{number}", Text.assemble((answer.question, "dim"), "\n", found))
    if quiet < len(answers):
        page.say(table)
    if quiet:
        page.say(f"  {quiet} rules of {len(answers)} found nothing; --all shows them.")


def _print_evidence(page: Page, title: str, evidence: Sequence[Cited], now: datetime) -> None:
    if not evidence:
        return
    page.heading(title)
    for one in evidence:
        page.say(Indented(saying.evidence_sentence(one, now), 7, f"  {one.signal}"))


def _print_note(page: Page, note: Finding) -> None:
    page.heading(f"Beside it: {REASONS[note.reason].title}")
    page.say(Indented(f"{saying.capital(note.sentence)}.", 2, "  "))
