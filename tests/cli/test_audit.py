"""`muster audit`: what was done can be read, and what was changed in the log shows."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.conftest import MAC
from tests.support.command_line import CommandLine

from muster.operations.views import audit as audit_view
from muster.storage.schema import audit
from muster.storage.sqlite import SqliteEngine


def change(data_dir: Path, statement: sa.Update | sa.Delete) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(lambda tx: tx.connection.execute(statement))
    engine.close()


def test_list_tells_who_did_what_to_what(muster: CommandLine) -> None:
    command_uuid = muster.send(MAC, "SecurityInfo")

    latest = muster("audit", "list")[0]
    _, table, _ = muster.run("audit", "list", "--act", "command", "--subject", MAC)

    assert (latest["act"], latest["subject"]) == ("command.queue", MAC)
    assert latest["detail"]["command_uuid"] == command_uuid
    assert len(table.splitlines()) == 2
    assert command_uuid in table
    assert muster.run("audit", "list", "--act", "comm")[1] == "No such act.\n"


def test_a_pin_is_not_in_the_log(muster: CommandLine) -> None:
    muster.send(MAC, "DeviceLock", "--set", "PIN=483920", "--anyway")

    assert "483920" not in muster.run("audit", "list", "--json")[1]


def test_whole_log_is_verified_in_pages(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_view, "READ_AT_A_TIME", 2)
    for _ in range(4):
        muster.send(MAC, "SecurityInfo")

    found = muster("audit", "verify")

    assert found["rows"] == muster("audit", "list")[0]["sequence"]
    assert found["broken_at"] is None
    assert len(found["last_hash"]) == 64


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(audit).where(audit.c.sequence == 2).values(actor_name="eve"),
        sa.update(audit).where(audit.c.sequence == 2).values(detail={"channels": 0}),
        sa.delete(audit).where(audit.c.sequence == 2),
    ],
)
def test_a_log_that_was_changed_is_told(muster: CommandLine, data_dir: Path, statement: sa.Update | sa.Delete) -> None:
    for _ in range(3):
        muster.send(MAC, "SecurityInfo")
    change(data_dir, statement)

    code, _, said = muster.run("audit", "verify")

    assert code == 1
    assert said.startswith("muster: the audit log was changed: number 2 is missing, or not as it was written")


def test_hash_that_was_kept_shows_that_nothing_was_cut_off(muster: CommandLine, data_dir: Path) -> None:
    muster.send(MAC, "SecurityInfo")
    kept = muster("audit", "verify")["last_hash"]
    muster.send(MAC, "SecurityInfo")
    assert muster.run("audit", "verify", "--kept", kept)[0] == 0
    last = muster("audit", "list")[0]["sequence"]

    change(data_dir, sa.delete(audit).where(audit.c.sequence >= last - 1))
    code, _, said = muster.run("audit", "verify", "--kept", kept)

    assert muster.run("audit", "verify")[0] == 0
    assert code == 1
    assert said.startswith("muster: the hash that was kept is none of this log's")


@pytest.mark.parametrize("kept", ["", "9c1f", "zz" * 32])
def test_what_is_no_hash_is_told(muster: CommandLine, kept: str) -> None:
    code, _, said = muster.run("audit", "verify", "--kept", kept)

    assert code == 2
    assert "64 hexadecimal digits" in said
