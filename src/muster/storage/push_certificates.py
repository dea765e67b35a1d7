"""Push certificates, the requests for them, and the MDM vendor certificate that signs such requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_certificates import Listeners
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    device_facts,
    push_certificate_requests,
    push_certificates,
    push_targets,
    vendor_certificates,
)

_LISTENING = (EnrollmentState.ENROLLED.value, EnrollmentState.DORMANT.value)
_LISTENERS = push_targets.join(channels, channels.c.id == push_targets.c.channel_id)
_BY_CHOICE = (sa.nulls_last(push_certificates.c.chosen_at.desc()), push_certificates.c.uploaded_at.desc())
"""The certificate of the topic that new enrollments get comes first."""

_IN_USE = sa.select(push_certificates.c.topic, push_certificates.c.fingerprint, push_certificates.c.not_after).where(
    push_certificates.c.is_current
)
# made once: building a statement costs more than running it on SQLite


KEPT_TRIED = 50
"""Certificates of a topic that are looked through for a key: there is one a year."""


@dataclass(frozen=True, slots=True)
class StoredPushCertificate:
    """A push certificate, its key still sealed with associated data (push_certificates, key_sealed, fingerprint)."""

    fingerprint: bytes
    topic: str
    certificate_pem: bytes
    key_sealed: bytes
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """The certificate that a topic is pushed under."""

    fingerprint: bytes
    not_after: datetime


@dataclass(frozen=True, slots=True)
class ToldCertificate:
    """The certificate in use of a topic, and what was told about its end last."""

    fingerprint: bytes
    topic: str
    not_after: datetime
    told_days: int | None


class RequestPurpose(StrEnum):
    """What a request is for."""

    PUSH = "push"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request of ours, its key sealed with associated data (push_certificate_requests, key_sealed, id)."""

    id: str
    purpose: RequestPurpose
    request_der: bytes
    key_sealed: bytes
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class StoredVendorCertificate:
    """An MDM vendor certificate with its chain, root last, its key sealed as that of a push certificate is."""

    fingerprint: bytes
    certificate_pem: bytes
    key_sealed: bytes
    not_after: datetime


# --- push certificates ------------------------------------------------------------------------------------------------


def current_certificates(tx: Transaction) -> tuple[StoredPushCertificate, ...]:
    """Read the certificate in use of each topic; first that of the topic which new enrollments get."""
    rows = tx.connection.execute(
        sa.select(push_certificates).where(push_certificates.c.is_current).order_by(*_BY_CHOICE)
    )
    return tuple(
        StoredPushCertificate(row.fingerprint, row.topic, row.certificate_pem, row.key_sealed, row.not_after)
        for row in rows
    )


def certificates_of(tx: Transaction, topic: str) -> tuple[StoredPushCertificate, ...]:
    """Read the certificates of one topic that are kept, the one in use included; the latest first, up to KEPT_TRIED."""
    rows = tx.connection.execute(
        sa.select(push_certificates)
        .where(push_certificates.c.topic == topic)
        .order_by(push_certificates.c.uploaded_at.desc())
        .limit(KEPT_TRIED)
    )
    return tuple(
        StoredPushCertificate(row.fingerprint, row.topic, row.certificate_pem, row.key_sealed, row.not_after)
        for row in rows
    )


def certificates_in_use(tx: Transaction) -> dict[str, CertificateInUse]:
    """Read the certificate in use of each topic, without its key."""
    return {row.topic: CertificateInUse(row.fingerprint, row.not_after) for row in tx.connection.execute(_IN_USE)}


def last_upload(tx: Transaction, topic: str) -> datetime | None:
    """Tell when a certificate was put into use for *topic* last; None: never."""
    latest = sa.select(sa.func.max(push_certificates.c.uploaded_at)).where(push_certificates.c.topic == topic)
    value: datetime | None = tx.connection.scalar(latest)
    return value


def store_certificate(
    tx: Transaction, certificate: StoredPushCertificate, uploaded_at: datetime, *, by: str, is_chosen: bool = True
) -> None:
    """Use *certificate* for its topic from now on; the former is kept, and the end of another one is told about anew.

    *is_chosen*: new enrollments get its topic from now on; else as it was before.
    """
    former = sa.select(sa.func.max(push_certificates.c.chosen_at)).where(push_certificates.c.topic == certificate.topic)
    chosen_at = uploaded_at if is_chosen else tx.connection.scalar(former)
    is_same = push_certificates.c.fingerprint == certificate.fingerprint
    tx.connection.execute(
        sa.update(push_certificates)
        .where(push_certificates.c.topic == certificate.topic, ~is_same)
        .values(is_current=False)
    )
    values = {
        "topic": certificate.topic,
        "certificate_pem": certificate.certificate_pem,
        "key_sealed": certificate.key_sealed,
        "not_after": certificate.not_after,
        "uploaded_at": uploaded_at,
        "uploaded_by": by,
        "is_current": True,
        "chosen_at": chosen_at,
    }
    told_days = sa.case((push_certificates.c.is_current, push_certificates.c.told_days), else_=None)
    tx.connection.execute(
        tx.insert(push_certificates)
        .values(fingerprint=certificate.fingerprint, **values)
        .on_conflict_do_update(index_elements=["fingerprint"], set_={**values, "told_days": told_days})
    )


