"""The pushes of one call on their way: what is still owed, and whom to tell when nothing is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import Push


class Batch:
    """Gathers one receipt for each of its pushes, then hands all of them over at once.

    One call back for a batch, not one for each push: waking an event loop costs more than a push does.
    """

    __slots__ = ("_deliver", "_owed", "_receipts", "credentials", "is_abandoned", "pushes")

    def __init__(
        self, credentials: PushCredentials, pushes: Sequence[Push], deliver: Callable[[list[PushReceipt]], None]
    ) -> None:
        self.credentials = credentials
        self.pushes = pushes
        self.is_abandoned = False
        self._receipts: list[PushReceipt | None] = [None] * len(pushes)
        self._owed = len(pushes)
        self._deliver = deliver

    def abandon(self) -> None:
        """Say that nobody waits any more: what was not begun need not be. Safe from any thread."""
        self.is_abandoned = True

    def settle(self, index: int, receipt: PushReceipt) -> None:
        """Put down the one receipt of push number *index*; the last one delivers them all, in the order of pushes.

        Raises RuntimeError when that push has a receipt already: an outcome would be counted twice.
        """
        if self._receipts[index] is not None:
            raise RuntimeError(f"push {receipt.apns_id} has its receipt already")
        self._receipts[index] = receipt
        self._owed -= 1
        if self._owed == 0:
            self._deliver([receipt for receipt in self._receipts if receipt is not None])


@dataclass(frozen=True, slots=True)
class Errand:
    """One push of a batch, and the number of the attempt it is at, from 1."""

    batch: Batch
    index: int
    attempt: int = 1

    @property
    def push(self) -> Push:
        """The push itself."""
        return self.batch.pushes[self.index]
