"""`muster identities` and `muster devices renew`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine
from tests.support.fleet import add_device

from muster.storage import schema
from muster.storage.sqlite import SqliteEngine

SOON = "SOON-DEVICE"


@pytest.fixture
def muster(data_dir: Path) -> CommandLine:
    """The command line on an installation with a device whose identity, of an unknown profile, ends in forty days."""
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    ends = datetime.now(UTC) + timedelta(days=40, hours=12)
    add_device(engine, SOON, serial_number="F9FX", name="Bea's iPad", identity_not_after=ends)
    aged = sa.update(schema.identities).values(issued_at=ends - timedelta(days=365))
    engine.write(lambda tx: tx.connection.execute(aged))
    engine.close()
    return CommandLine("--data-dir", str(data_dir))


def test_list_tells_programs_when_identities_end_and_how_renewals_stand(muster: CommandLine) -> None:
    rows = muster("identities", "list")

    assert [(row["device_id"], row["days_left"], row["renewal"]["state"]) for row in rows] == [(SOON, 40, "impossible")]


def test_list_is_narrowed_to_those_that_end_soon(muster: CommandLine) -> None:
    assert muster("identities", "list", "--expires-within", "39d") == []
    assert len(muster("identities", "list", "--expires-within", "41d")) == 1


def test_list_gives_people_a_table(muster: CommandLine) -> None:
    code, out, said = muster.run("identities", "list")

    head, row = out.splitlines()
    assert (code, said) == (0, "")
    assert head.startswith("DEVICE")
    assert row.startswith(f"{SOON}  F9FX    Bea's iPad")


def test_list_says_that_there_are_none(muster: CommandLine) -> None:
    code, out, _ = muster.run("identities", "list", "--expires-within", "1d")

    assert (code, out) == (0, "No identities end so soon.\n")


def test_a_duration_that_is_none_is_refused(muster: CommandLine) -> None:
    code, _, said = muster.run("identities", "list", "--expires-within", "soon")

    assert code == 2
    assert "--expires-within" in said


def test_show_says_why_an_identity_cannot_be_renewed(muster: CommandLine) -> None:
    _, out, _ = muster.run("devices", "show", SOON)

    assert "It can't be renewed: with which profile the device was enrolled is not known." in out
    assert muster("devices", "show", SOON)["renewal"]["state"] == "impossible"


def test_renew_refuses_what_cannot_be_renewed_and_says_so_of_each(muster: CommandLine) -> None:
    code, _, said = muster.run("devices", "renew", SOON, FORMER, "nobody")

    assert code == 4
    assert "can't be renewed" in said
    assert f"{FORMER} is not enrolled now" in said
    assert "no device nobody is known" in said


def test_renew_refuses_a_device_without_an_identity(muster: CommandLine) -> None:
    code, _, _ = muster.run("devices", "renew", MAC)

    assert code == 4
