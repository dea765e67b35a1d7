"""Finds one device's records in a journal of hundreds of days: reads each file once, then only those that matter."""

import hashlib
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.sealing import KeyRing
from muster.protocol.identifiers import DeviceId
from muster.storage.journal import JournalEntry, JournalRecord, scan_journal
from muster.storage.journal_files import JournalFile, journal_files
from muster.storage.journal_records import IDENTITY


class JournalIndex:
    """Of which devices and identities each file of *directory* speaks, in eight bytes. Used by one thread at a time."""

    def __init__(self, directory: Path, ring: KeyRing) -> None:
        self._directory = directory
        self._ring = ring
        self._counts: dict[str, int] = {}
        self._keys: dict[str, array[int]] = {}

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
        for file in files:
            first = self._counts.get(file.path.name, 0)
            keys = self._keys.setdefault(file.path.name, array("Q"))
            for entry in self._entries(file, first):
                self._counts[file.path.name] = entry.position.count
                record = entry.record
                device_id = device_of(record)
                if device_id:
                    keys.append(_key(device_id.encode()))
                if record.message == IDENTITY:
                    keys.append(_key(fingerprint_of(record.certificate_der)))
        for gone in self._keys.keys() - {file.path.name for file in files}:
            del self._keys[gone]

    def _collect(
        self, files: Sequence[JournalFile], keys: set[int], is_wanted: Callable[[JournalRecord], bool]
    ) -> list[JournalRecord]:
        return [
            entry.record
            for file in files
            if not keys.isdisjoint(self._keys[file.path.name])
            for entry in self._entries(file, 0)
            if is_wanted(entry.record)
        ]

    def _entries(self, file: JournalFile, first: int) -> Iterator[JournalEntry]:
        return (one for one in scan_journal(file.path, self._ring, first) if isinstance(one, JournalEntry))


def device_of(record: JournalRecord) -> DeviceId:
    """Name the device a record is about; empty where it is about none, or none is known."""
    return DeviceId(record.channel_id.partition(":")[0])


def _key(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest())
