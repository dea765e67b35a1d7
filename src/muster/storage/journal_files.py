"""Where the journal's files are, read together: several nodes' records in the order of their times."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from muster.crypto.sealing import KeyRing
from muster.storage.journal import JournalDamage, JournalEntry, JournalPosition, count_records, file_of, scan_journal


@dataclass(frozen=True, slots=True)
class JournalFile:
    """One node's journal of one day."""

    path: Path
    day: date
    node: str


def journal_files(directories: Iterable[Path]) -> tuple[JournalFile, ...]:
    """Find the journal's files in *directories*, by node and day; a directory that isn't there has none.

    A file that is in two of them, by its name, is taken from the first.
    """
    found: dict[str, JournalFile] = {}
    for directory in directories:
        for path in sorted(directory.glob("*")) if directory.is_dir() else ():
            named = file_of(path)
            if named is not None:
                found.setdefault(path.name, JournalFile(path, *named))
    return tuple(sorted(found.values(), key=lambda file: (file.node, file.path.name)))


def remove_old_files(directory: Path, before: date) -> int:
    """Remove the journal's files of days before *before*; returns how many. Raises OSError when one can't be."""
    old = [file for file in journal_files([directory]) if file.day < before]
    for file in old:
        file.path.unlink(missing_ok=True)
    return len(old)


def read_merged(
    files: Sequence[JournalFile],
    ring: KeyRing,
    *,
    behind: Mapping[str, JournalPosition],
    on_damage: Callable[[JournalDamage], None],
) -> Iterator[JournalEntry]:
    """Read *files* in the order of the records' times; of each node's, what is behind the place in *behind*.

    A node that isn't there is read from its beginning. What can't be read is told *on_damage*. A node's own order is
    kept even where its clock went back. Raises OSError when a file can't be read.
    """
    nodes: dict[str, list[JournalFile]] = {}
    for file in files:
        nodes.setdefault(file.node, []).append(file)
    streams = [_of_node(of_node, ring, behind.get(node), on_damage) for node, of_node in nodes.items()]
    return heapq.merge(*streams, key=lambda entry: entry.record.at)


def _of_node(
    files: Sequence[JournalFile],
    ring: KeyRing,
    behind: JournalPosition | None,
    on_damage: Callable[[JournalDamage], None],
) -> Iterator[JournalEntry]:
    for file in files:
        first = 0
        if behind is not None:
            if file.path.name < behind.file:
                continue
            first = behind.count if file.path.name == behind.file else 0
            if first > count_records(file.path):
                first = 0  # the file was lost, and begun anew since
        for found in scan_journal(file.path, ring, first):
            if isinstance(found, JournalDamage):
                on_damage(found)
            else:
                yield found
