"""Tries to sign in to the console are counted before they are looked at, and taken back where they were right."""

import hashlib
from datetime import datetime

from muster.domain.enrollment_users import network_of
from muster.domain.errors import Refusal
from muster.domain.sign_in_limits import WINDOW, Way, may_try
from muster.operations.context import Context
from muster.storage import enrollment_users
from muster.storage.engine import Transaction


def count_address(tx: Transaction, way: Way, source: str, ctx: Context) -> Refusal | None:
    """Count a try of an address by one way in; the refusal where there were too many.

    Each way has its own count: whoever guesses at passwords behind the same address closes no other way.
    """
    return may_try(0, enrollment_users.count_attempt(tx, _address(way, source), ctx.now, WINDOW))


def forgive_address(tx: Transaction, way: Way, source: str) -> None:
    """Take a try of an address back: it was right."""
    enrollment_users.forgive_attempt(tx, _address(way, source))


def count_try(tx: Transaction, name: str, source: str, ctx: Context) -> Refusal | None:
    """Count a try of an address and for a name, be there an administrator of it or not; as above.

    An address that is refused counts for no name: it shuts none, and leaves nothing behind for each that it makes up.
    """
    refusal = count_address(tx, Way.PASSWORD, source, ctx)
    if refusal is not None:
        return refusal
    return may_try(enrollment_users.count_attempt(tx, _name(name), ctx.now, WINDOW), 0)


def is_shut(tx: Transaction, way: Way, source: str, now: datetime) -> Refusal | None:
    """Tell by reading alone that an address had too many tries; None: it may try, which is to be counted.

    Whoever goes on trying costs no transaction that writes, for which devices would wait.
    """
    return may_try(0, enrollment_users.attempts_of(tx, _address(way, source), now) + 1)


def forgive_try(tx: Transaction, name: str, source: str) -> None:
    """Forget the tries for a name that was right, and take the one of its address back."""
    enrollment_users.forget_attempts(tx, _name(name))
    enrollment_users.forgive_attempt(tx, _address(Way.PASSWORD, source))


def _name(name: str) -> bytes:
    return hashlib.sha256(f"administrator {name}".encode()).digest()


def _address(way: Way, source: str) -> bytes:
    return hashlib.sha256(f"console {way.value} {network_of(source)}".encode()).digest()
