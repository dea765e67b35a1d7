"""Device identities, as far as edges ask about them."""

from muster.storage import identities
from muster.storage.engine import Transaction


def is_known_identity(tx: Transaction, fingerprint: bytes) -> bool:
    """Tell whether the certificate with this SHA-256 is an identity that we keep, whoever issued it, expired or not."""
    return identities.find(tx, fingerprint) is not None
