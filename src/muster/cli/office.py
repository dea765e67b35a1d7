"""Where a command finds what it asks: in the data beside it, or at a server elsewhere; a command is the same for both.

Each has a keeper. The one beside the data runs views and operations; the one elsewhere asks a server's interface for
programs, which runs the same, and reads back what they returned.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

from muster.cli.acting import ACTING_AS, SERVER, ServerAddress
from muster.cli.errors import CommandFailed, ExitCode
from muster.domain.errors import Refusal
from muster.protocol.identifiers import ChannelId

if TYPE_CHECKING:
    from muster.cli.connection import Connection
    from muster.cli.server_calls import Server
    from muster.operations.context import Context
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


class Office(Protocol):
    """What commands ask, wherever the data is."""

    def ask(self, here: "Callable[[Connection], T]", there: "Callable[[Server], T]") -> T:
        """Return what *here* finds in the data, or *there* at the server: the same, in the same words."""
        ...

    def run(
        self,
        operation: "Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]]",
        item: Item,
    ) -> Outcome:
        """Do *operation* to one item. Raises CommandRefused when it refuses."""
        ...

    def run_all(
        self,
        operation: "Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]]",
        items: Sequence[Item],
    ) -> list[Outcome | Refusal]:
        """Do *operation* to *items*; refusals are among the outcomes."""
        ...

    def channel(self, name: str) -> ChannelId:
        """Return the channel that a person means by *name*: its id, or the serial number of its device.

        A name that nothing has is returned as it is, so that each command says in its own words what it lacks.
        Raises CommandFailed where several devices have that serial number.
        """
        ...

    @property
    def now(self) -> datetime:
        """The present time, aware UTC."""
        ...


@contextmanager
def open_office(data_dir: Path | None, database: str | None, key_ring: Path | None) -> Iterator[Office]:
    """Ask the server that is named, else the data that is here. Raises CommandFailed, and what `connect` raises."""
    address = SERVER.get()
    if address is None:
        from muster.cli.connection import connect  # noqa: PLC0415 - loads the engines

        with connect(data_dir, database, key_ring) as data:
            yield data
        return
    yield _elsewhere(address)


def _elsewhere(address: ServerAddress) -> Office:
    from muster.cli.elsewhere import Elsewhere  # noqa: PLC0415 - for commands alone that go there

    if ACTING_AS.get() is not None:
        raise CommandFailed(
            "--as is for the data that is here; to a server elsewhere, you are whom the token names",
            remedy="Leave --as out, and make a token of that role: `muster tokens create NAME --role ROLE`.",
            code=ExitCode.USAGE,
        )
    return Elsewhere(address)


def several_of(name: str, found: Sequence[str]) -> CommandFailed:
    """Return what is raised where *name* is the serial number of several devices."""
    return CommandFailed(
        f"{name} is the serial number of several: {', '.join(found)}",
        remedy="Name one of them by its id.",
        code=ExitCode.CONFLICT,
    )


def present() -> datetime:
    """Return the present time, aware UTC."""
    return datetime.now(UTC)
