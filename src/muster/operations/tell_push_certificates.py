"""The end of push certificates is told about in time, once for the whole cluster at each step before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.evidence import Detail
from muster.domain.events import Event, EventType
from muster.domain.push_certificates import days_left, due_notice, next_notice_at
from muster.operations.context import Context
from muster.storage import outbox, push_certificates
from muster.storage.engine import Transaction
from muster.storage.push_certificates import ToldCertificate


@dataclass(frozen=True, slots=True)
class PushCertificateNotice:
    """The end of the certificate in use of *topic* is near, or past where *days_left* is 0: tell everybody.

    *step*: at how many days before the end this notice is due; it may come later, after a downtime. *enrollments*: how
    many listen to the topic.
    """

    topic: str
    not_after: datetime
    step: int
    days_left: int
    enrollments: int


def tell_push_certificates(
    tx: Transaction, items: Sequence[None], ctx: Context
) -> list[tuple[PushCertificateNotice, ...]]:
    """Put the notices that are due into the outbox, and return them for the log: for each item, all that are due.

    Told about is the certificate in use of each topic that somebody who is enrolled listens to, and of the topic that
    new enrollments get. Who returns a notice is the only one to do so: it was noted in this transaction.
    """
    tx.lock_name("push_certificates")
    return [_tell(tx, ctx) for _ in items]


def next_push_certificate_notice(tx: Transaction, now: datetime) -> datetime | None:
    """Tell when the next notice is due: *now* or earlier when one is, None when none will be as things stand."""
    moments = []
    for place, one in enumerate(push_certificates.told_certificates(tx)):
        if due_notice(one.not_after, one.told_days, now) is None:
            moments.append(next_notice_at(one.not_after, now))
        elif _concerns_anybody(tx, place, one):
            moments.append(now)
    return min((moment for moment in moments if moment is not None), default=None)


def _concerns_anybody(tx: Transaction, place: int, one: ToldCertificate) -> bool:
    """Tell whether it matters that this certificate ends: the first is that of the topic which new enrollments get."""
    return place == 0 or push_certificates.is_listened_to(tx, one.topic)


def _tell(tx: Transaction, ctx: Context) -> tuple[PushCertificateNotice, ...]:
    notices = []
    for place, one in enumerate(push_certificates.told_certificates(tx)):
        step = due_notice(one.not_after, one.told_days, ctx.now)
        if step is None or not _concerns_anybody(tx, place, one):
            continue
        push_certificates.note_told(tx, one.fingerprint, step)
        listeners = push_certificates.listeners(tx).get(one.topic)
        count = 0 if listeners is None else listeners.enrollments
        notices.append(PushCertificateNotice(one.topic, one.not_after, step, days_left(one.not_after, ctx.now), count))
    outbox.append_of_no_channel(tx, [_event(notice, ctx) for notice in notices])
    return tuple(notices)


def _event(notice: PushCertificateNotice, ctx: Context) -> Event:
    kind = EventType.PUSH_CERTIFICATE_EXPIRING if notice.step else EventType.PUSH_CERTIFICATE_EXPIRED
    detail: Detail = {
        "topic": notice.topic,
        "not_after": f"{notice.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": notice.days_left,
        "enrollments": notice.enrollments,
    }
    return Event(ctx.new_id(), kind, outbox.NO_CHANNEL, ctx.now, detail)
