"""Orders to everyone whom a query finds: they are seen through part by part, and who was left out is told."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol, TypeVar

from muster.storage.sends import LeftOut

pause = time.sleep

WAIT_SECONDS: Final = 0.02
"""Between parts: the server's transactions come in between, for SQLite lets nobody wait in line."""
OTHERS_WAIT_SECONDS: Final = 0.2
"""While a node of the server is at a part."""


class OrderToMany(Protocol):
    """How far an order is."""

    @property
    def matched(self) -> int:
        """How many it was meant for."""
        ...

    @property
    def reached(self) -> int:
        """How many were looked at."""
        ...

    @property
    def finished_at(self) -> datetime | None:
        """When all was done; None before."""
        ...

    @property
    def stopped_because(self) -> str | None:
        """Why it ended before its end."""
        ...


Order = TypeVar("Order", bound=OrderToMany)


def see_through(order: Order, look: Callable[[], Order], part: Callable[[], Order | None], *, is_shown: bool) -> Order:
    """Do *part* after part until all is done, in turns with the server where it runs.

    Where *part* has none to do, for a node of the server has one in hand or has done the last one, *look* tells how
    far it is.
    """
    while order.finished_at is None:
        progress = part()
        if progress is None:
            pause(OTHERS_WAIT_SECONDS)
            progress = look()
        elif progress.finished_at is None:
            pause(WAIT_SECONDS)
        order = progress
        if is_shown:
            print(f"\r{order.reached:,} of {order.matched:,}", end="", file=sys.stderr, flush=True)
    if is_shown:
        print(file=sys.stderr)
    return order


def nothing() -> None:
    """Do no part: the server does them."""


def tell_left_out(refused: Mapping[str, LeftOut]) -> None:
    """Tell how many were left out for each reason, and an example."""
    for code, one in refused.items():
        print(f"{one.count:,} left out ({code}), such as:", file=sys.stderr)
        for line in one.example.splitlines():
            print(f"  {line}", file=sys.stderr)


def state_of(order: OrderToMany) -> str:
    """Tell in a word how an order stands."""
    if order.stopped_because is not None:
        return "stopped"
    return "done" if order.finished_at is not None else "under way"
