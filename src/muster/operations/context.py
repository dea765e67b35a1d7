"""What every operation is given beside its items: the time, randomness, the actor, the limits."""

from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from random import Random
from typing import Protocol
from uuid import UUID

from muster.crypto.keys import RSAPrivateKey, generate_rsa_key
from muster.crypto.sealing import KeyRing, associated_data
from muster.domain.access import Actor
from muster.domain.policy import Policy
from muster.protocol.records import record
from muster.storage.types import to_microseconds


class Present(Protocol):
    """What of a context is enough to judge: views have no more."""

    @property
    def now(self) -> datetime:
        """The time, aware UTC."""

    @property
    def policy(self) -> Policy:
        """The limits."""


@record(frozen=True, slots=True)
class Reading:
    """The circumstances of a view."""

    now: datetime
    policy: Policy


@record(frozen=True, slots=True)
class Context:
    """The circumstances of one call of an operation.

    *now* is aware UTC. *random_bytes* returns that many unpredictable bytes (repeatable ones in the laboratory),
    *new_rsa_key* a key of that many bits (a published one in the laboratory). *node* names the process, in evidence.
    """

    now: datetime
    actor: Actor
    policy: Policy
    ring: KeyRing = field(repr=False)
    random_bytes: Callable[[int], bytes] = field(repr=False)
    node: str = "node"
    new_rsa_key: Callable[[int], RSAPrivateKey] = field(default=generate_rsa_key, repr=False)

    def new_id(self) -> str:
        """Return a fresh UUIDv7 (RFC 9562, 5.7) as text; those made later sort later, to the millisecond."""
        milliseconds = to_microseconds(self.now) // 1000
        random = int.from_bytes(self.random_bytes(10), "big")
        value = milliseconds << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
        return str(UUID(int=value))

    def dice(self) -> Random:
        """Return a generator for a batch's many draws that are no secret: names of pushes, pauses.

        Each of *random_bytes* is a system call in which Python lets another thread go first.
        """
        return Random(int.from_bytes(self.random_bytes(16), "big"))  # noqa: S311 - as said, no secret

    def jitter(self) -> float:
        """Return a number from 0 to 1, by which things that would happen at one time are kept apart."""
        return int.from_bytes(self.random_bytes(2), "big") / 0xFFFF

    def seal(self, secret: bytes, *, table: str, column: str, row: str) -> bytes:
        """Seal *secret* for the column and row it will be stored in; elsewhere it does not open."""
        return self.ring.seal(secret, associated_data(table, column, row), self.random_bytes)

    def open(self, sealed: bytes, *, table: str, column: str, row: str) -> bytes:
        """Open what `seal` sealed for the same column and row.

        Raises CannotDecrypt when it was altered or moved, UnknownSealingKey when its key is not in the ring.
        """
        return self.ring.open(sealed, associated_data(table, column, row))
