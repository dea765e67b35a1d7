"""The journal gives back what it promised to keep, in order, and nothing that was altered, moved or half written."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from random import Random

import pytest
from tests.support.instants import NOON

from muster.crypto.errors import CannotDecrypt
from muster.crypto.sealing import KeyRing, UnknownSealingKey
from muster.storage.journal import (
    Journal,
    JournalDamage,
    JournalEntry,
    JournalPosition,
    JournalRecord,
    count_records,
    file_of,
    read_journal,
    scan_journal,
)

random_bytes = Random(1).randbytes
RING = KeyRing.generate(random_bytes, NOON)
RECORD = JournalRecord(NOON, "A", "TokenUpdate", b"\x30\x00", "192.0.2.1", b"\x00<plist>\xff")
NAME = "2026-11-02.node.journal"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = opened_in(tmp_path)
    yield opened
    opened.close()


def opened_in(directory: Path) -> Journal:
    return Journal(directory, node="node", ring=RING, random_bytes=random_bytes)


def records(*bodies: bytes) -> list[JournalRecord]:
    return [replace(RECORD, body=body) for body in bodies]


def test_records_come_back_in_order_as_they_were(journal: Journal, tmp_path: Path) -> None:
    written = [
        *records(b"first", b"", b"third"),
        replace(RECORD, at=NOON + timedelta(microseconds=1), channel_id="é:ü"),
    ]

    journal.append(written[:2])
    journal.append([])
    journal.append(written[2:])

    assert list(read_journal(tmp_path / NAME, RING)) == written


def test_each_utc_day_has_a_file_of_its_own(journal: Journal, tmp_path: Path) -> None:
    evening = NOON.replace(hour=23).astimezone(timezone(timedelta(hours=5)))

    journal.append([RECORD, replace(RECORD, at=evening), replace(RECORD, at=NOON + timedelta(days=1)), RECORD])

    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "2026-11-03.node.journal"]
    assert len(list(read_journal(tmp_path / NAME, RING))) == 3


def test_reopened_journal_goes_on_where_it_was(journal: Journal, tmp_path: Path) -> None:
    journal.append(records(b"first"))
    journal.close()
    journal.append(records(b"second"))

    again = opened_in(tmp_path)
    again.append(records(b"third"))
    again.close()

    assert list(read_journal(tmp_path / NAME, RING)) == records(b"first", b"second", b"third")


@pytest.mark.parametrize("torn", [1, 3, 4, 5, 100])
def test_record_that_a_crash_left_half_written_is_taken_off(tmp_path: Path, torn: int) -> None:
    journal = opened_in(tmp_path)
    journal.append(records(b"kept", b"torn"))
    journal.close()
    path = tmp_path / NAME
    length_of_first = 4 + int.from_bytes(path.read_bytes()[:4], "big")
    os.truncate(path, length_of_first + torn)

    assert list(read_journal(path, RING)) == records(b"kept")
    again = opened_in(tmp_path)
    again.append(records(b"after"))
    again.close()

    assert list(read_journal(path, RING)) == records(b"kept", b"after")


@contextmanager
def files_no_longer_than(length: int) -> Iterator[None]:
    """Let writing fail beyond *length* bytes, as on a full disk."""
    former_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    former_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, former_limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former_limit)
        signal.signal(signal.SIGXFSZ, former_handler)


def test_full_disk_is_an_error_and_later_records_are_whole(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / NAME
    journal.append(records(b"before"))
    with files_no_longer_than(path.stat().st_size + 100), pytest.raises(OSError, match="large"):
        journal.append(records(bytes(1000)))

    journal.append(records(b"after"))

    assert list(read_journal(path, RING)) == records(b"before", b"after")


def test_altered_record_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.append(records(b"first", b"second"))
    path = tmp_path / NAME
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    reading = read_journal(path, RING)

    assert next(reading).body == b"first"
    with pytest.raises(CannotDecrypt):
        next(reading)


def test_file_or_record_that_was_moved_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.append(records(b"first", b"second"))
    path = tmp_path / NAME
    content = path.read_bytes()
    (tmp_path / "2026-11-03.node.journal").write_bytes(content)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / NAME).write_bytes(content[4 + int.from_bytes(content[:4], "big") :])

    for moved in (tmp_path / "2026-11-03.node.journal", tmp_path / "moved" / NAME):
        with pytest.raises(CannotDecrypt):
            next(read_journal(moved, RING))


def test_journal_is_closed_to_other_rings_and_other_people(journal: Journal, tmp_path: Path) -> None:
    journal.append([RECORD])
    path = tmp_path / NAME

    with pytest.raises(UnknownSealingKey):
        next(read_journal(path, KeyRing.generate(random_bytes, NOON)))
    assert path.stat().st_mode & 0o077 == 0
    assert RECORD.body not in path.read_bytes()


# --- scanning ---------------------------------------------------------------------------------------------------------


def test_scan_tells_places_and_how_far_the_database_was(journal: Journal, tmp_path: Path) -> None:
    behind_first = journal.append(records(b"first"))
    middle = (tmp_path / NAME).stat().st_size
    journal.append(records(b"second"), behind_first)
    end = (tmp_path / NAME).stat().st_size

    entries = list(scan_journal(tmp_path / NAME, RING))

    assert behind_first == JournalPosition(NAME, 1)
    assert entries == [
        JournalEntry(records(b"first")[0], JournalPosition(NAME, 1), 0, middle),
        JournalEntry(records(b"second")[0], JournalPosition(NAME, 2), middle, end, behind_first),
    ]


def test_scan_begins_where_it_is_told(journal: Journal, tmp_path: Path) -> None:
    journal.append(records(b"first", b"second", b"third"))

    bodies = [entry.record.body for entry in scan_journal(tmp_path / NAME, RING, 2) if isinstance(entry, JournalEntry)]

    assert (bodies, count_records(tmp_path / NAME)) == ([b"third"], 3)
    assert list(scan_journal(tmp_path / NAME, RING, 3)) == []


def test_scan_goes_straight_to_a_place_that_is_known(journal: Journal, tmp_path: Path) -> None:
    journal.append(records(b"first", b"second", b"third"))
    whole = [one for one in scan_journal(tmp_path / NAME, RING) if isinstance(one, JournalEntry)]

    assert list(scan_journal(tmp_path / NAME, RING, 1, whole[1].begins)) == whole[1:]
    assert list(scan_journal(tmp_path / NAME, RING, 3, whole[-1].ends)) == []


@pytest.mark.parametrize("first", [0, 2])
def test_scan_says_what_was_cut_off(journal: Journal, tmp_path: Path, first: int) -> None:
    journal.append(records(b"first", b"second"))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-1])

    (damage,) = [found for found in scan_journal(path, RING, first) if isinstance(found, JournalDamage)]

    assert (damage.is_cut_off, damage.position) == (True, JournalPosition(NAME, 2))


def test_scan_goes_on_behind_an_altered_record(journal: Journal, tmp_path: Path) -> None:
    journal.append(records(b"first", b"second", b"third"))
    path = tmp_path / NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    found = list(scan_journal(path, RING))

    assert [isinstance(one, JournalDamage) for one in found] == [False, True, False]


def test_place_of_a_later_day_is_greater() -> None:
    assert JournalPosition("2026-11-03.node.journal", 1) > JournalPosition("2026-11-02.node.journal", 9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAME, (NOON.date(), "node")),
        ("2026-11-02.a.b.journal", (NOON.date(), "a.b")),
        ("2026-11-02.journal", None),
        ("2026-13-02.node.journal", None),
        ("2026-11-02.node.journal.gz", None),
        ("notes", None),
    ],
)
def test_files_of_the_journal_are_known_by_their_names(name: str, expected: object) -> None:
    assert file_of(Path(name)) == expected
