"""What operations need from the world outside, as the protocols which bootstrap fills in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from muster.domain.access import SERVER, Actor
from muster.operations.context import Context
from muster.protocol.apns import Push, PushOutcome
from muster.storage.engine import Transaction
from muster.storage.journal import JournalPosition, JournalRecord

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class PushCredentials:
    """One push certificate with its key, as needed to speak for its topic.

    *topic* is the UID of the certificate's subject; *certificate_pem* holds the certificate and any intermediates after
    it; *key_pem* is not encrypted and stays out of `repr`; *fingerprint* is the SHA-256 of the certificate's DER, 32
    bytes. Not checked here: that the four belong together.
    """

    topic: str
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    fingerprint: bytes


class PushReceipt(NamedTuple):
    """What became of one push: exactly one receipt is made for each push handed to a sender.

    *latency_seconds* is how long the attempt took that gave this outcome; waiting before it is not counted. *attempts*
    is how often it may have reached APNs: a device may be woken so often, and there is one outcome all the same.
    """

    apns_id: str
    outcome: PushOutcome
    latency_seconds: float
    attempts: int = 1


class PushSender(Protocol):
    """Sends pushes to APNs."""

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        """Begin to send *pushes*. *settle* is called exactly once for each, on the calling event loop, in any order.

        It may be called before this returns. What the network or APNs does is an outcome, never an exception. A push
        whose answer got lost may wake its device twice and still has one receipt. Raises RuntimeError after `close`.
        """
        ...

    async def close(self) -> None:
        """Let go of connections, after settling what has no outcome yet as `no_answer`. May be repeated."""


class UserDirectory(Protocol):
    """Knows the passwords of network users who log in to Macs."""

    async def find_key(self, user_name: str) -> str | None:
        """Return what it keeps of a user's password in its realm (`user_digest.digest_key`); None: no such user.

        Raises Unavailable when it can't tell.
        """
        ...


class Runner(Protocol):
    """Runs operations and views for the edges: off the event loop, in a transaction, circumstances filled in."""

    async def write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation* over *items* in one transaction; returns its outcomes, in order, after the commit.

        Raises Unavailable when the database can't be reached.
        """

    async def read(self, view: Callable[[Transaction], T]) -> T:
        """Run *view* in a transaction that may only read. Raises Unavailable when the database can't be reached."""

    def now(self) -> datetime:
        """Return the time that operations are given: aware UTC, virtual in the laboratory."""


JournalWriter = Callable[[Sequence[JournalRecord]], Awaitable[JournalPosition | None]]
"""Writes records to the journal and returns, when they would survive a power cut, the place behind the last one; None
when there are none. Raises Unavailable when it can't."""
