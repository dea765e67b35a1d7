"""The keeper of data elsewhere: what a command asks, it asks a server's interface for programs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from muster.cli import office
from muster.cli.acting import ServerAddress
from muster.cli.errors import CommandRefused
from muster.cli.server_acts import ACTS
from muster.cli.server_calls import Server, at
from muster.domain.errors import Refusal
from muster.protocol.identifiers import ChannelId

if TYPE_CHECKING:
    from muster.cli.connection import Connection
    from muster.operations.context import Context
    from muster.storage.engine import Transaction

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Elsewhere:
    """An office whose data is at a server."""

    def __init__(self, address: ServerAddress) -> None:
        self._server = Server(address)

    def ask(self, here: "Callable[[Connection], T]", there: Callable[[Server], T]) -> T:  # noqa: ARG002 - nothing is here
        """Return what *there* finds at the server."""
        return there(self._server)

    def run(
        self,
        operation: "Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome | Refusal]]",
        item: Item,
    ) -> Outcome:
        """Have the server do *operation* to one item. Raises CommandRefused when it refuses."""
        order = ACTS[name_of(operation)](item)
        kind = outcome_of(operation)
        done: Outcome = self._server.outcome(order, kind)
        return done

    def run_all(
        self,
        operation: "Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]]",
        items: Sequence[Item],
    ) -> list[Outcome | Refusal]:
        """Have the server do *operation* to *items*, one after the other; refusals are among the outcomes."""
        outcomes: list[Outcome | Refusal] = []
        for item in items:
            try:
                outcomes.append(self.run(operation, item))
            except CommandRefused as error:
                outcomes.append(error.refusal)
        return outcomes

    def channel(self, name: str) -> ChannelId:
        """Ask the server whom a person means by *name*."""
        found = self._server.get(at("names", name), tuple[ChannelId, ...])
        if len(found) > 1:
            raise office.several_of(name, found)
        return found[0] if found else ChannelId(name)

    @property
    def now(self) -> datetime:
        """The present time by this machine's clock."""
        return office.present()


def name_of(operation: Callable[..., object]) -> str:
    """Return what an operation is called: its module's name, and its own."""
    return f"{operation.__module__.rpartition('.')[2]}.{operation.__name__}"


def outcome_of(operation: Callable[..., object]) -> Any:
    """Return the type of what an operation returns for an item that it does not refuse."""
    [outcome] = get_args(get_type_hints(operation)["return"])
    if get_origin(outcome) not in (Union, UnionType):
        return outcome
    kinds = [one for one in get_args(outcome) if one is not Refusal]
    return kinds[0] if len(kinds) == 1 else outcome
