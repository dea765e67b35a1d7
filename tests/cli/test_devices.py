"""`muster devices`."""

from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.support.command_line import CommandLine
from tests.support.fleet import add_command
from tests.support.runner import NOW

from muster.domain.command_queue import HoldReason
from muster.operations.views.holds import HELD_SHOWN
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import queue_holds
from muster.storage.known_facts import Facts, store_facts
from muster.storage.queue_holds import Pause
from muster.storage.sqlite import SqliteEngine

SHAPE = {
    "id": MAC,
    "kind": "Device",
    "state": "enrolled",
    "serial_number": "C02XK1",
    "name": "Ada's Mac",
    "os_version": "15.5",
    "commands_waiting": 0,
    "user_channels": 1,
    "last_contact_at": "2026-11-22T14:31:07Z",
}


def test_list_gives_programs_every_device_with_its_state_and_last_contact(muster: CommandLine) -> None:
    rows = {row["id"]: row for row in muster("devices", "list")}

    assert rows.keys() == {MAC, FORMER}
    assert SHAPE.items() <= rows[MAC].items()
    assert rows[FORMER]["state"] == "ended"


def test_list_gives_people_a_table(muster: CommandLine) -> None:
    code, out, said = muster.run("devices", "list")

    head, *rows = out.splitlines()
    assert (code, said) == (0, "")
    assert head.split()[:4] == ["ID", "SERIAL", "NAME", "MODEL"]
    assert any(row.startswith(f"{MAC}  C02XK1") and "Ada's Mac" in row for row in rows)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--state", "enrolled"], [MAC]),
        (["--state", "ended"], [FORMER]),
        (["--search", "c02xk"], [MAC]),
        (["--search", "nobody"], []),
    ],
)
def test_list_narrows(muster: CommandLine, arguments: list[str], expected: list[str]) -> None:
    assert [row["id"] for row in muster("devices", "list", *arguments)] == expected


def test_list_refuses_a_state_that_there_is_not(muster: CommandLine) -> None:
    code, _, said = muster.run("devices", "list", "--state", "lost")

    assert code == 2
    assert "'enrolling', 'enrolled', 'dormant', 'ended'" in said


def test_list_of_nothing_says_how_devices_come(tmp_path: Path) -> None:
    empty = CommandLine("--data-dir", str(tmp_path / "empty"))
    empty.run("init")

    assert "muster enroll link" in empty.run("devices", "list")[1]


@pytest.mark.parametrize("arguments", [["--search", "nobody"], ["--state", "enrolling"]])
def test_list_narrowed_to_nothing_says_so(muster: CommandLine, arguments: list[str]) -> None:
    assert muster.run("devices", "list", *arguments) == (0, "No such devices.\n", "")


@pytest.mark.parametrize("name", [MAC, USER])
def test_show_takes_the_id_of_the_device_and_of_each_of_its_channels(muster: CommandLine, name: str) -> None:
    shown = muster("devices", "show", name)

    assert SHAPE.items() <= shown["device"].items()
    assert [channel["id"] for channel in shown["channels"]] == [MAC, USER]


def test_show_tells_people_where_the_device_stands_in_its_first_lines(muster: CommandLine) -> None:
    _, out, _ = muster.run("devices", "show", MAC)
    _, former, _ = muster.run("devices", "show", FORMER)

    name, verdict, _, standing = out.splitlines()[:4]
    assert (name, verdict[1:]) == ("Ada's Mac", " Not judged yet: its first review is due within a minute.")
    assert standing.startswith("Enrolled ")
    assert standing.endswith("nothing waits.")
    assert former.splitlines()[3].startswith("Ended ")


def test_show_says_that_a_device_is_in_setup_assistant(muster: CommandLine, data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(lambda tx: store_facts(tx, ChannelId(MAC), Facts(awaiting_configuration=True), NOW))
    engine.close()

    _, out, _ = muster.run("devices", "show", MAC)

    assert ", in Setup Assistant; " in out.splitlines()[3]


def test_show_says_what_is_paused_and_parked_and_what_to_do(muster: CommandLine, data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(lambda tx: queue_holds.pause(tx, Pause(ChannelId(USER), NOW, "ana", "moving"), ()))
    for number in range(HELD_SHOWN + 1):
        uuid = CommandUUID(f"c{number}")
        add_command(engine, MAC, uuid, "RestartDevice")
        engine.write(lambda tx, uuid=uuid: queue_holds.hold(tx, ChannelId(MAC), uuid, HoldReason.PARKED))  # type: ignore[misc]
    engine.close()

    _, out, _ = muster.run("devices", "show", MAC)
    shown = muster("devices", "show", MAC)

    assert f"The queue of {USER} is paused since 2026-11-22 14:31 UTC, by ana: moving." in out
    assert f"`muster commands resume {USER}`" in out
    assert "`muster commands release c0` has it go out after all" in out
    assert f"`muster commands cancel c0 {MAC}`" in out
    assert "1 more waits for your word" in out
    assert [(one["channel_id"], one["paused_by"], one["reason"]) for one in shown["pauses"]] == [
        (USER, "ana", "moving")
    ]
    assert [one["because"] for one in shown["held"]] == ["parked"] * (HELD_SHOWN + 1)


def test_show_of_nobody_is_absent(muster: CommandLine) -> None:
    code, out, said = muster.run("devices", "show", "nobody")

    assert (code, out) == (3, "")
    assert said == "muster: no device nobody is known\n  See `muster devices list`.\n"
