"""An administrator uploads a push certificate: judged, sealed, and in use on every node from then on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from muster.crypto.certificate_files import (
    certified_key_hash,
    end_entity,
    has_key,
    read_certificate_file,
    read_key_file,
)
from muster.crypto.certificates import (
    CertificateFacts,
    der_from_pem,
    fingerprint,
    inspect_certificate,
    issuer_name,
    key_matches,
    pem_from_der,
    push_topic,
    subject_name,
)
from muster.crypto.client_certificates import why_unusable
from muster.crypto.errors import CryptoError, UnreadableFile
from muster.crypto.keys import PrivateKey, load_private_key, private_key_pem
from muster.crypto.names import ORGANIZATION, USER_ID, first_value
from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.domain.push_certificate_refusals import NAMED_AT_MOST, refuse_certificate, refuse_files
from muster.domain.push_certificates import (
    CertificateInUse,
    Change,
    Deliberately,
    KeyFit,
    OfferedCertificate,
    PushSetup,
    Unfit,
    judge_certificate,
)
from muster.operations.context import Context
from muster.operations.permit import act
from muster.operations.resume_pushes import resume_pushes
from muster.storage import people, push_certificates
from muster.storage.engine import Transaction
from muster.storage.journal_records import JournaledPushCertificate, push_certificate_record
from muster.storage.push_certificates import RequestPurpose, StoredPushCertificate

APPLE = "Apple Inc."
"""The organization in the name of the authorities that issue push certificates; nothing more is asked here, for APNs
itself checks the signature."""


@dataclass(frozen=True, slots=True)
class UploadedPushCertificate:
    """What an administrator uploads: the file with the certificate, PEM or DER, and what is meant though it looks odd.

    *key*: the file with its key. Absent: the key is in the certificate's file, or is that of a request made here or of
    a certificate of the same topic that is kept.
    """

    certificate: bytes
    key: bytes | None = None
    meant: frozenset[Deliberately] = frozenset()


@dataclass(frozen=True, slots=True)
class AcceptedPushCertificate:
    """The certificate now in use for *topic*, to which so many *enrollments* listen.

    *former_not_after*: the end of the one whose place it takes; absent when there was none. *elsewhere*: enrollments
    that listen to other topics. *is_of_new*: new enrollments get this topic.
    """

    topic: str
    not_after: datetime
    fingerprint: bytes
    change: Change
    former_not_after: datetime | None
    enrollments: int
    elsewhere: int
    is_of_new: bool
    is_of_apple: bool


UploadOutcome: TypeAlias = AcceptedPushCertificate | Refusal


@dataclass(frozen=True, slots=True)
class _Read:
    """The files of an upload, read. *key* is absent when nobody knows it."""

    chain: tuple[bytes, ...]
    facts: CertificateFacts
    offered: OfferedCertificate
    key: PrivateKey | None


@act(Permission.CERTIFICATES)
def upload_push_certificates(
    tx: Transaction, uploads: Sequence[UploadedPushCertificate], ctx: Context
) -> list[UploadOutcome]:
    """Put push certificates into use, or refuse: see `domain.push_certificates` for what is refused.

    Each is judged by what those before it left.
    """
    tx.lock_name("push_certificates")
    return [_upload(tx, upload, ctx) for upload in uploads]


def _upload(tx: Transaction, upload: UploadedPushCertificate, ctx: Context) -> UploadOutcome:
    setup = read_setup(tx)
    try:
        read = _read(tx, upload, ctx)
    except UnreadableFile as error:
        return refuse_files(str(error), error.remedy, setup, ctx.now)
    except CryptoError as error:
        return refuse_files(str(error), "Give the file from Apple's portal, PEM or DER.", setup, ctx.now)
    verdict = judge_certificate(read.offered, setup, ctx.now, upload.meant)
    if isinstance(verdict, Unfit):
        named = push_certificates.named_listeners(tx, NAMED_AT_MOST) if verdict is Unfit.ANOTHER_TOPIC else {}
        return refuse_certificate(verdict, read.offered, setup, named, ctx.now)
    return _accept(tx, read, verdict, setup, ctx)


def read_setup(tx: Transaction) -> PushSetup:
    """Read what is in use and who listens, as judgements need it."""
    current = push_certificates.current_certificates(tx)
    in_use = {
        one.topic: CertificateInUse(one.fingerprint, one.not_after, _is_stored_of_apple(one.certificate_pem))
        for one in current
    }
    return PushSetup(current[0].topic if current else None, in_use, push_certificates.listeners(tx))


def _read(tx: Transaction, upload: UploadedPushCertificate, ctx: Context) -> _Read:
    leaf, above = end_entity(read_certificate_file(upload.certificate))
    chain = (leaf, *above)
    facts = inspect_certificate(leaf)
    key, fit = _key(tx, upload, leaf, ctx)
    offered = OfferedCertificate(
        fingerprint=fingerprint(leaf),
        user_id=first_value(subject_name(leaf), USER_ID),
        topic=push_topic(leaf),
        not_before=facts.not_before,
        not_after=facts.not_after,
        is_authority=facts.is_ca,
        is_of_apple=_is_of_apple(leaf),
        key=fit,
        unusable=why_unusable(pem_from_der(chain), private_key_pem(key))
        if key is not None and fit is KeyFit.MATCHES
        else None,
    )
    return _Read(chain, facts, offered, key)


def _key(
    tx: Transaction, upload: UploadedPushCertificate, leaf_der: bytes, ctx: Context
) -> tuple[PrivateKey | None, KeyFit]:
    given = upload.key if upload.key is not None else upload.certificate if has_key(upload.certificate) else None
    if given is not None:
        key = read_key_file(given)
        return key, KeyFit.MATCHES if key_matches(leaf_der, key) else KeyFit.DIFFERS
    request = push_certificates.find_request(tx, certified_key_hash(leaf_der))
    if request is None:
        kept = _kept_key(tx, leaf_der, ctx)
        return kept, KeyFit.UNKNOWN if kept is None else KeyFit.MATCHES
    if request.purpose is not RequestPurpose.PUSH:
        return None, KeyFit.OF_VENDOR_REQUEST
    opened = ctx.open(request.key_sealed, table="push_certificate_requests", column="key_sealed", row=request.id)
    return load_private_key(opened, is_ours=True), KeyFit.MATCHES


def _kept_key(tx: Transaction, leaf_der: bytes, ctx: Context) -> PrivateKey | None:
    """Find the key of a certificate that returns, or whose request was renewed, among those kept of its topic."""
    for stored in push_certificates.certificates_of(tx, push_topic(leaf_der) or ""):
        if _certified_by(stored.certificate_pem) == certified_key_hash(leaf_der):
            name = stored.fingerprint.hex()
            opened = ctx.open(stored.key_sealed, table="push_certificates", column="key_sealed", row=name)
            return load_private_key(opened, is_ours=True)
    return None


def _certified_by(certificate_pem: bytes) -> bytes | None:
    try:
        return certified_key_hash(der_from_pem(certificate_pem)[0])
    except CryptoError:
        return None  # damaged, as below


def _is_of_apple(certificate_der: bytes) -> bool:
    return first_value(issuer_name(certificate_der), ORGANIZATION) == APPLE


def _is_stored_of_apple(certificate_pem: bytes) -> bool:
    try:
        return _is_of_apple(der_from_pem(certificate_pem)[0])
    except CryptoError:
        return False  # a row that was damaged keeps nobody from putting a good one in its place


def _accept(tx: Transaction, read: _Read, change: Change, setup: PushSetup, ctx: Context) -> AcceptedPushCertificate:
    topic, facts = read.offered.topic, read.facts
    assert topic is not None, "a certificate without a topic is unfit"
    assert read.key is not None, "a certificate without a key is unfit"
    stored = StoredPushCertificate(
        fingerprint=facts.fingerprint,
        topic=topic,
        certificate_pem=pem_from_der(read.chain),
        key_sealed=ctx.seal(
            private_key_pem(read.key), table="push_certificates", column="key_sealed", row=facts.fingerprint.hex()
        ),
        not_after=facts.not_after,
    )
    is_chosen = change is Change.ANOTHER_TOPIC or setup.topic_of_new is None
    push_certificates.store_certificate(tx, stored, ctx.now, by=ctx.actor.name, is_chosen=is_chosen)
    used = JournaledPushCertificate(stored, ctx.actor.name, is_chosen)
    tx.to_journal.append(push_certificate_record(used, at=ctx.now))
    push_certificates.note_answered(tx, certified_key_hash(read.chain[0]), ctx.now)
    detail = {
        "fingerprint": facts.fingerprint.hex(),
        "not_after": f"{facts.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "change": change.value,
    }
    people.record_act(tx, ctx.actor, "push_certificate.upload", topic, detail, ctx.now)
    former = setup.in_use.get(topic)
    resume_pushes(tx, topic, ctx, could_push=former is not None and ctx.now < former.not_after)
    return AcceptedPushCertificate(
        topic=topic,
        not_after=facts.not_after,
        fingerprint=facts.fingerprint,
        change=change,
        former_not_after=None if former is None or change is Change.SAME else former.not_after,
        enrollments=setup.listeners[topic].enrollments if topic in setup.listeners else 0,
        elsewhere=sum(one.enrollments for name, one in setup.listeners.items() if name != topic),
        is_of_new=is_chosen or topic == setup.topic_of_new,
        is_of_apple=read.offered.is_of_apple,
    )
