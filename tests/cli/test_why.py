"""`muster why`, `muster timeline` and the verdict in `muster devices show`."""

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.cli.test_status import printed
from tests.support import fleet
from tests.support.command_line import CommandLine
from tests.support.runner import NOW
from tests.support.verdicts import hold, make_verdict

from muster.cli.marks import Page
from muster.cli.why import print_why
from muster.domain.control.finding import Cited, Considered, Finding, Judgement
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import day, instant
from muster.operations.views.verdicts import answers_of
from muster.operations.views.why import Why
from muster.protocol.identifiers import ChannelId
from muster.storage import known_facts
from muster.storage.known_facts import Facts
from muster.storage.sqlite import SqliteEngine

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(second=0, microsecond=0)
"""The command line looks at the real clock: what it is to tell of the last days lies in these."""
SINCE = NOW - 8 * DAY
SILENT = {
    "sentence": "not heard for 8 days, longer than the 7 days that are tolerated",
    "forecast": Forecast.BY_ITSELF,
    "next_step": "it is pushed once; APNs keeps that push until it comes back",
    "candidates": (Reason.SILENT, Reason.IDENTITY_MISSING),
    "evidence": (Cited("S1", SINCE, "last heard"),),
}


@pytest.fixture
def story(data_dir: Path) -> None:
    """A Mac that was well, fell silent, and whose user is away."""
    engine = SqliteEngine(data_dir / "muster.db")
    since = TODAY - 8 * DAY
    hold(engine, MAC, ControlState.IN_CONTROL, Reason.NONE, at=TODAY - 20 * DAY, sentence="in contact, and it obeys")
    hold(engine, MAC, ControlState.INACTIVE, Reason.SILENT, at=TODAY - DAY, since=since, **SILENT)  # type: ignore[arg-type]
    hold(engine, USER, ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN, at=TODAY - 2 * DAY, sentence="not logged in")
    first, last = TODAY - 3 * DAY, TODAY - 2.5 * DAY
    fleet.add_evidence(engine, MAC, "S2", "identity_expired", count=3, first_at=first, last_at=last)
    engine.close()


GOLDEN = """\
○ Inactive since 14 November: not heard for 8 days, longer than the 7 days that are tolerated.
  reason       1 silent: not heard
  proof        Proof 4 of 4: it did what a command asked, on 14 November at 14:31 UTC.
  causes       What leaves the same traces, the likeliest first: it is switched off or without a
               network; it has lost its identity.
  forecast     May come back by itself.
  next         It is pushed once; APNs keeps that push until it comes back.

What was asked
 > 2 Is it silent?
     Not heard for 8 days, longer than the 7 days that are tolerated. inactive: this decides
   3 Is it slow?
     Slow for a day. at risk
   4 Is it lost?
     In lost mode. (shown, decides nothing)
  1 rules of 4 found nothing; --all shows them.

Evidence that decides
  S1   Last heard, on 14 November at 14:31 UTC

It was not reviewed yet; this is what a review would find now.
"""


def test_the_reasoning_is_told_rule_by_rule_and_what_decides_is_marked() -> None:
    verdict = make_verdict(ControlState.INACTIVE, Reason.SILENT, SINCE, **SILENT)  # type: ignore[arg-type]
    silent = Finding(Reason.SILENT, ControlState.INACTIVE, SINCE, verdict.sentence, Forecast.BY_ITSELF)
    slow = Finding(Reason.NOT_OBEYING, ControlState.AT_RISK, SINCE, "slow for a day", Forecast.BY_ITSELF)
    lost = Finding(Reason.LOST_MODE, None, SINCE, "in lost mode", Forecast.NOTHING_TO_DO)
    judgement = Judgement(
        verdict,
        (
            Considered("over", "Is it over?", None),
            Considered("silence", "Is it silent?", silent),
            Considered("slow", "Is it slow?", slow),
            Considered("lost_mode", "Is it lost?", lost),
        ),
    )
    answers = answers_of(judgement)

    def work() -> None:
        print_why(Page(), Why(ChannelId(MAC), None, verdict, answers, None), NOW, every_rule=False)

    assert printed(work) == GOLDEN
    assert [one.decides for one in answers] == [False, True, False, False]


