"""What every command shares: where the data is, and a way to run operations on it beside the server."""

import getpass
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from muster.cli.acting import ACTING_AS
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import several_of
from muster.domain.access import SERVER, Actor, ActorKind
from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.domain.principals import Principal
from muster.domain.roles import Role
from muster.operations.context import Context
from muster.operations.permit import Sight, foreseen, outside, permitted, seen, within_scope
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, people
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds

if TYPE_CHECKING:
    from muster.bootstrap.runner import EngineRunner
    from muster.cli.server_calls import Server
    from muster.operations.enrollment_profiles import EnrollmentTerms
    from muster.settings import Settings

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Connection:
    """The server's data, opened for one command."""

    def __init__(self, settings: "Settings", runner: "EngineRunner") -> None:
        self.settings = settings
        self._runner = runner
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        self._principal = Principal(Actor(ActorKind.COMMAND_LINE, who, Role.OWNER))
        name = ACTING_AS.get()
        if name is not None:
            self._principal = self._acting_as(name, who)

    def _acting_as(self, name: str, who: str) -> Principal:
        known = self._runner.read_now(lambda tx: people.find_administrator(tx, name))
        if known is None or known.disabled_at is not None:
            raise CommandFailed(
                f"there is no administrator {name} who may sign in",
                remedy="See `muster admins list`.",
                code=ExitCode.ABSENT,
            )
        return Principal(Actor(ActorKind.COMMAND_LINE, f"{who} as {name}", known.role), known.groups)

    def ask(self, here: "Callable[[Connection], T]", there: "Callable[[Server], T]") -> T:  # noqa: ARG002 - it is here
        """Return what *here* finds in the data; at a server elsewhere it would be *there*."""
        return here(self)

    def run(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]],
        item: Item,
    ) -> Outcome:
        """Run *operation* on one item. Raises CommandRefused when it refuses."""
        allowed = permitted(self._principal, operation)
        outcome = self._runner.write_now(allowed, [item], self._principal.actor)[0]
        if isinstance(outcome, Refusal):
            raise CommandRefused(outcome)
        return outcome

    def run_all(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        items: Sequence[Item],
    ) -> list[Outcome | Refusal]:
        """Run *operation* on *items* in one transaction; refusals are among the outcomes."""
        return self._runner.write_now(permitted(self._principal, operation), items, self._principal.actor)

    def view(
        self,
        view: Callable[[Transaction], T],
        *,
        about: Iterable[str] | None = None,
        needs: Permission = Permission.SEE,
    ) -> T:
        """Read what is *about* these channels; None: about whoever there is. Raises CommandRefused, as `run` does."""
        return self._see(Sight(lambda tx, _bounds: view(tx), needs, None if about is None else tuple(about)))

    def view_within(self, view: Callable[[Transaction, Bounds | None], T]) -> T:
        """Read of the devices within the bounds that *view* is given."""
        return self._see(within_scope(view))

    def look(self, view: Callable[[Transaction, Context], T], *, about: Iterable[str] | None = None) -> T:
        """Read with what an operation would be given."""

        def read(tx: Transaction, ctx: Context) -> T | Refusal:
            shown = None if about is None else tuple(about)
            sight: Sight[T] = Sight(lambda tx, _bounds: view(tx, ctx), Permission.SEE, shown)
            reader = seen(self._principal, sight, ctx.now)  # by itself, for its type
            return reader(tx)

        return _unless_refused(self._runner.look_now(read, self._principal.actor))

    def foresee(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        item: Item,
        view: Callable[[Transaction, Item], T | Refusal],
    ) -> T:
        """Look by *view* at what *operation* would do to *item*. Raises CommandRefused, as `run` does."""
        look = foreseen(self._principal, operation, item, view, self.now)
        return _unless_refused(self._runner.read_now(look))

    def _see(self, sight: Sight[T]) -> T:
        reader = seen(self._principal, sight, self.now)
        found = self._runner.read_now(reader)
        return _unless_refused(found)

    def channel(self, name: str) -> ChannelId:
        """Return the channel that a person means by *name*: its id, or the serial number of its device.

        A name that nothing has is returned as it is, so that each command says in its own words what it lacks.
        Raises CommandFailed where several devices have that serial number.
        """
        found = self._runner.read_now(lambda tx: _in_scope(tx, self._principal, enrollments.named(tx, name), self.now))
        if len(found) > 1:
            raise several_of(name, found)
        return found[0] if found else ChannelId(name)

    def terms(self) -> "EnrollmentTerms":
        """What enrollment profiles say: as set, else as the running server announced it."""
        from muster.bootstrap.profiles import enrollment_terms  # noqa: PLC0415 - most commands need none
        from muster.storage import installations  # noqa: PLC0415 - likewise

        return enrollment_terms(self.settings, self.view(installations.read, about=()))

    @property
    def principal(self) -> Principal:
        """As whom everything is read and done."""
        return self._principal

    @property
    def runner(self) -> "EngineRunner":
        """What runs operations, for those that take more than one transaction."""
        return self._runner

    @property
    def now(self) -> datetime:
        """The present time, aware UTC."""
        return self._runner.now()


def _unless_refused(found: T | Refusal) -> T:
    if isinstance(found, Refusal):
        raise CommandRefused(found)
    return found


def _in_scope(
    tx: Transaction, principal: Principal, found: Sequence[ChannelId], now: datetime
) -> tuple[ChannelId, ...]:
    return tuple(one for one in found if outside(tx, principal, [one], now) is None)


@contextmanager
def connect(data_dir: Path | None, database: str | None, key_ring: Path | None) -> Iterator[Connection]:
    """Open the server's data.

    Raises SettingsError, CommandFailed where there is no data yet, Unavailable, SchemaOutdated, WrongKeyRing.
    """
    # what opens the data, and what is settled about it, is loaded for no command that asks a server elsewhere
    from muster.bootstrap.data_directory import Surroundings, open_engine, read_key_ring  # noqa: PLC0415
    from muster.bootstrap.journaling import open_journal  # noqa: PLC0415
    from muster.bootstrap.runner import EngineRunner, make_context  # noqa: PLC0415
    from muster.operations.first_start import check_key_ring  # noqa: PLC0415
    from muster.settings import read_settings  # noqa: PLC0415
    from muster.storage import migrate  # noqa: PLC0415

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
