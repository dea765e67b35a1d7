"""The journal of one process: written on a thread of its own, and told how far the database has come."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime

from muster.bootstrap.data_directory import Surroundings
from muster.crypto.sealing import KeyRing
from muster.settings import Settings
from muster.storage.errors import Unavailable
from muster.storage.journal import Journal, JournalPosition, JournalRecord
from muster.storage.journal_records import processed_record

JOURNAL = "journal"
"""The journal's directory, in the data directory."""


def open_journal(
    settings: Settings, around: Surroundings, ring: KeyRing, executor: Executor, *, part: str = ""
) -> "NodeJournal":
    """Open this node's journal; *part* tells a process beside the server from it. Nothing is made before a record."""
    journal = Journal(
        settings.data_dir / JOURNAL,
        node=node_name(settings) + part,
        ring=ring,
        random_bytes=around.random_bytes,
        durable=around.durable,
    )
    return NodeJournal(journal, executor, around.now)


def node_name(settings: Settings) -> str:
    """Return the node's name: as set, else the host's, in the characters that file names take."""
    name = settings.node or socket.gethostname()
    kept = "".join(character if character.isalnum() or character in "-_" else "-" for character in name)[:64]
    return f"{kept}-{os.getpid()}" if settings.workers > 1 else kept


class NodeJournal:
    """Writes *journal* on *executor*, which has one thread. Each record says how far the database was known to be."""

    def __init__(self, journal: Journal, executor: Executor, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._executor = executor
        self._now = now
        self._processed: JournalPosition | None = None
        self._said: JournalPosition | None = None

    async def write(self, records: Sequence[JournalRecord]) -> JournalPosition | None:
        """Write *records*; see operations.ports.JournalWriter."""
        said = self._processed
        position = await asyncio.get_running_loop().run_in_executor(self._executor, self._append, records, said)
        self._said = said
        return position

    def write_now(self, records: Sequence[JournalRecord]) -> None:
        """Write *records* and wait for it, off any event loop. Raises Unavailable when the disk refuses."""
        self._executor.submit(self._append, records, self._processed).result()

    def note_processed(self, position: JournalPosition) -> None:
        """Take note that the database has taken the journal in up to *position*, and committed."""
        self._processed = position

    def close(self) -> None:
        """Write down how far the database has come, if no record said so, and close the file."""
        self._executor.submit(self._close).result()

    def _append(self, records: Sequence[JournalRecord], processed: JournalPosition | None) -> JournalPosition | None:
        try:
            return self._journal.append(records, processed)
        except OSError as error:
            raise Unavailable(f"the journal can't be written: {error}") from error

    def _close(self) -> None:
        try:
            if self._processed is not None and self._processed != self._said:
                self._journal.append([processed_record(self._now())], self._processed)
        except OSError:
            pass  # it would have told a database restored later that it is old; nothing was promised by it
        finally:
            self._journal.close()
