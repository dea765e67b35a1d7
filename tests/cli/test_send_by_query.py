"""`muster commands send --where`, and `muster commands sends`."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.conftest import FORMER, MAC, USER
from tests.support.command_line import CommandLine
from tests.support.fleet import add_device

from muster.cli.commands import SHOWN_WITH_ANSWER
from muster.cli.errors import ExitCode
from muster.domain.os_versions import sortable
from muster.protocol.os_family import OsFamily
from muster.storage import schema
from muster.storage.sqlite import SqliteEngine

ISSUE = "platform = 'macOS' and os_version < '26'"
FLEET = {
    "OLD-MAC": (OsFamily.MACOS, "Mac14,2", "25.10"),
    "OLDER-MAC": (OsFamily.MACOS, "MacBookPro18,1", "10.15.7"),
    "NEW-MAC": (OsFamily.MACOS, "Mac15,3", "26.0"),
    "NEWER-MAC": (OsFamily.MACOS, "Mac16,1", "26.1"),
    "SILENT-MAC": (OsFamily.MACOS, "Mac16,1", None),
    "IPHONE": (OsFamily.IOS, "iPhone14,2", "18.5"),
    "IPAD": (OsFamily.IOS, "iPad14,3", "17.0"),
    "TV": (OsFamily.TVOS, "AppleTV14,1", "18.0"),
    "VISION": (OsFamily.VISIONOS, "RealityDevice14,1", "2.0"),
    "WATCH": (OsFamily.WATCHOS, "Watch7,1", "11.0"),
}


@pytest.fixture
def fleet(data_dir: Path) -> None:
    """Devices of every kind, old and new."""
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    facts = schema.device_facts
    for name, (family, product, version) in FLEET.items():
        add_device(engine, name, os_version=version)
        values = {"family": family, "product_name": product, "os_version_key": sortable(version)}
        statement = sa.update(facts).where(facts.c.channel_id == name).values(values)
        engine.write(lambda tx, of=statement: tx.connection.execute(of))  # type: ignore[misc]
    engine.close()


def queued_on(muster: CommandLine, command_uuid: str) -> set[str]:
    return {row["channel_id"] for row in muster("commands", "show", command_uuid)["channels"]}


@pytest.mark.usefixtures("fleet")
def test_command_by_query_reaches_exactly_those(muster: CommandLine) -> None:
    code, out, said = muster.run("commands", "send", "--where", ISSUE, "SecurityInfo")

    assert code == 0
    assert queued_on(muster, out.strip()) == {"OLD-MAC", "OLDER-MAC"}
    assert said == "The query finds 2 devices.\nSecurityInfo waits for 2, who are pushed.\n"


@pytest.mark.usefixtures("fleet")
def test_programs_are_told_how_far_it_is(muster: CommandLine) -> None:
    send = muster("commands", "send", "--where", ISSUE, "SecurityInfo", "--count", "2")

    (listed,) = muster("commands", "sends")
    _, table, _ = muster.run("commands", "sends")

    assert listed == send
    assert (send["matched"], send["queued"], send["refused"], send["query"]) == (2, 2, {}, ISSUE)
    assert send["finished_at"] is not None
    assert table.splitlines()[1].split()[0] == send["command_uuid"]
    assert " done " in table


@pytest.mark.usefixtures("fleet")
def test_dry_run_says_who_would_get_it_and_sends_nothing(muster: CommandLine) -> None:
    arguments = ["commands", "send", "--where", "os_version is known", "ClearRestrictionsPassword", "--dry-run"]

    told = muster(*arguments)
    _, page, said = muster.run(*arguments)

    assert told["matched"] == len(told["fit"]) + len(told["refused"])
    assert told["refused"]["OLD-MAC"]["code"] == "command_unfit"
    assert page.startswith("ClearRestrictionsPassword would wait for ")
    assert "left out (command_unfit), such as:" in said
    assert muster("commands", "sends") == []
    assert muster("commands", "list", "OLD-MAC") == []


@pytest.mark.usefixtures("fleet")
def test_what_stops_work_names_its_count(muster: CommandLine) -> None:
    arguments = ["commands", "send", "--where", ISSUE, "DeviceLock", "--set", "PIN=123456"]

    unnamed, _, said = muster.run(*arguments)
    wrong, _, _ = muster.run(*arguments, "--count", "3")
    right = muster(*arguments, "--count", "2")

    assert (unnamed, wrong) == (2, 2)
    assert "if all are meant, add --count 2" in said
    assert right["queued"] == 2


@pytest.mark.usefixtures("fleet")
def test_dry_run_of_what_stops_work_tells_the_count(muster: CommandLine) -> None:
    arguments = ["commands", "send", "--where", ISSUE, "DeviceLock", "--set", "PIN=123456", "--dry-run"]

    code, page, _ = muster.run(*arguments)
    wrong, _, _ = muster.run(*arguments, "--count", "3")

    assert (code, wrong) == (0, 2)
    assert page.startswith("DeviceLock would wait for 2 of 2; nothing was sent.")
    assert muster("commands", "sends") == []


def test_users_get_it_in_place_of_devices(muster: CommandLine) -> None:
    send = muster("commands", "send", "--where", "state = 'enrolled'", "--users", "ProfileList")

    assert queued_on(muster, send["command_uuid"]) == {USER}


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--where", "state is known", MAC, "SecurityInfo"], 2, "--where tells who gets the command, and so does"),
        (["--where", "state is knwon", "SecurityInfo"], 2, "the query is wrong at column 10"),
        (["--where", "name = 'nobody'", "SecurityInfo"], 3, "the query finds nobody who is enrolled"),
        (["--where", f"id = '{FORMER}'", "SecurityInfo"], 3, "the query finds nobody who is enrolled"),
        (["--where", "state is known"], 2, "name the command"),
        ([MAC, "SecurityInfo", "--dry-run"], 2, "--dry-run is for --where alone"),
        ([MAC, "SecurityInfo", "--users"], 2, "--users is for --where alone"),
        ([], 2, "name the device or the user's channel"),
    ],
)
def test_what_can_not_be_sent_is_refused(muster: CommandLine, arguments: list[str], code: int, complaint: str) -> None:
    ended, out, said = muster.run("commands", "send", *arguments)

    assert (ended, out) == (code, "")
    assert complaint in said


def test_nothing_was_sent_by_query_at_first(muster: CommandLine) -> None:
    assert muster.run("commands", "sends")[1].startswith("Nothing was sent by query yet")


def test_command_to_many_shows_how_many_stand_where_and_one_by_its_name(muster: CommandLine, data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    for number in range(SHOWN_WITH_ANSWER + 1):
        add_device(engine, f"MANY-{number:02}")
    engine.close()
    few = muster.run("commands", "send", "--where", "id in ('MANY-00', 'MANY-01')", "SecurityInfo")[1].strip()
    many = muster.run("commands", "send", "--where", "id starts with 'MANY'", "SecurityInfo")[1].strip()

    shown = muster.run("commands", "show", many)[1]
    one = muster.run("commands", "show", many, "MANY-03")[1]
    code, _, _ = muster.run("commands", "show", many, MAC)

    assert muster("commands", "show", few)["counts"] == {"superseded": 2}
    assert muster("commands", "show", many)["counts"] == {"waiting": SHOWN_WITH_ANSWER + 1}
    assert shown.splitlines()[1] == f"{SHOWN_WITH_ANSWER + 1} waiting"
    assert "MANY-03: waiting" in one
    assert "MANY-04" not in one
    assert code == ExitCode.ABSENT
