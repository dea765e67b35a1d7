"""`muster journal`, and the commands that are held back after a restore."""

import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import MAC
from tests.support.command_line import CommandLine
from tests.support.instants import NOON

from muster.bootstrap.data_directory import read_key_ring
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import queue_holds
from muster.storage.journal import Journal
from muster.storage.journal_records import handed_out_record
from muster.storage.sqlite import SqliteEngine


def journal(data_dir: Path, directory: Path, *, command_uuid: str = "none") -> None:
    """Write that a command was handed out into a journal in *directory*."""
    ring = read_key_ring(data_dir / "keys" / "ring.json")
    written = Journal(directory, node="other", ring=ring, random_bytes=lambda count: b"\x01" * count)
    written.append([handed_out_record(ChannelId(MAC), CommandUUID(command_uuid), at=NOON)])
    written.close()


def hold(data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    engine.write(queue_holds.hold_once_only)
    engine.close()


def test_list_shows_files_and_what_is_taken_in(muster: CommandLine, data_dir: Path) -> None:
    journal(data_dir, data_dir / "journal")

    listed = muster("journal", "list")

    others = [row for row in listed if row["node"] == "other"]
    assert [(row["day"], row["records"], row["taken_in"]) for row in others] == [("2026-11-02", 1, 0)]


def test_the_authority_of_a_first_start_is_journaled(muster: CommandLine) -> None:
    replayed = muster("journal", "replay", "--dry-run")

    assert replayed["counts"] == [{"message": "Authority", "result": "known", "records": 1}]


@pytest.mark.parametrize("dry_run", [True, False])
def test_replay_of_another_nodes_journal_holds_what_was_handed_out(
    muster: CommandLine, data_dir: Path, tmp_path: Path, *, dry_run: bool
) -> None:
    sent = muster("commands", "send", MAC, "EraseDevice")["command_uuid"]
    journal(data_dir, tmp_path / "other", command_uuid=sent)

    arguments = ("journal", "replay", "--from", str(tmp_path / "other"), *(["--dry-run"] if dry_run else []))
    replayed = muster(*arguments)

    assert replayed["counts"] == [{"message": "HandedOut", "result": "rebuilt", "records": 1}]
    assert [row["command_uuid"] for row in muster("commands", "held")] == ([] if dry_run else [sent])


def test_replay_since_a_day_leaves_older_files_out(muster: CommandLine, data_dir: Path, tmp_path: Path) -> None:
    journal(data_dir, tmp_path / "other")

    replayed = muster("journal", "replay", "--from", str(tmp_path / "other"), "--since", "2026-11-03")

    assert replayed["counts"] == []


def test_replay_tells_people_what_it_did_and_what_it_could_not_read(
    muster: CommandLine, data_dir: Path, tmp_path: Path
) -> None:
    journal(data_dir, tmp_path / "other")
    (file,) = (tmp_path / "other").iterdir()
    file.write_bytes(file.read_bytes() * 2)

    code, out, said = muster.run("journal", "replay", "--from", str(tmp_path / "other"))

    assert code == 0
    assert out.splitlines()[0].split() == ["MESSAGE", "REBUILT", "KNOWN", "REFUSED", "UNREADABLE", "FAILED"]
    assert "2026-11-02.other.journal, record 2" in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("journal", "replay", "--from", "nowhere"), 3),
        (("journal", "replay", "--since", "yesterday"), 2),
        (("commands", "release"), 2),
        (("commands", "release", "X", "--all"), 2),
        (("commands", "release", "X"), 3),
        (("commands", "cancel", "--all"), 3),
    ],
)
def test_what_can_not_be_done_is_said(muster: CommandLine, arguments: tuple[str, ...], code: int) -> None:
    assert muster.run(*arguments)[0] == code


def test_held_commands_are_listed_released_and_cancelled(muster: CommandLine, data_dir: Path) -> None:
    erase = muster("commands", "send", MAC, "EraseDevice")["command_uuid"]
    lock = muster("commands", "send", MAC, "DeviceLock")["command_uuid"]
    hold(data_dir)

    held = muster.run("commands", "held")[1]
    released = muster("commands", "release", lock)
    cancelled = muster("commands", "cancel", "--all")

    assert erase in held
    assert "the database was restored" in held
    assert released == [{"id": MAC, "command_uuid": lock}]
    assert cancelled == [{"id": MAC, "command_uuid": erase}]
    assert muster.run("commands", "held")[1] == "Nothing is held back.\n"
    statuses = {row["command_uuid"]: row["status"] for row in muster("commands", "list", MAC)}
    assert statuses == {lock: "waiting", erase: "cancelled"}


def test_no_journal_is_no_fault(muster: CommandLine, data_dir: Path) -> None:
    shutil.rmtree(data_dir / "journal")

    assert muster.run("journal", "list")[1] == "No journal.\n"
    assert muster.run("journal", "replay")[1] == "The journal has no records.\n"


def test_secrets_come_back_to_a_database_that_was_restored(muster: CommandLine, data_dir: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    shutil.copyfile(data_dir / "muster.db", backup)
    muster.send(MAC, "DeviceLock", "--set", "PIN=483920", "--anyway")
    muster.run("secrets", "filevault-profile", "--out", str(tmp_path / "filevault.mobileconfig"))
    for part in data_dir.glob("muster.db*"):
        part.unlink()
    shutil.copyfile(backup, data_dir / "muster.db")

    first, second = muster("journal", "replay"), muster("journal", "replay")

    assert [one for one in first["counts"] if one["message"] in ("EscrowCertificate", "Secret")] == [
        {"message": "EscrowCertificate", "result": "rebuilt", "records": 1},
        {"message": "Secret", "result": "rebuilt", "records": 1},
    ]
    assert {one["result"] for one in second["counts"]} == {"known"}
    assert muster.run("secrets", "reveal", MAC, "lock_pin")[:2] == (0, "483920\n")
