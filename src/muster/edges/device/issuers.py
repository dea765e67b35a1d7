"""Whether an identity is one of ours, told before the transaction: strangers cost no batch and no line of the journal.

Nearly always the key of one of our authorities signed the certificate, which is remembered. Only for others is the
database asked, for a bound identity stays good whoever issued it: an authority that another node has just made, or one
that is gone.
"""

from collections.abc import Callable
from functools import partial

from muster.crypto.certificates import is_issued_by
from muster.crypto.errors import CryptoError
from muster.edges.device.presented import MessagePolicy, Presented
from muster.operations.ports import Runner
from muster.operations.views.identities import is_known_identity

REMEMBERED = 8192
"""Identities of others that were found in the database: 64 bytes each. Those not found are not remembered, for one may
be issued by another node, or come back with a restored database, at any moment."""


class Issuers:
    """Tells known identities from strangers'. *lookups* reads beside the hot path, not in its way."""

    def __init__(self, lookups: Runner, policy: Callable[[], MessagePolicy]) -> None:
        self._lookups = lookups
        self._policy = policy
        self._found: dict[bytes, None] = {}

    async def know(self, presented: Presented) -> bool:
        """Tell whether an authority of ours issued the certificate, or the database has it. Raises Unavailable."""
        return self.issued(presented.certificate_der) or await self._is_kept(presented.fingerprint)

    def issued(self, certificate_der: bytes) -> bool:
        """Tell whether an authority of ours issued a certificate."""
        try:
            return any(is_issued_by(certificate_der, authority) for authority in self._policy().authorities_der)
        except CryptoError:
            return False

    async def _is_kept(self, fingerprint: bytes) -> bool:
        if fingerprint in self._found:
            return True
        if not await self._lookups.read(partial(is_known_identity, fingerprint=fingerprint)):
            return False
        if len(self._found) >= REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[fingerprint] = None
        return True
