"""One device's records are found among everybody's, with how its identities were issued."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support import databases
from tests.support.chronicle import Chronicle
from tests.support.instants import NOON
from tests.support.site import IPAD, MAC, Site, print_of, token_update

from muster.crypto.sealing import KeyRing
from muster.protocol.identifiers import resolve_channel
from muster.storage.journal import Journal
from muster.storage.journal_files import journal_files, remove_old_files
from muster.storage.journal_index import JournalIndex
from muster.storage.journal_records import processed_record

DEVICE = resolve_channel(MAC).device_id


@pytest.fixture
def chronicle(sqlite_template: Path, tmp_path: Path) -> Iterator[Chronicle]:
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "muster.db")
    yield Chronicle(Site(engine))
    engine.close()


def journal_of(chronicle: Chronicle, directory: Path, node: str = "node") -> Journal:
    runner = chronicle.site.runner
    return Journal(directory, node=node, ring=runner.ring, random_bytes=runner.random_bytes)


def test_device_is_found_over_days_and_nodes_with_its_identity(chronicle: Chronicle, tmp_path: Path) -> None:
    identity = chronicle.enroll(MAC)
    chronicle.enroll(IPAD)
    chronicle.site.wait(days=1)
    chronicle.check_in(token_update(), identity)
    for number, record in enumerate(chronicle.records):
        journal_of(chronicle, tmp_path / "journal", f"node{number % 2}").append([record])
    index = JournalIndex(tmp_path / "journal", chronicle.site.runner.ring)

    found = index.find({DEVICE}, {print_of(identity)})

    assert found == [*chronicle.records[:3], chronicle.records[-1]]


def test_what_was_written_since_the_last_search_is_found(chronicle: Chronicle, tmp_path: Path) -> None:
    journal = journal_of(chronicle, tmp_path / "journal")
    index = JournalIndex(tmp_path / "journal", chronicle.site.runner.ring)
    identity = chronicle.identity()
    journal.append(chronicle.records)
    before = index.find({DEVICE}, set())
    chronicle.enroll(MAC, identity)
    journal.append(chronicle.records[1:])

    after = index.find({DEVICE}, set())

    assert (before, after) == ([], chronicle.records)


def test_what_can_not_be_read_is_passed_over_and_so_is_what_was_cut_off(chronicle: Chronicle, tmp_path: Path) -> None:
    journal = journal_of(chronicle, tmp_path / "journal")
    chronicle.enroll(IPAD)
    journal.append(chronicle.records)
    [file] = journal_files([tmp_path / "journal"])
    altered = bytearray(file.path.read_bytes())
    altered[-1] ^= 1
    file.path.write_bytes(altered)
    others = len(chronicle.records)
    chronicle.enroll(MAC)
    journal.append(chronicle.records[others:])
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:-1])
    index = JournalIndex(tmp_path / "journal", chronicle.site.runner.ring)

    before = index.find({DEVICE}, set())
    file.path.write_bytes(whole)
    after = index.find({DEVICE}, set())

    assert before == chronicle.records[others:-1]
    assert after == chronicle.records[others:]


def test_only_what_matters_is_read_again(chronicle: Chronicle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chronicle.enroll(IPAD)
    chronicle.enroll(MAC)
    journal_of(chronicle, tmp_path / "journal").append(chronicle.records)
    index = JournalIndex(tmp_path / "journal", chronicle.site.runner.ring)
    first = index.find({DEVICE}, set())
    opened = []
    unseal = KeyRing.open

    def note(ring: KeyRing, sealed: bytes, associated: bytes) -> bytes:
        opened.append(sealed)
        return unseal(ring, sealed, associated)

    monkeypatch.setattr(KeyRing, "open", note)

    assert index.find({DEVICE}, set()) == first
    assert len(opened) == len(first) < len(chronicle.records)


def test_nobody_is_found_in_no_journal(chronicle: Chronicle, tmp_path: Path) -> None:
    index = JournalIndex(tmp_path / "journal", chronicle.site.runner.ring)

    assert index.find({DEVICE}, {b"\x01" * 32}) == []


def test_files_of_old_days_are_removed_and_nothing_else(chronicle: Chronicle, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    for days in (0, 1, 2):
        journal_of(chronicle, directory).append([processed_record(NOON + timedelta(days=days))])
    (directory / "notes.txt").write_text("mine")

    removed = remove_old_files(directory, (NOON + timedelta(days=1)).date())

    assert removed == 1
    assert [file.day.day for file in journal_files([directory])] == [3, 4]
    assert (directory / "notes.txt").exists()
