"""How often an address may show a credential that is none: beyond that none of its is even looked at.

What programs show is looked up in the database, or compared with a key that a person chose; whoever tries out has
either for a while only. It is counted in memory, by each node for itself. What an address showed rightly before is
always looked at, so that whoever guesses behind an office's address shuts none of its programs out.
"""

import hashlib
from collections import OrderedDict
from datetime import datetime
from typing import Final

from muster.domain.enrollment_users import network_of

GUESSES: Final = 30
"""Of an address (IPv6: a /64) at once: a program whose token has ended, tried again and again."""
GUESS_SECONDS: Final = 10
"""After so long it may guess once more: 9,000 a day."""
ADDRESSES: Final = 10_000
"""That are counted at a time; beyond them the oldest are forgotten."""
RIGHT_ONES: Final = 10_000
"""Pairs of an address and what it showed rightly, kept as hashes."""


class Guesses:
    """Counts what is shown, and forgives what was right."""

    def __init__(self) -> None:
        self._forgotten_at: OrderedDict[str, float] = OrderedDict()
        """When all guesses of an address will be forgotten."""
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def wait(self, source: str, shown: bytes, now: datetime) -> int | None:
        """Count what *source* shows before it is looked at. Returns the seconds to wait when it is not to be."""
        if _pair(source, shown) in self._right:
            return None
        network, at = network_of(source), now.timestamp()
        forgotten_at = max(self._forgotten_at.pop(network, at), at)
        debt = forgotten_at + GUESS_SECONDS - at
        is_allowed = debt <= GUESSES * GUESS_SECONDS
        self._keep(network, forgotten_at + GUESS_SECONDS if is_allowed else forgotten_at)
        return None if is_allowed else int(debt - GUESSES * GUESS_SECONDS) + 1

    def was_right(self, source: str, shown: bytes) -> None:
        """Take back what was counted for it, and look at it always from now on."""
        pair = _pair(source, shown)
        if pair not in self._right:
            network = network_of(source)
            if network in self._forgotten_at:
                self._forgotten_at[network] -= GUESS_SECONDS
            self._right[pair] = None
            if len(self._right) > RIGHT_ONES:
                self._right.popitem(last=False)
        else:
            self._right.move_to_end(pair)

    def was_wrong(self, source: str, shown: bytes) -> None:
        """Note that it is right no more: a token that was revoked, or has ended."""
        self._right.pop(_pair(source, shown), None)

    def _keep(self, network: str, forgotten_at: float) -> None:
        self._forgotten_at[network] = forgotten_at
        if len(self._forgotten_at) > ADDRESSES:
            self._forgotten_at.popitem(last=False)


def _pair(source: str, shown: bytes) -> bytes:
    return hashlib.sha256(network_of(source).encode() + b"\0" + shown).digest()