def told_certificates(tx: Transaction) -> tuple[ToldCertificate, ...]:
    """Read what was told about the certificate in use of each topic, in the order of `current_certificates`."""
    columns = push_certificates.c
    rows = tx.connection.execute(
        sa.select(columns.fingerprint, columns.topic, columns.not_after, columns.told_days)
        .where(columns.is_current)
        .order_by(*_BY_CHOICE)
    )
    return tuple(ToldCertificate(row.fingerprint, row.topic, row.not_after, row.told_days) for row in rows)


def note_told(tx: Transaction, fingerprint: bytes, days: int) -> None:
    """Note that the end of a certificate was told about, *days* before it."""
    tx.connection.execute(
        sa.update(push_certificates).where(push_certificates.c.fingerprint == fingerprint).values(told_days=days)
    )


# --- who listens ------------------------------------------------------------------------------------------------------


def listeners(tx: Transaction) -> dict[str, Listeners]:
    """Count who is enrolled by the topic they listen to, unnamed; a topic that nobody listens to is absent."""
    rows = tx.connection.execute(
        sa.select(push_targets.c.topic, sa.func.count(), sa.func.count(channels.c.device_id.distinct()))
        .select_from(_LISTENERS)
        .where(channels.c.state.in_(_LISTENING))
        .group_by(push_targets.c.topic)
        .order_by(sa.func.count().desc(), push_targets.c.topic)
    )
    return {row[0]: Listeners(row[1], row[2]) for row in rows}


def named_listeners(tx: Transaction, limit: int) -> Mapping[str, tuple[str, ...]]:
    """Name up to *limit* of the devices that listen to each topic: by serial number, else by id; sorted."""
    name = sa.func.coalesce(device_facts.c.serial_number, channels.c.device_id).label("name")
    topics = tx.connection.scalars(sa.select(push_targets.c.topic).distinct()).all()
    return {
        topic: tuple(
            tx.connection.scalars(
                sa.select(name)
                .distinct()
                .select_from(_LISTENERS.outerjoin(device_facts, device_facts.c.channel_id == channels.c.device_id))
                .where(channels.c.state.in_(_LISTENING), push_targets.c.topic == topic)
                .order_by(name)
                .limit(limit)
            )
        )
        for topic in topics
    }


def is_listened_to(tx: Transaction, topic: str) -> bool:
    """Tell whether anybody who is enrolled listens to *topic*."""
    first = (
        sa.select(push_targets.c.channel_id)
        .select_from(_LISTENERS)
        .where(channels.c.state.in_(_LISTENING), push_targets.c.topic == topic)
        .limit(1)
    )
    return tx.connection.scalar(first) is not None


# --- requests ---------------------------------------------------------------------------------------------------------


def add_request(tx: Transaction, request: StoredRequest, at: datetime, *, by: str) -> None:
    """Store a request of ours, whose key is new."""
    tx.connection.execute(
        sa.insert(push_certificate_requests).values(
            id=request.id,
            purpose=request.purpose.value,
            created_at=at,
            created_by=by,
            request_der=request.request_der,
            key_sealed=request.key_sealed,
            key_hash=request.key_hash,
        )
    )


def find_request(tx: Transaction, key_hash: bytes) -> StoredRequest | None:
    """Read the request of ours whose key has this SHA-256; None when there is none."""
    row = tx.connection.execute(
        sa.select(push_certificate_requests).where(push_certificate_requests.c.key_hash == key_hash)
    ).one_or_none()
    if row is None:
        return None
    return StoredRequest(row.id, RequestPurpose(row.purpose), row.request_der, row.key_sealed, row.key_hash)


def request_by_id(tx: Transaction, request_id: str) -> StoredRequest | None:
    """Read a request of ours; None when there is none of this id."""
    row = tx.connection.execute(
        sa.select(push_certificate_requests).where(push_certificate_requests.c.id == request_id)
    ).one_or_none()
    if row is None:
        return None
    return StoredRequest(row.id, RequestPurpose(row.purpose), row.request_der, row.key_sealed, row.key_hash)


def note_answered(tx: Transaction, key_hash: bytes, at: datetime) -> None:
    """Note that a certificate for the request with this key was put into use; where there is none, nothing happens."""
    columns = push_certificate_requests.c
    tx.connection.execute(
        sa.update(push_certificate_requests)
        .where(columns.key_hash == key_hash, columns.answered_at.is_(None))
        .values(answered_at=at)
    )


# --- the vendor certificate -------------------------------------------------------------------------------------------


def current_vendor_certificate(tx: Transaction) -> StoredVendorCertificate | None:
    """Read the MDM vendor certificate in use; None when there is none."""
    row = tx.connection.execute(sa.select(vendor_certificates).where(vendor_certificates.c.is_current)).one_or_none()
    if row is None:
        return None
    return StoredVendorCertificate(row.fingerprint, row.certificate_pem, row.key_sealed, row.not_after)


def store_vendor_certificate(tx: Transaction, certificate: StoredVendorCertificate, at: datetime, *, by: str) -> None:
    """Sign requests by *certificate* from now on; the former is kept. The caller holds the name of these rows."""
    tx.connection.execute(sa.update(vendor_certificates).values(is_current=False))
    values = {
        "certificate_pem": certificate.certificate_pem,
        "key_sealed": certificate.key_sealed,
        "not_after": certificate.not_after,
        "uploaded_at": at,
        "uploaded_by": by,
        "is_current": True,
    }
    tx.connection.execute(
        tx.insert(vendor_certificates)
        .values(fingerprint=certificate.fingerprint, **values)
        .on_conflict_do_update(index_elements=["fingerprint"], set_=values)
    )
