"""Push certificates as people see them: which is in use of each topic, who listens, and which end soon."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.domain.push_certificate_refusals import day
from muster.domain.push_certificates import Change, days_left
from muster.operations.upload_push_certificate import AcceptedPushCertificate
from muster.storage.engine import Transaction
from muster.storage.push_certificates import is_listened_to, listeners, told_certificates
from muster.storage.schema import push_certificate_requests, push_certificates, vendor_certificates


@dataclass(frozen=True, slots=True)
class PushCertificateRow:
    """One push certificate. *days_left*: a day begun for a whole one, 0 once it has ended."""

    fingerprint: bytes
    not_after: datetime
    days_left: int
    uploaded_at: datetime
    uploaded_by: str


@dataclass(frozen=True, slots=True)
class TopicRow:
    """One topic: its certificate in use (absent: none was ever uploaded here) and the former ones, the latest first.

    *enrollments* listen to it on so many *devices*; *is_of_new*: new enrollments get it.
    """

    topic: str
    is_of_new: bool
    enrollments: int
    devices: int
    in_use: PushCertificateRow | None
    former: tuple[PushCertificateRow, ...]


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request that no certificate came for yet. *key_hash*: the SHA-256 of its SubjectPublicKeyInfo."""

    id: str
    purpose: str
    created_at: datetime
    created_by: str
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class VendorRow:
    """The MDM vendor certificate in use."""

    fingerprint: bytes
    not_after: datetime
    days_left: int
    uploaded_at: datetime
    uploaded_by: str


@dataclass(frozen=True, slots=True)
class PushCertificateOverview:
    """All there is: the topic that new enrollments get comes first, pending requests the latest first."""

    topics: tuple[TopicRow, ...]
    pending_requests: tuple[RequestRow, ...]
    vendor: VendorRow | None


def list_push_certificates(tx: Transaction, now: datetime) -> PushCertificateOverview:
    """List every topic with its certificates and listeners, the pending requests, and the vendor certificate."""
    rows = tx.connection.execute(
        sa.select(push_certificates).order_by(
            push_certificates.c.uploaded_at.desc(), push_certificates.c.not_after.desc()
        )
    ).all()
    listening = listeners(tx)
    with_certificate = [one.topic for one in told_certificates(tx)]
    topics = [*with_certificate, *(topic for topic in listening if topic not in with_certificate)]
    return PushCertificateOverview(
        tuple(
            TopicRow(
                topic,
                is_of_new=topic in with_certificate[:1],
                enrollments=listening[topic].enrollments if topic in listening else 0,
                devices=listening[topic].devices if topic in listening else 0,
                in_use=next((_row(row, now) for row in rows if row.topic == topic and row.is_current), None),
                former=tuple(_row(row, now) for row in rows if row.topic == topic and not row.is_current),
            )
            for topic in topics
        ),
        _pending(tx),
        _vendor(tx, now),
    )


def _row(row: sa.Row[tuple[object, ...]], now: datetime) -> PushCertificateRow:
    left = days_left(row.not_after, now)
    return PushCertificateRow(row.fingerprint, row.not_after, left, row.uploaded_at, row.uploaded_by)


def _pending(tx: Transaction) -> tuple[RequestRow, ...]:
    columns = push_certificate_requests.c
    rows = tx.connection.execute(
        sa.select(columns.id, columns.purpose, columns.created_at, columns.created_by, columns.key_hash)
        .where(columns.answered_at.is_(None))
        .order_by(columns.created_at.desc(), columns.id.desc())
    )
    return tuple(RequestRow(row.id, row.purpose, row.created_at, row.created_by, row.key_hash) for row in rows)


def _vendor(tx: Transaction, now: datetime) -> VendorRow | None:
    row = tx.connection.execute(sa.select(vendor_certificates).where(vendor_certificates.c.is_current)).one_or_none()
    if row is None:
        return None
    left = days_left(row.not_after, now)
    return VendorRow(row.fingerprint, row.not_after, left, row.uploaded_at, row.uploaded_by)


@dataclass(frozen=True, slots=True)
class PushCertificateState:
    """What every page needs to know: whether there is any certificate, and which end soon or have ended, by topic."""

    has_any: bool
    ending: Mapping[str, datetime]


def push_certificate_state(tx: Transaction, now: datetime, *, within: timedelta) -> PushCertificateState:
    """Tell which certificates in use end *within* that time and matter.

    Those of the topic that new enrollments get, and of topics that somebody who is enrolled listens to.
    """
    told = told_certificates(tx)
    ending = {
        one.topic: one.not_after
        for place, one in enumerate(told)
        if one.not_after - now < within and (place == 0 or is_listened_to(tx, one.topic))
    }
    return PushCertificateState(bool(told), ending)


def what_changed(accepted: AcceptedPushCertificate) -> list[str]:
    """Say what an upload changed, and what to look out for: a sentence or two each."""
    go_on = "1 enrollment goes on" if accepted.enrollments == 1 else f"{accepted.enrollments:,} enrollments go on"
    said = []
    match accepted.change:
        case Change.RENEWED if accepted.former_not_after is not None:
            said.append(f"Renewed: the former one ends on {day(accepted.former_not_after)}, and is kept. {go_on}.")
        case Change.FIRST if accepted.enrollments:
            can = (
                "1 enrollment listens" if accepted.enrollments == 1 else f"{accepted.enrollments:,} enrollments listen"
            )
            said.append(f"{can} to this topic, which had no certificate here, and can be woken now.")
        case Change.SAME:
            said.append("It was in use already.")
        case Change.ANOTHER_TOPIC:
            said.append("New enrollments get this topic from now on.")
    if accepted.elsewhere and accepted.change is Change.ANOTHER_TOPIC:
        stay = "1 enrollment stays with its topic"
        if accepted.elsewhere > 1:
            stay = f"{accepted.elsewhere:,} enrollments stay with their topic"
        said.append(f"{stay}, whose certificate can be renewed beside this one until all have enrolled again.")
    elif accepted.elsewhere:
        listen = "1 enrollment listens" if accepted.elsewhere == 1 else f"{accepted.elsewhere:,} enrollments listen"
        said.append(f"{listen} to another topic, which this certificate can't push: see `muster push-cert list`.")
    if not accepted.is_of_new:
        said.append("New enrollments get another topic, as before; --replace-topic would give them this one.")
    if not accepted.is_of_apple:
        said.append("It was not issued by Apple: only a simulated push service takes it.")
    return said
