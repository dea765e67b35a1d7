"""`muster act`: what is done to one is done to everyone whom a query finds."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine
from tests.support.fleet import add_device

from muster.storage.schema import push_wishes, queue
from muster.storage.sqlite import SqliteEngine

EVERYBODY = "id is known"


@pytest.fixture(autouse=True)
def fleet(data_dir: Path) -> None:
    """Eleven more devices, one of which is away."""
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    for number in range(11):
        add_device(engine, f"MANY-{number:02}", state="dormant" if number == 10 else "enrolled")
    engine.close()


def kept(data_dir: Path, column: sa.Column[str]) -> set[str]:
    engine = SqliteEngine(data_dir / "muster.db")
    found = engine.read(lambda tx: set(tx.connection.scalars(sa.select(column))))
    engine.close()
    return found


def test_those_whom_the_query_finds_are_pushed(muster: CommandLine, data_dir: Path) -> None:
    code, out, said = muster.run("act", "push", "--where", "id in ('MANY-00', 'MANY-01', 'MANY-10')")

    assert (code, out) == (0, "")
    assert kept(data_dir, push_wishes.c.channel_id) == {"MANY-00", "MANY-01"}
    assert said.startswith("The query finds 3 devices.\nPushed 2 of 3.\n1 left out (not_enrolled), such as:\n")


def test_programs_are_told_how_far_it_is(muster: CommandLine) -> None:
    done = muster("act", "push", "--where", "id starts with 'MANY'")
    (listed,) = muster("act", "list")
    table = muster.run("act", "list")[1].splitlines()

    assert listed == done
    assert (done["kind"], done["matched"], done["done"]) == ("push", 11, 10)
    assert done["finished_at"] is not None
    assert table[1].split()[0] == "push"
    assert " done " in table[1]


def test_a_dry_run_names_some_and_does_nothing(muster: CommandLine, data_dir: Path) -> None:
    arguments = ("act", "push", "--where", "id starts with 'MANY'", "--dry-run")

    looked = muster(*arguments)
    _, out, said = muster.run(*arguments)

    assert (looked["matched"], len(looked["first"])) == (11, 10)
    assert out.splitlines()[0].split() == ["MANY-00"]
    assert out.splitlines()[-1] == "  and 1 more"
    assert said == "The query finds 11 devices.\nNothing was done.\n"
    assert kept(data_dir, push_wishes.c.channel_id) == set()
    assert muster.run("act", "list")[1].startswith("Nothing was done to many yet.")


@pytest.mark.parametrize("kind", ["inventory", "recover"])
def test_devices_are_asked_and_recovered(muster: CommandLine, data_dir: Path, kind: str) -> None:
    done = muster("act", kind, "--where", f"id = '{MAC}'")

    assert (done["done"], done["refused"]) == (1, {})
    assert kept(data_dir, queue.c.channel_id) == {MAC}


def test_devices_are_put_into_a_group_enrolled_or_not(muster: CommandLine) -> None:
    muster("groups", "create", "carts")

    code, _, said = muster.run("act", "group", "carts", "--where", EVERYBODY)

    assert code == 0
    assert said.endswith("Put into the group 13 of 13.\n")
    assert FORMER in {one["id"] for one in muster("devices", "list", "--where", "group = 'carts'")}


def test_who_is_limited_reaches_their_own_and_sees_what_they_did(muster: CommandLine, data_dir: Path) -> None:
    muster("groups", "create", "few", "--where", "id = 'MANY-03'")
    muster("admins", "link", "ben")
    muster("admins", "set-role", "ben", "helpdesk")
    muster("admins", "set-scope", "ben", "few")
    muster("act", "push", "--where", "id = 'MANY-01'")

    ben = ("--as", "ben", "act")
    looked = muster.run(*ben, "push", "--where", EVERYBODY, "--dry-run")[1]
    code = muster.run(*ben, "push", "--where", EVERYBODY)[0]

    assert looked.split() == ["MANY-03"]
    assert code == 0
    assert kept(data_dir, push_wishes.c.channel_id) == {"MANY-01", "MANY-03"}
    assert len(muster.run(*ben, "list")[1].splitlines()) == 2
    assert len(muster("act", "list")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["push"], 2, "--where"),
        (["push", "--where", "state is knwon"], 2, "the query is wrong at column 10"),
        (["push", "--where", "name = 'nobody'"], 3, "the query finds nobody who is enrolled"),
        (["group", "nothing", "--where", EVERYBODY], 3, "there is no group nothing into which devices are put"),
        (["group", "--where", EVERYBODY], 2, "GROUP"),
    ],
)
def test_what_can_not_be_done_is_refused(muster: CommandLine, arguments: list[str], code: int, complaint: str) -> None:
    ended, out, said = muster.run("act", *arguments)

    assert (ended, out) == (code, "")
    assert complaint in said
