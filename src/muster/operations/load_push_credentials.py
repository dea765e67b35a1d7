"""Open push certificates for sending."""

from collections.abc import Sequence

from muster.operations.context import Context
from muster.operations.ports import PushCredentials
from muster.storage import push_certificates
from muster.storage.engine import Transaction


def load_push_credentials(tx: Transaction, fingerprints: Sequence[bytes], ctx: Context) -> list[PushCredentials | None]:
    """Open the push certificate of each fingerprint, one in use; None where there is none."""
    stored = {one.fingerprint: one for one in push_certificates.current_certificates(tx)}
    return [None if (one := stored.get(fingerprint)) is None else _open(one, ctx) for fingerprint in fingerprints]


def _open(stored: push_certificates.StoredPushCertificate, ctx: Context) -> PushCredentials:
    return PushCredentials(
        topic=stored.topic,
        certificate_pem=stored.certificate_pem,
        key_pem=ctx.open(
            stored.key_sealed, table="push_certificates", column="key_sealed", row=stored.fingerprint.hex()
        ),
        fingerprint=stored.fingerprint,
    )
