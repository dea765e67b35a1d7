"""At its start a server takes in what the journal has, and notices that its database is an old one."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support import databases
from tests.support.chronicle import Chronicle
from tests.support.site import MAC, Site, token_update

from muster.bootstrap.journaling import NodeJournal
from muster.bootstrap.replaying import Tally, catch_up, rehearse_all, replay_all
from muster.bootstrap.runner import EngineRunner
from muster.domain.access import DEVICE
from muster.operations.answer_checkin import answer_journaled
from muster.operations.answer_connect import ConnectReply
from muster.operations.keep_secrets import open_secret
from muster.operations.replay_journal import ReplayResult
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import resolve_channel
from muster.storage import escrow, journal_marks, queue_holds, schema
from muster.storage.engine import Transaction
from muster.storage.journal import Journal, JournalPosition, JournalRecord
from muster.storage.journal_marks import Mark
from muster.storage.journal_records import processed_record


@pytest.fixture
def whole(sqlite_template: Path, tmp_path: Path) -> Iterator[Chronicle]:
    """What truly happened."""
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "whole.db")
    yield Chronicle(Site(engine))
    engine.close()


def journal_in(directory: Path, site: Site, node: str = "node") -> Journal:
    return Journal(directory, node=node, ring=site.runner.ring, random_bytes=site.runner.random_bytes)


def write(journal: Journal, records: Sequence[JournalRecord], *, are_processed: bool = True) -> JournalPosition | None:
    """Journal *records* one by one, each of which was processed before the next unless said otherwise."""
    position = None
    for record in records:
        position = journal.append([record], position if are_processed else None) or position
    journal.close()
    return position


def runner_of(site: Site) -> EngineRunner:
    return EngineRunner(site.engine, None, site.runner.context)


def test_what_a_crash_left_unprocessed_is_taken_in(site: Site, whole: Chronicle, tmp_path: Path) -> None:
    whole.enroll(MAC)
    write(journal_in(tmp_path / "journal", site), whole.records, are_processed=False)

    first = catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)
    second = catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    assert (first.rebuilt, second.counts) == (3, {})
    assert site.engine.read(journal_marks.last_rollback) is None


def test_restored_database_is_noticed_and_dangerous_commands_are_held(
    site: Site, whole: Chronicle, tmp_path: Path
) -> None:
    identity = whole.enroll(MAC)
    journal = journal_in(tmp_path / "journal", site)
    write(journal, whole.records, are_processed=False)
    catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)
    for request_type in ("EraseDevice", "DeviceLock", "RestartDevice", "ShutDownDevice", "DeviceInformation"):
        site.queue(request_type, request_type=request_type)
    since = len(whole.records)
    whole.site.wait(days=1)
    whole.check_in(token_update(token=b"\x02" * 32), identity)
    whole.check_in(token_update(token=b"\x03" * 32), identity)
    write(journal, whole.records[since:])

    tally = catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    rollback = site.engine.read(journal_marks.last_rollback)
    assert rollback is not None
    assert (rollback.node, rollback.rebuilt, rollback.journal_at) == ("node", 2, whole.records[-1].at)
    assert tally.devices == {resolve_channel(MAC).device_id}
    assert ("own", "database_rolled_back", 1) in site.evidence()
    held = {uuid for _, uuid in site.engine.read(queue_holds.held)}
    assert held == {"EraseDevice", "DeviceLock", "RestartDevice", "ShutDownDevice"}
    reply = site.connect(identity)
    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid == "DeviceInformation"


def test_own_outage_is_no_rollback(site: Site, whole: Chronicle, tmp_path: Path) -> None:
    identity = whole.enroll(MAC)
    for _ in range(3):
        whole.site.wait(hours=1)
        whole.check_in(token_update(), identity)
    write(journal_in(tmp_path / "journal", site), whole.records, are_processed=False)

    catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    assert site.engine.read(journal_marks.last_rollback) is None


def test_journals_of_several_nodes_are_read_as_one(site: Site, whole: Chronicle, tmp_path: Path) -> None:
    whole.enroll(MAC)
    write(journal_in(tmp_path / "journal", site, "one"), whole.records[::2])
    write(journal_in(tmp_path / "journal", site, "two"), whole.records[1::2])

    tally = catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    assert tally.rebuilt == 3


def test_rehearsal_tells_what_would_be_done_and_does_nothing(site: Site, whole: Chronicle) -> None:
    whole.enroll(MAC)
    rehearsed, done = Tally(), Tally()

    rehearse_all(runner_of(site), whole.records, rehearsed)
    before = site.rows(sa.select(schema.channels.c.id))
    replay_all(runner_of(site), whole.records, done)

    assert before == []
    assert rehearsed.counts == done.counts


def test_record_that_trips_over_a_fault_is_told_and_the_others_are_replayed(
    site: Site, whole: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.enroll(MAC)
    poison = replace(whole.records[1], message="Poison")
    tally = Tally()

    def decode(body: bytes) -> object:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("muster.operations.replay_journal.decode_checkin", decode)
    replay_all(runner_of(site), [whole.records[0], poison], tally)

    assert tally.counts == {("Identity", ReplayResult.REBUILT): 1, ("Poison", ReplayResult.FAILED): 1}


def test_damaged_file_is_read_as_far_as_it_goes(site: Site, whole: Chronicle, tmp_path: Path) -> None:
    whole.enroll(MAC)
    write(journal_in(tmp_path / "journal", site), whole.records)
    (path,) = (tmp_path / "journal").iterdir()
    path.write_bytes(path.read_bytes()[:-3])

    tally = catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    assert tally.rebuilt == 2
    assert [damage.is_cut_off for damage in tally.damages] == [True]


# --- while it serves --------------------------------------------------------------------------------------------------


def test_each_record_says_how_far_the_database_had_come(site: Site, whole: Chronicle, tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    journal = NodeJournal(journal_in(tmp_path / "journal", site), executor, site.runner.now)
    runner = EngineRunner(site.engine, None, site.runner.context, journal=journal)

    async def serve() -> None:
        position = await journal.write([processed_record(site.now)])
        await runner.write(answer_journaled(position), [], DEVICE)

    asyncio.run(serve())
    journal.close()
    executor.shutdown()

    tally = catch_up(runner, tmp_path / "journal", site.runner.ring)
    assert tally.counts == {("Processed", ReplayResult.KNOWN): 1}
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.journal_marks)))
    catch_up(runner, tmp_path / "journal", site.runner.ring)
    assert site.engine.read(journal_marks.last_rollback) is not None


def test_process_that_writes_beside_us_is_no_rollback(
    site: Site, whole: Chronicle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.enroll(MAC)
    journal = journal_in(tmp_path / "journal", site)
    position = write(journal, whole.records)
    assert position is not None
    read = journal_marks.marks
    stale: list[dict[str, Mark]] = [{}]  # what we read before the other process committed
    site.engine.write(lambda tx: journal_marks.set_mark(tx, position, site.now))
    monkeypatch.setattr(journal_marks, "marks", lambda tx: stale.pop() if stale else read(tx))

    catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    assert site.engine.read(journal_marks.last_rollback) is None


def test_mark_never_goes_back(site: Site) -> None:
    def move(tx: Transaction) -> None:
        for name, count in (("2026-11-02", 5), ("2026-11-03", 2), ("2026-11-03", 1), ("2026-11-02", 9)):
            journal_marks.set_mark(tx, JournalPosition(f"{name}.node.journal", count), site.now)

    site.engine.write(move)

    marks = site.engine.read(journal_marks.marks)

    assert marks["node"].position == JournalPosition("2026-11-03.node.journal", 2)


def test_secrets_come_back_up_to_where_the_journal_was_cut(site: Site, whole: Chronicle, tmp_path: Path) -> None:
    identity = whole.enroll(MAC)
    for password in ("one", "two"):
        whole.site.wait(minutes=1)
        whole.site.answers(identity, CommandRequest("SetRecoveryLock", {"NewPassword": password}))
    write(journal_in(tmp_path / "journal", site), whole.records)
    (file,) = (tmp_path / "journal").iterdir()
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 7)  # in the middle of the record that "one" was replaced, or before

    tally = catch_up(runner_of(site), tmp_path / "journal", site.runner.ring)

    kept = site.engine.read(lambda tx: escrow.of_device(tx, resolve_channel(MAC).device_id))
    assert [open_secret(one.secret, site.runner.context()) for one in kept] == [b"two", b"one"]
    assert tally.counts["Secret", ReplayResult.REBUILT] >= 3
    assert [damage.is_cut_off for damage in tally.damages] == [True]
