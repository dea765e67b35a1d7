"""What every command shares: where the data is, and a way to run operations on it beside the server."""

import getpass
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from muster.bootstrap.data_directory import Surroundings, open_engine, read_key_ring
from muster.bootstrap.journaling import open_journal
from muster.bootstrap.profiles import enrollment_terms
from muster.bootstrap.runner import EngineRunner, make_context
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.domain.access import SERVER, Actor, ActorKind
from muster.domain.errors import Refusal
from muster.domain.roles import Role
from muster.operations.context import Context
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.first_start import check_key_ring
from muster.settings import Settings, read_settings
from muster.storage import installations, migrate
from muster.storage.engine import Transaction

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The server's data directory.", envvar="MUSTER_DATA_DIR")
]
Database = Annotated[
    str | None, typer.Option("--database", help="postgresql:// URL, where the data is not in the data directory.")
]
KeyRingFile = Annotated[Path | None, typer.Option("--key-ring", help="File with the sealing keys.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Connection:
    """The server's data, opened for one command."""

    def __init__(self, settings: Settings, runner: EngineRunner) -> None:
        self.settings = settings
        self._runner = runner
        self._actor = Actor(ActorKind.COMMAND_LINE, f"{getpass.getuser()}@{socket.gethostname()}", Role.OWNER)

    def run(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]],
        item: Item,
    ) -> Outcome:
        """Run *operation* on one item. Raises CommandRefused when it refuses."""
        outcome = self._runner.write_now(lambda tx, items, ctx: list(operation(tx, items, ctx)), [item], self._actor)[0]
        if isinstance(outcome, Refusal):
            raise CommandRefused(outcome)
        return outcome

    def run_all(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        items: Sequence[Item],
    ) -> list[Outcome]:
        """Run *operation* on *items* in one transaction; refusals are among the outcomes."""
        return self._runner.write_now(lambda tx, some, ctx: list(operation(tx, some, ctx)), items, self._actor)

    def view(self, view: Callable[[Transaction], T]) -> T:
        """Read."""
        return self._runner.read_now(view)

    def terms(self) -> EnrollmentTerms:
        """What enrollment profiles say: as set, else as the running server announced it."""
        return enrollment_terms(self.settings, self.view(installations.read))

    @property
    def runner(self) -> EngineRunner:
        """What runs operations, for those that take more than one transaction."""
        return self._runner

    @property
    def now(self) -> datetime:
        """The present time, aware UTC."""
        return self._runner.now()


@contextmanager
def connect(data_dir: Path | None, database: str | None, key_ring: Path | None) -> Iterator[Connection]:
    """Open the server's data.

    Raises SettingsError, CommandFailed where there is no data yet, Unavailable, SchemaOutdated, WrongKeyRing.
    """
    settings = read_settings({"data_dir": data_dir, "database": database, "key_ring": key_ring})
    if settings.database is None and not settings.database_path.exists():
        raise CommandFailed(
            f"there is no Muster database in {settings.data_dir}",
            remedy="Run `muster init` or `muster serve` with this --data-dir, or name the right one.",
            code=ExitCode.ABSENT,
        )
    around = Surroundings()
    ring = read_key_ring(settings.key_ring_path)
    engine = open_engine(settings, connections=1)
    writing = ThreadPoolExecutor(1, "journal")
    journal = open_journal(settings, around, ring, writing, part=f"-cli-{os.getpid()}")
    try:
        migrate.check_schema(engine)
        context = make_context(settings, around, ring)
        runner = EngineRunner(engine, None, context, journal=journal)
        engine.read(lambda tx: check_key_ring(tx, context(SERVER)))
        yield Connection(settings, runner)
    finally:
        journal.close()
        writing.shutdown()
        engine.close()
