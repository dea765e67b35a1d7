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
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from muster.crypto.sealing import KeyRing, associated_data

MAXIMUM_RECORD_BYTES = 32 * 1024 * 1024
"""Above any message that is accepted, in base64; what claims to be longer is damage."""
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One check-in as it came. *certificate_der* signed it; *message* is its MessageType."""

    at: datetime
    channel_id: str
    message: str
    certificate_der: bytes
    source: str
    body: bytes


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

    def append(self, records: Sequence[JournalRecord]) -> None:
        """Write *records* and force them to disk, all with one fsync; returns when they would survive a power cut.

        Raises OSError when the disk refuses; nothing may then be promised to the device. What was half written goes
        when the file is opened again, for the next record.
        """
        try:
            for record in records:
                descriptor = self._open_for(record.at)
                sealed = self._ring.seal(_encode(record), _place(self._name, self._count), self._random_bytes)
                _write_all(descriptor, len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
                self._count += 1
            self._force_to_disk()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file in use."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._name = ""

    def _open_for(self, at: datetime) -> int:
        name = f"{at.astimezone(UTC):%Y-%m-%d}.{self._node}.journal"
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
            yield _decode(ring.open(sealed, _place(path.name, number)))
            number += 1


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _place(name: str, number: int) -> bytes:
    return associated_data("journal", name, str(number))


def _encode(record: JournalRecord) -> bytes:
    return json.dumps(
        {
            "at": record.at.isoformat(),
            "channel_id": record.channel_id,
            "message": record.message,
            "certificate": base64.b64encode(record.certificate_der).decode(),
            "source": record.source,
            "body": base64.b64encode(record.body).decode(),
        }
    ).encode()


def _decode(text: bytes) -> JournalRecord:
    fields = json.loads(text)
    return JournalRecord(
        datetime.fromisoformat(fields["at"]),
        fields["channel_id"],
        fields["message"],
        base64.b64decode(fields["certificate"]),
        fields["source"],
        base64.b64decode(fields["body"]),
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


def _whole_length(path: Path) -> tuple[int, int]:
    """Return how many bytes of *path* are whole records, and how many records they are."""
    length = count = 0
    if path.exists():
        with path.open("rb") as file:
            while (sealed := _read_record(file)) is not None:
                length += _LENGTH_BYTES + len(sealed)
                count += 1
    return length, count


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
