"""Push certificates: the one in use of each topic, and the former ones."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import push_certificates

_IN_USE = sa.select(push_certificates.c.topic, push_certificates.c.fingerprint, push_certificates.c.not_after).where(
    push_certificates.c.is_current
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class StoredPushCertificate:
    """A push certificate, its key still sealed with associated data (push_certificates, key_sealed, fingerprint)."""

    fingerprint: bytes
    topic: str
    certificate_pem: bytes
    key_sealed: bytes
    not_after: datetime


def current_certificates(tx: Transaction) -> tuple[StoredPushCertificate, ...]:
    """Read the certificate in use of each topic."""
    rows = tx.connection.execute(
        sa.select(push_certificates)
        .where(push_certificates.c.is_current)
        .order_by(push_certificates.c.uploaded_at.desc())
    )
    return tuple(
        StoredPushCertificate(row.fingerprint, row.topic, row.certificate_pem, row.key_sealed, row.not_after)
        for row in rows
    )


def store_certificate(tx: Transaction, certificate: StoredPushCertificate, uploaded_at: datetime) -> None:
    """Use *certificate* for its topic from now on; the former is kept."""
    tx.connection.execute(
        sa.update(push_certificates).where(push_certificates.c.topic == certificate.topic).values(is_current=False)
    )
    values = {
        "topic": certificate.topic,
        "certificate_pem": certificate.certificate_pem,
        "key_sealed": certificate.key_sealed,
        "not_after": certificate.not_after,
        "uploaded_at": uploaded_at,
        "is_current": True,
    }
    tx.connection.execute(
        tx.insert(push_certificates)
        .values(fingerprint=certificate.fingerprint, **values)
        .on_conflict_do_update(index_elements=["fingerprint"], set_=values)
    )


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """The certificate that a topic is pushed under."""

    fingerprint: bytes
    not_after: datetime


def certificates_in_use(tx: Transaction) -> dict[str, CertificateInUse]:
    """Read the certificate in use of each topic, without its key."""
    return {row.topic: CertificateInUse(row.fingerprint, row.not_after) for row in tx.connection.execute(_IN_USE)}
