"""An administrator uploads a push certificate: checked, sealed, and in use on every node from then on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from muster.crypto.certificates import der_from_pem, inspect_certificate, key_matches, pem_from_der, push_topic
from muster.crypto.errors import CryptoError
from muster.crypto.keys import load_private_key, private_key_pem
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.resume_pushes import resume_pushes
from muster.storage import people, push_certificates
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class UploadedPushCertificate:
    """What an administrator uploads: PEM with the certificate first, and its key, PEM or DER, not encrypted."""

    certificate_pem: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class AcceptedPushCertificate:
    """The certificate now in use for *topic*."""

    topic: str
    not_after: datetime


UploadOutcome: TypeAlias = AcceptedPushCertificate | Refusal


def upload_push_certificates(
    tx: Transaction, uploads: Sequence[UploadedPushCertificate], ctx: Context
) -> list[UploadOutcome]:
    """Put push certificates into use, or refuse: no certificate, another key, expired, no topic of MDM's."""
    return [_upload(tx, upload, ctx) for upload in uploads]


def _upload(tx: Transaction, upload: UploadedPushCertificate, ctx: Context) -> UploadOutcome:
    try:
        chain = der_from_pem(upload.certificate_pem)
        facts = inspect_certificate(chain[0])
        key = load_private_key(upload.key)
    except (CryptoError, IndexError) as error:
        return _unfit(f"the files can't be read: {error}", "Give the PEM file from Apple's portal and its private key.")
    topic = push_topic(chain[0])
    if topic is None:
        return _unfit(
            "its subject has no UID that begins with com.apple.mgmt, so it is no MDM push certificate",
            "Download the certificate from Apple's Push Certificates Portal.",
        )
    if not key_matches(chain[0], key):
        return _unfit("the key does not belong to the certificate", "Give the key that the request was made with.")
    if ctx.now >= facts.not_after:
        return _unfit(f"it expired on {facts.not_after:%Y-%m-%d}", "Renew it in Apple's Push Certificates Portal.")
    stored = push_certificates.StoredPushCertificate(
        fingerprint=facts.fingerprint,
        topic=topic,
        certificate_pem=pem_from_der(chain),
        key_sealed=ctx.seal(
            private_key_pem(key), table="push_certificates", column="key_sealed", row=facts.fingerprint.hex()
        ),
        not_after=facts.not_after,
    )
    tx.lock_name("push_certificates")
    former = push_certificates.certificates_in_use(tx).get(topic)
    push_certificates.store_certificate(tx, stored, ctx.now)
    resume_pushes(tx, topic, ctx, could_push=former is not None and ctx.now < former.not_after)
    detail = {"fingerprint": facts.fingerprint.hex(), "not_after": f"{facts.not_after:%Y-%m-%dT%H:%M:%SZ}"}
    people.record_act(tx, ctx.actor, "push_certificate.upload", topic, detail, ctx.now)
    return AcceptedPushCertificate(topic, facts.not_after)


def _unfit(message: str, remedy: str) -> Refusal:
    return Refusal(RefusalCode.PUSH_CERTIFICATE_UNFIT, f"the push certificate was not accepted: {message}", remedy)
