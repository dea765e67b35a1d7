"""The journal: raw check-ins as they came, outside the database, so that restoring an old backup loses none.

One file a node and day under `journal/`, records appended and fsynced before the transaction. Each record is four
bytes of length, big-endian, then a sealed JSON object; its associated data is the file's name and the record's
number, so that none can be moved, left out in the middle, or read without the key ring.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from muster.crypto.errors import CryptoError
from muster.crypto.sealing import KeyRing, associated_data

MAXIMUM_RECORD_BYTES = 32 * 1024 * 1024
"""Above any message that is accepted, in base64; what claims to be longer is damage."""
SUFFIX = ".journal"
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One check-in as it came. *certificate_der* signed it; *message* is its MessageType.

    What is kept beside check-ins has the same form, with words of its own: see `muster.storage.journal_records`.
    """

    at: datetime
    channel_id: str
    message: str
    certificate_der: bytes
    source: str
    body: bytes
    beside: bytes | None = None
    """SHA-256 of another certificate that the connection presented, where it is not the signer's."""


@dataclass(frozen=True, slots=True, order=True)
class JournalPosition:
    """A place in one node's journal: so many records of *file*, and all its files before. Later places are greater."""

    file: str
    count: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A record where it stands: *position* is right behind it; it takes the bytes from *begins* to *ends* of its file.

    *processed* is how far the database had taken the journal in, committed, when the record was written; None where
    the writer didn't know.
    """

    record: JournalRecord
    position: JournalPosition
    begins: int
    ends: int
    processed: JournalPosition | None = None


@dataclass(frozen=True, slots=True)
class JournalDamage:
    """A record that can't be read, with why. What follows one that was altered is read; what is cut off is not."""

    position: JournalPosition
    reason: str
    is_cut_off: bool = False
    """The file ends in the middle of it: what a crash leaves, promised to nobody."""


