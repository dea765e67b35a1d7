"""What operations need from the world outside, as the protocols which bootstrap fills in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, TypeVar

from muster.domain.access import SERVER, Actor
from muster.domain.webhooks import Address
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


@dataclass(frozen=True, slots=True)
class PublicFace:
    """What whoever comes to our public address meets now, as a device does.

    *failure*: why there was no answer; empty where there was one, whatever it said. *fingerprint* (SHA-256) and
    *not_after* are of the TLS certificate, absent without TLS or before one was met. *clock_error*: how far our clock
    is ahead of that of who answered; absent where it didn't tell.
    """

    failure: str = ""
    fingerprint: bytes | None = None
    not_after: datetime | None = None
    clock_error: timedelta | None = None


PublicTest = Callable[[], Awaitable[PublicFace]]
"""Looks at our public address, from outside where that can be. Raises nothing: what goes wrong is a failure."""


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


@dataclass(frozen=True, slots=True)
class EventRequest:
    """One POST to somebody who is told. *allows_private*: it may go to an address that is not a public one."""

    address: Address
    content_type: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    allows_private: bool = False


@dataclass(frozen=True, slots=True)
class EventAnswer:
    """What became of a request: the *status* of HTTP, or, where there is none, *error*.

    *reply*: the beginning of what the body says. *retry_after_seconds*: for so long nothing more is wanted.
    """

    status: int | None
    error: str = ""
    reply: str = ""
    retry_after_seconds: int | None = None


class EventSender(Protocol):
    """Sends requests to those who are told."""

    async def send(self, request: EventRequest) -> EventAnswer:
        """Send *request* once. What the network or the receiver does is an answer, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class ProviderQuestion:
    """What an identity provider is asked: *challenge* is the verifier's, by S256 (RFC 7636, 4.2)."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    challenge: str
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What a browser brought back from the provider, and what was kept meanwhile. *issuer*: as the browser brought it
    (RFC 9207), absent where the provider doesn't say."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    redirect_uri: str
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """Whom a provider knows somebody to be: *subject* for good, *name* and *groups* as they are now."""

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]


class ProviderFailed(Exception):
    """The identity provider can't be reached, or what it says is not good; the message has no secret."""


class IdentityProvider(Protocol):
    """Knows administrators, and their groups."""

    name: str
    """What people call it."""

    async def authorization_url(self, question: ProviderQuestion) -> str:
        """Return where the browser is sent to. Raises ProviderFailed."""
        ...

    async def identify(self, answer: ProviderAnswer) -> ProviderIdentity:
        """Return whom the provider let in; everything that it says was checked. Raises ProviderFailed."""
        ...
