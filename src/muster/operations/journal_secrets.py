"""Secrets that no check-in brings are journaled, with every change of where they stand: a restored database must know
what opens a device.

Those that check-ins bring come back with these. That a proposal was withdrawn is not journaled: a database that was
restored has its command again, or does not know what became of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from muster.operations.context import Context
from muster.protocol.identifiers import DeviceId
from muster.storage import escrow
from muster.storage.engine import Transaction
from muster.storage.escrow import EscrowCertificate
from muster.storage.journal_records import escrow_certificate_record, secret_record

CHECKIN_ORIGINS: Final = frozenset({"TokenUpdate", "SetBootstrapToken"})
"""Origins of secrets that are in the journal as they came."""


@contextmanager
def journaled(tx: Transaction, device_id: DeviceId, ctx: Context) -> Iterator[None]:
    """Have journaled what the block changes about the secrets of a device, before anybody learns of the commit."""
    before = frozenset(escrow.of_device(tx, device_id))
    yield
    changed = [one for one in escrow.of_device(tx, device_id) if one not in before]
    changed.reverse()  # the oldest first
    tx.to_journal += [secret_record(one, at=ctx.now) for one in changed if one.origin not in CHECKIN_ORIGINS]


def journal_proposal(tx: Transaction, secret_id: str, ctx: Context) -> None:
    """Have a kept secret journaled before the commit: right after it, its command may be handed out."""
    kept = escrow.find(tx, secret_id)
    assert kept is not None, "a secret is kept before it is journaled"
    tx.journal_first.append(secret_record(kept, at=ctx.now))


def journal_certificate(tx: Transaction, certificate: EscrowCertificate, ctx: Context) -> None:
    """Have a certificate that was made now journaled before the commit: right after it, Macs may be given it."""
    tx.journal_first.append(escrow_certificate_record(certificate, at=ctx.now))