def test_why_asks_every_rule_and_names_the_one_that_decides(muster: CommandLine) -> None:
    told = muster("why", MAC)
    out = muster.run("why", MAC, "--all")[1]

    assert told["verdict"]["state"] in set(ControlState)
    assert sum(one["decides"] for one in told["rules"]) == (told["verdict"]["reason"] != "none")
    assert len(told["rules"]) > 60
    assert told["held"] is None
    assert all(one["question"].endswith("?") for one in told["rules"])
    assert f"{len(told['rules'])} " in out


def test_show_says_the_verdict_first(muster: CommandLine, story: None) -> None:
    lines = muster.run("devices", "show", MAC)[1].splitlines()
    told = muster("devices", "show", MAC)

    assert lines[0] == "Ada's Mac"
    assert lines[1][1:].startswith(f" Inactive since {said_day(TODAY - 8 * DAY)}: not heard for 8 days, longer")
    assert lines[2] == "  next      It is pushed once; APNs keeps that push until it comes back."
    assert any(line.startswith("  evidence  S1: Last heard, ") for line in lines)
    assert any(line.startswith("  user      ada: ") and "Dormant since" in line for line in lines)
    assert told["verdicts"][MAC]["state"] == "inactive"
    assert told["verdicts"][USER]["reason"] == "user_not_logged_in"


def test_the_list_has_the_gravest_first(muster: CommandLine, story: None) -> None:
    rows = muster("devices", "list")
    by_id = muster("devices", "list", "--order", "id")
    table = muster.run("devices", "list")[1].splitlines()

    assert [(row["id"], row["control"], row["reason"]) for row in rows] == [
        (MAC, "inactive", "silent"),
        (FORMER, None, None),
    ]
    assert [row["id"] for row in by_id] == sorted([MAC, FORMER])
    assert "CONTROL" in table[0]
    assert "inactive" in table[1]
    assert "not judged (ended)" in table[2]


def said_day(at: datetime) -> str:
    return day(at, TODAY).removeprefix("on ")


def test_timeline_tells_the_story_the_oldest_first(muster: CommandLine, story: None) -> None:
    told = [line for line in muster("timeline", MAC)["lines"] if line["kind"] != "contact"]
    out = muster.run("timeline", MAC)[1]

    last = instant(TODAY - 2.5 * DAY, TODAY)
    assert [(line["kind"], line["user"], line["text"]) for line in told] == [
        ("verdict", None, "Judged for the first time: under control: in contact, and it obeys."),
        ("evidence", None, f"A contact was refused: its identity has expired, 3 times, the last {last}."),
        ("verdict", "ada", "Judged for the first time: dormant: not logged in."),
        (
            "verdict",
            None,
            (
                f"Inactive since {said_day(TODAY - 8 * DAY)}: not heard for 8 days, longer than the 7 days that are "
                "tolerated. It is pushed once; APNs keeps that push until it comes back."
            ),
        ),
    ]
    assert "ada: Judged for the first time: dormant" in out
    assert max(map(len, out.splitlines())) <= 100


def said_by(data_dir: Path, channel_id: str, serial_number: str) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    facts = Facts(serial_number=serial_number)
    engine.write(lambda tx: known_facts.store_facts(tx, ChannelId(channel_id), facts, TODAY))
    engine.close()


@pytest.mark.parametrize("command", ["why", "timeline", "devices show", "devices inventory", "recover"])
def test_device_may_be_named_by_its_serial_number(muster: CommandLine, command: str) -> None:
    code, out, said = muster.run(*command.split(), "c02xk1", "--json")

    assert (code, said) == (0, "")
    assert MAC in out


def test_serial_number_of_several_is_asked_about(muster: CommandLine, data_dir: Path) -> None:
    said_by(data_dir, FORMER, "C02XK1")

    code, out, said = muster.run("why", "C02XK1")

    assert (code, out) == (5, "")
    assert MAC in said
    assert FORMER in said


@pytest.mark.parametrize("command", ["why", "timeline"])
def test_nobody_has_no_story(muster: CommandLine, command: str) -> None:
    code, out, said = muster.run(command, "NOBODY")

    assert (code, out) == (3, "")
    assert "no device NOBODY is known" in said


def test_page_for_a_pipe_is_plain() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(out):
        Page().heading("Bold")
    out.seek(0)

    assert out.read() == "\nBold\n"
