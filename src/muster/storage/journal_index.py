"""Finds one device's records in a journal of hundreds of days: each file is read once, then only what matters of it."""

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.sealing import KeyRing
from muster.protocol.identifiers import DeviceId
from muster.storage.journal import JournalEntry, JournalRecord, scan_journal
from muster.storage.journal_files import JournalFile, journal_files
from muster.storage.journal_records import IDENTITY


@dataclass(slots=True)
class _Index:
    """Who is spoken of in one file: for each *key* the number of the record, and the byte at which it begins."""

    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    numbers: "array[int]" = field(default_factory=lambda: array("L"))
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    count: int = 0
    """Records that were read so far."""
    ends: int = 0
    """The byte behind them."""

    def note(self, entry: JournalEntry) -> None:
        for key in _keys_of(entry.record):
            self.keys.append(key)
            self.numbers.append(entry.position.count - 1)
            self.places.append(entry.begins)
        self.count, self.ends = entry.position.count, entry.ends

    def find(self, keys: set[int]) -> dict[int, int]:
        """Return the numbers of the records that speak of one of *keys*, and where each begins."""
        if keys.isdisjoint(self.keys):
            return {}
        return {self.numbers[at]: self.places[at] for at, key in enumerate(self.keys) if key in keys}


class JournalIndex:
    """Where the files of *directory* speak of whom, in 24 bytes for each time. Used by one thread at a time."""

    def __init__(self, directory: Path, ring: KeyRing) -> None:
        self._directory = directory
        self._ring = ring
        self._indexes: dict[str, _Index] = {}

    def find(self, devices: Collection[DeviceId], identities: Collection[bytes]) -> list[JournalRecord]:
        """Find what is journaled of *devices*, and of how the *identities* (fingerprints) and theirs were issued.

        In the order of their times. What can't be read is passed over. Raises OSError when a file can't be read.
        """
        files = journal_files([self._directory])
        self._refresh(files)
        wanted = set(devices)
        spoken = self._collect(files, {_key(one.encode()) for one in wanted}, lambda r: device_of(r) in wanted)
        signers = {fingerprint_of(record.certificate_der) for record in spoken if record.certificate_der}
        signers |= set(identities)
        issued = self._collect(
            files,
            {_key(one) for one in signers},
            lambda r: (
                r.message == IDENTITY and fingerprint_of(r.certificate_der) in signers and device_of(r) not in wanted
            ),
        )
        return sorted([*issued, *spoken], key=lambda record: record.at)

    def _refresh(self, files: Sequence[JournalFile]) -> None:
        """Read what was not there the last time."""
        for file in files:
            index = self._indexes.setdefault(file.path.name, _Index())
            for entry in scan_journal(file.path, self._ring, index.count, index.ends):
                if isinstance(entry, JournalEntry):
                    index.note(entry)
        for gone in self._indexes.keys() - {file.path.name for file in files}:
            del self._indexes[gone]

    def _collect(
        self, files: Sequence[JournalFile], keys: set[int], is_wanted: Callable[[JournalRecord], bool]
    ) -> list[JournalRecord]:
        return [record for file in files for record in self._spoken(file, keys) if is_wanted(record)]

    def _spoken(self, file: JournalFile, keys: set[int]) -> Iterator[JournalRecord]:
        for number, begins in self._indexes[file.path.name].find(keys).items():
            entry = next(scan_journal(file.path, self._ring, number, begins), None)
            if isinstance(entry, JournalEntry):
                yield entry.record


def _keys_of(record: JournalRecord) -> Iterator[int]:
    device_id = device_of(record)
    if device_id:
        yield _key(device_id.encode())
    if record.message == IDENTITY:
        yield _key(fingerprint_of(record.certificate_der))


def device_of(record: JournalRecord) -> DeviceId:
    """Name the device a record is about; empty where it is about none, or none is known."""
    return DeviceId(record.channel_id.partition(":")[0])


def _key(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
