"""`muster devices unenroll` and `reject`."""

from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.support.command_line import CommandLine

from muster.settings import PREFIX
from muster.storage.sqlite import SqliteEngine


def state(muster: CommandLine, device_id: str = MAC) -> str:
    shown: str = muster("devices", "show", device_id)["device"]["state"]
    return shown


def test_unenroll_queues_the_removal_and_says_how_it_stands(muster: CommandLine) -> None:
    code, out, said = muster.run("devices", "unenroll", MAC, "--yes")

    waiting = muster("commands", "list", MAC)
    shown = muster.run("devices", "show", MAC)[1]
    assert (code, out) == (0, "")
    assert "asked to remove its profile" in said
    assert [(row["request_type"], row["status"]) for row in waiting] == [("RemoveProfile", "waiting")]
    assert "Its unenrollment was ordered by" in shown
    assert "it has not answered yet" in shown
    assert state(muster) == "enrolled"


def test_reject_ends_at_once_and_withdraw_takes_it_back(muster: CommandLine) -> None:
    rejected = muster("devices", "reject", MAC, "--yes")
    ended = state(muster)
    shown = muster.run("devices", "show", MAC)[1]
    back = muster("devices", "reject", MAC, "--withdraw")

    assert rejected == back == {"device_ids": [MAC], "refused": {}}
    assert ended == "ended"
    assert "it has not come to be turned away yet" in shown
    assert state(muster) == "enrolled"


@pytest.mark.parametrize("command", ["unenroll", "reject"])
def test_nothing_is_done_while_nobody_says_yes(muster: CommandLine, command: str) -> None:
    code, _, said = muster.run("devices", command, MAC)

    assert code == 2
    assert "--yes" in said
    assert state(muster) == "enrolled"
    assert muster("commands", "list", MAC) == []


def test_what_can_be_done_is_done_and_the_rest_is_the_failure(muster: CommandLine) -> None:
    code, _, said = muster.run("devices", "reject", MAC, "NOBODY", USER, "--yes")

    assert code == 3
    assert "no device NOBODY is known" in said
    assert state(muster) == "ended"


def test_unenroll_of_what_is_not_enrolled_points_to_reject(muster: CommandLine) -> None:
    code, _, said = muster.run("devices", "unenroll", FORMER, "--yes")

    assert code == 4
    assert "muster devices reject" in said


def test_limit_is_a_setting_and_the_count_named_exactly_passes_it(
    muster: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}LEAVINGS_PER_HOUR", "0")

    limited = muster.run("devices", "reject", MAC, "--yes")
    wrong = muster.run("devices", "reject", MAC, "--yes", "--count", "2")
    meant = muster.run("devices", "reject", MAC, "--yes", "--count", "1")

    assert (limited[0], wrong[0], meant[0]) == (4, 2, 0)
    assert "--count 1" in limited[2]


def test_acts_name_who_ordered_them(muster: CommandLine, data_dir: Path) -> None:
    muster.run("devices", "reject", MAC, "--yes")

    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    with engine.sqlalchemy.connect() as connection:
        rows = connection.exec_driver_sql("SELECT actor_kind, act, subject FROM audit").all()
    engine.close()
    assert ("command_line", "device.reject", MAC) in [tuple(row) for row in rows]
