"""`muster status`: the fleet at a glance; what people read is held word for word."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine
from tests.support.runner import NOW
from tests.support.verdicts import hold

from muster.cli import marks
from muster.cli.status import print_history, print_status
from muster.domain.control.reasons import Reason
from muster.domain.control.saying import GRAVITY
from muster.domain.control.states import ControlState, Forecast
from muster.operations.views.control import ControlDay, FleetControl, ReasonRow
from muster.operations.views.fleet_needs import Needs
from muster.operations.views.incidents import IncidentRow
from muster.storage.sqlite import SqliteEngine

DAY = timedelta(days=1)
STATES = {
    ControlState.IN_CONTROL: 412,
    ControlState.AT_RISK: 3,
    ControlState.QUIET: 1,
    ControlState.OUT_OF_CONTROL: 4,
    ControlState.ENDED: 17,
}
FLEET = FleetControl(
    at=NOW,
    total=420,
    in_control=412,
    needing=3,
    states={state.value: STATES.get(state, 0) for state in GRAVITY},
    reasons=(
        ReasonRow(
            "silent", "not heard", 5, 2, {"out_of_control": 4, "quiet": 1}, "one stored push; else whoever has it"
        ),
        ReasonRow("identity_expiring", "its identity expires soon", 2, 0, {"at_risk": 2}, "its renewal, by itself"),
        ReasonRow("push_path_blocked", "pushes don't reach it", 1, 1, {"at_risk": 1}, "whoever runs its network"),
    ),
    incidents=(
        IncidentRow(
            "1", "silent", "not heard", False, "site:198.51.100.1", NOW - DAY, NOW, None, "6 devices are silent", 6
        ),
    ),
    push_certificates={"com.apple.mgmt.External.x": NOW + 6 * DAY},
)
NEEDS = Needs(12, 2, {"com.apple.mgmt.External.x": NOW + 6 * DAY})
GOLDEN = """\
412 of 420 devices are under control. 3 need you.

  ● under control   412  98.0 %  ███████████████████████████████████████████████
  ✕ out of control    4   0.9 %  ▍
  ▲ at risk           3   0.7 %  ▎
  ◐ quiet             1   0.2 %  ▏
  □ ended            17

Why not the others
  5  not heard (2 for a person)              one stored push; else whoever has it
  2  its identity expires soon               its renewal, by itself
  1  pushes don't reach it (1 for a person)  whoever runs its network

Incidents, one line for one cause
  - 6 devices are silent; it began yesterday at 14:31 UTC.

For somebody to do
  - 3 devices come back by a person alone: muster devices list --where "group = 'needs-a-person'"
  - The push certificate for com.apple.mgmt.External.x expires on 28 November at 14:31 UTC; renew
    that same one: muster push-cert request
  - 2 commands wait for somebody's word: muster commands held

12 identities end within 30 days; each is renewed by itself before that.
"""


def printed(work: object, *arguments: object, encoding: str = "utf-8") -> str:
    """Return what *work* prints where nobody looks on through a terminal."""
    assert callable(work)
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with redirect_stdout(out):
        work(*arguments)
    out.seek(0)
    return out.read()


def test_the_fleet_is_told_sentence_first_and_fits_a_terminal() -> None:
    text = printed(print_status, FLEET, NEEDS)

    assert text == GOLDEN
    assert len(text.splitlines()) <= 30
    assert max(map(len, text.splitlines())) <= 100


def test_a_mass_flip_that_is_held_is_the_first_to_be_told() -> None:
    text = printed(
        print_status, FLEET, replace(NEEDS, held_flip="90 of 100 came out of control; `muster flips release`")
    )

    assert "For somebody to do\n  - 90 of 100 came out of control; muster flips release\n  - 3 devices" in text


def test_terminals_without_such_characters_get_others() -> None:
    text = printed(print_status, FLEET, NEEDS, encoding="ascii")

    assert text.splitlines()[2:4] == [
        "  * under control   412  98.0 %  ###############################################",
        "  x out of control    4   0.9 %  #",
    ]


def test_narrow_terminal_loses_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "WIDTH", 36)

    said = printed(print_status, FLEET, NEEDS)

    reasons = said[said.index("Why not the others") :].splitlines()
    assert reasons[1].split()[:2] == ["5", "not"]


def test_days_are_told_with_their_shares() -> None:
    days = (
        ControlDay(NOW - DAY, 10, 9, {"in_control": 9, "quiet": 1}, {"silent": 1}),
        ControlDay(NOW, 10, 10, {"in_control": 10}, {}),
    )

    assert printed(print_history, days) == (
        "DAY         DEVICES  UNDER CONTROL   SHARE\n"
        "2026-11-21       10              9  90.0 %  ████████████████████████████████████\n"
        "2026-11-22       10             10   100 %  ████████████████████████████████████████\n"
    )
    assert printed(print_history, ()) == "No device was judged yet.\n"


def test_programs_are_told_all_of_it(muster: CommandLine, data_dir: Path) -> None:
    now = datetime.now(UTC)
    engine = SqliteEngine(data_dir / "muster.db")
    hold(engine, MAC, ControlState.OUT_OF_CONTROL, Reason.SILENT, at=now, forecast=Forecast.WITH_A_PERSON)
    hold(engine, FORMER, ControlState.ENDED, Reason.PROFILE_REMOVED, at=now)
    engine.close()

    told = muster("status")
    past = muster("status", "--history", "2d")

    assert (told["fleet"]["total"], told["fleet"]["in_control"], told["fleet"]["needing"]) == (1, 0, 1)
    assert told["fleet"]["states"]["out_of_control"] == 1
    assert [(row["reason"], row["devices"]) for row in told["fleet"]["reasons"]] == [("silent", 1)]
    assert told["needs"] == {
        "identities_ending": 0,
        "commands_held": 0,
        "push_certificates_ending": {},
        "held_flip": None,
    }
    assert past[-1]["states"] == {"out_of_control": 1, "ended": 1}


def test_before_the_first_review_nothing_is_claimed(muster: CommandLine) -> None:
    assert muster.run("status")[:2] == (0, "No device is judged yet.\n")


@pytest.mark.parametrize("days", ["0", "900d", "x", "-1d"])
def test_days_that_are_none_are_wrong_usage(muster: CommandLine, days: str) -> None:
    code, _, said = muster.run("status", "--history", days)

    assert code == 2
    assert "a number of days from 1 to 800" in said
