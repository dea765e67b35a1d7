"""Whether an identity is one of ours, told before the transaction: strangers cost no batch and no line of the journal.

Nearly always the key of one of our authorities signed the certificate, which is remembered. Only for others is the
database asked, for a bound identity stays good whoever issued it: an authority that another node has just made, or one
that is gone.
"""

from collections.abc import Callable
from functools import partial

from muster.crypto.certificates import is_issued_by
from muster.crypto.errors import CryptoError
from muster.domain.access import DEVICE
from muster.edges.device.presented import MessagePolicy, Presented
from muster.operations.adopt_enrollments import FirstContact, meet_adopted
from muster.operations.ports import Runner
from muster.operations.views.identities import Acquaintance, acquaintance
from muster.protocol.identifiers import DeviceId

REMEMBERED = 8192
"""Identities of others that were found in the database: 64 bytes each. Those not found are not remembered, for one may
be issued by another node, or come back with a restored database, at any moment."""


class Issuers:
    """Tells known identities from strangers'. *lookups* reads beside the hot path, not in its way.

    *adopted_der* are authorities of another server, from which devices came over.
    """

    def __init__(
        self, lookups: Runner, policy: Callable[[], MessagePolicy], adopted_der: tuple[bytes, ...] = ()
    ) -> None:
        self._lookups = lookups
        self._policy = policy
        self._adopted = adopted_der
        self._found: dict[bytes, None] = {}

    async def know(self, presented: Presented, device_id: DeviceId, source: str) -> bool:
        """Tell whether an authority of ours issued the certificate, the database has it, or it is that of a device
        which came over from another server, and is met now for the first time. Raises Unavailable."""
        if self.issued(presented.certificate_der):
            return True
        kept = await self._is_kept(presented.fingerprint, device_id)
        if kept is not Acquaintance.AWAITED:
            return kept is Acquaintance.KNOWN
        contact = FirstContact(device_id, presented.certificate_der, source, self._adopted)
        return (await self._lookups.write(meet_adopted, [contact], DEVICE))[0]

    def issued(self, certificate_der: bytes) -> bool:
        """Tell whether an authority of ours issued a certificate."""
        try:
            return any(is_issued_by(certificate_der, authority) for authority in self._policy().authorities_der)
        except CryptoError:
            return False

    async def _is_kept(self, fingerprint: bytes, device_id: DeviceId) -> Acquaintance:
        if fingerprint in self._found:
            return Acquaintance.KNOWN
        found = await self._lookups.read(partial(acquaintance, fingerprint=fingerprint, device_id=device_id))
        if found is not Acquaintance.KNOWN:
            return found
        if len(self._found) >= REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[fingerprint] = None
        return found