class Journal:
    """The journal of one node, in *directory*. Used by one thread at a time."""

    def __init__(
        self, directory: Path, *, node: str, ring: KeyRing, random_bytes: Callable[[int], bytes], durable: bool = True
    ) -> None:
        self._directory = directory
        self._node = node
        self._ring = ring
        self._random_bytes = random_bytes
        self._durable = durable
        self._descriptor: int | None = None
        self._name = ""
        self._count = 0

    def append(
        self, records: Sequence[JournalRecord], processed: JournalPosition | None = None
    ) -> JournalPosition | None:
        """Write *records* and force them to disk, all with one fsync; returns when they would survive a power cut.

        Returns the place behind the last one; None when there are none. *processed* is how far the database is known
        to have come, and stands in each record.

        Raises OSError when the disk refuses; nothing may then be promised to the device. What was half written goes
        when the file is opened again, for the next record.
        """
        try:
            for record in records:
                descriptor = self._open_for(record.at)
                sealed = self._ring.seal(
                    _encode(record, processed), _place(self._name, self._count), self._random_bytes
                )
                _write_all(descriptor, len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
                self._count += 1
            self._force_to_disk()
        except OSError:
            self.close()
            raise
        return JournalPosition(self._name, self._count) if records else None

    def close(self) -> None:
        """Close the file in use."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._name = ""

    def _open_for(self, at: datetime) -> int:
        name = f"{at.astimezone(UTC):%Y-%m-%d}.{self._node}{SUFFIX}"
        if self._descriptor is not None and name == self._name:
            return self._descriptor
        self._force_to_disk()
        self.close()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / name
        whole, self._count = _whole_length(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._descriptor, self._name = descriptor, name
        # what a crash left half written at the end was never promised to anybody
        os.ftruncate(descriptor, whole)
        os.lseek(descriptor, whole, os.SEEK_SET)
        _sync_directory(self._directory)
        return descriptor

    def _force_to_disk(self) -> None:
        if self._descriptor is not None and self._durable:
            os.fsync(self._descriptor)


def read_journal(path: Path, ring: KeyRing) -> Iterator[JournalRecord]:
    """Read one file's records in order, up to what a crash left half written at its end.

    Raises CannotDecrypt when a record was altered or moved, UnknownSealingKey when the ring lacks its key.
    """
    with path.open("rb") as file:
        number = 0
        while (sealed := _read_record(file)) is not None:
            yield _decode(json.loads(ring.open(sealed, _place(path.name, number))))
            number += 1


def scan_journal(
    path: Path, ring: KeyRing, first: int = 0, begins: int | None = None
) -> Iterator[JournalEntry | JournalDamage]:
    """Read one file's records in order, from the record number *first* on, and say of what can't be read why.

    *begins* is the byte at which that record begins; where it isn't known, those before are passed over one by one.
    The file may be in use: what is appended meanwhile may come or not. Raises OSError when it can't be opened or read.
    """
    with path.open("rb") as file:
        number = 0
        if begins is not None:
            file.seek(begins)
            number = first
        while True:
            position = JournalPosition(path.name, number + 1)
            start = file.tell()
            sealed = _skip_record(file) if number < first else _read_record(file)
            if sealed is None:
                if file.seek(0, os.SEEK_END) > start:
                    yield JournalDamage(position, "the file ends in the middle of it", is_cut_off=True)
                return
            if number >= first:
                yield _entry(sealed, position, start, ring)
            number += 1


def count_records(path: Path) -> int:
    """Count a file's whole records, without opening them. Raises OSError when it can't be read."""
    return _whole_length(path)[1]


def file_of(path: Path) -> tuple[date, str] | None:
    """Tell of which day and node a file of the journal is, by its name; None when it is none."""
    day, _, node = path.name.removesuffix(SUFFIX).partition(".")
    if not path.name.endswith(SUFFIX) or not node:
        return None
    try:
        return date.fromisoformat(day), node
    except ValueError:
        return None


def _entry(sealed: bytes, position: JournalPosition, begins: int, ring: KeyRing) -> JournalEntry | JournalDamage:
    try:
        fields = json.loads(ring.open(sealed, _place(position.file, position.count - 1)))
        processed = fields.get("processed")
        return JournalEntry(
            _decode(fields),
            position,
            begins,
            begins + _LENGTH_BYTES + len(sealed),
            None if processed is None else JournalPosition(*processed),
        )
    except CryptoError as error:
        return JournalDamage(position, str(error))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return JournalDamage(position, f"it is not of this version: {type(error).__name__}")


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _place(name: str, number: int) -> bytes:
    return associated_data("journal", name, str(number))


def _encode(record: JournalRecord, processed: JournalPosition | None) -> bytes:
    return json.dumps(
        {
            "at": record.at.isoformat(),
            "channel_id": record.channel_id,
            "message": record.message,
            "certificate": base64.b64encode(record.certificate_der).decode(),
            "source": record.source,
            "body": base64.b64encode(record.body).decode(),
            "beside": None if record.beside is None else record.beside.hex(),
            "processed": None if processed is None else [processed.file, processed.count],
        }
    ).encode()


def _decode(fields: dict[str, Any]) -> JournalRecord:
    return JournalRecord(
        datetime.fromisoformat(fields["at"]),
        fields["channel_id"],
        fields["message"],
        base64.b64decode(fields["certificate"]),
        fields["source"],
        base64.b64decode(fields["body"]),
        None if fields.get("beside") is None else bytes.fromhex(fields["beside"]),
    )


def _read_record(file: BinaryIO) -> bytes | None:
    head = file.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    if length > MAXIMUM_RECORD_BYTES:
        return None
    sealed = file.read(length)
    return sealed if len(sealed) == length else None


def _skip_record(file: BinaryIO) -> bytes | None:
    """Pass over a record; None when the file doesn't hold it whole."""
    head = file.read(_LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    if len(head) < _LENGTH_BYTES or length > MAXIMUM_RECORD_BYTES:
        return None
    remaining = os.fstat(file.fileno()).st_size - file.tell()
    if remaining < length:
        return None
    file.seek(length, os.SEEK_CUR)
    return b""


def _whole_length(path: Path) -> tuple[int, int]:
    """Return how many bytes of *path* are whole records, and how many records they are."""
    length = count = 0
    if path.exists():
        with path.open("rb") as file:
            while _skip_record(file) is not None:
                length = file.tell()
                count += 1
    return length, count


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
