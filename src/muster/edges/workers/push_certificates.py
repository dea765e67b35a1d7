"""The watch over push certificates: each node looks every hour, and one of them tells what is due to be told."""

from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from muster.domain.push_certificates import URGENT_WITHIN
from muster.operations.ports import Runner
from muster.operations.tell_push_certificates import (
    PushCertificateNotice,
    next_push_certificate_notice,
    tell_push_certificates,
)

LOOK_EVERY = timedelta(hours=1)
"""A certificate may be put into use by another process at any time; its notices are days apart."""

NOTICES = Counter(
    "muster_push_certificate_notices_total",
    "Notices that a push certificate ends, by the days before its end; 0: it has ended",
    ["days"],
)

log = structlog.get_logger("muster.push_certificates")


class PushCertificateWatch:
    """Tells of push certificates that end."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def step(self) -> datetime | None:
        """Tell what is due; returns when to look again, an hour from now at the latest."""
        now = self._runner.now()
        due_at = await self._runner.read(lambda tx: next_push_certificate_notice(tx, now))
        if due_at is not None and due_at <= now:
            for notice in (await self._runner.write(tell_push_certificates, [None]))[0]:
                _tell(notice)
            due_at = await self._runner.read(lambda tx: next_push_certificate_notice(tx, now))
        look_at = self._runner.now() + LOOK_EVERY
        return look_at if due_at is None else min(look_at, due_at)


def _tell(notice: PushCertificateNotice) -> None:
    NOTICES.labels(str(notice.step)).inc()
    is_urgent = notice.step <= URGENT_WITHIN.days
    say = log.error if is_urgent else log.warning
    say(
        "push_certificate_expiring" if notice.step else "push_certificate_expired",
        topic=notice.topic,
        not_after=f"{notice.not_after:%Y-%m-%dT%H:%M:%SZ}",
        days_left=notice.days_left,
        enrollments=notice.enrollments,
        remedy="renew that same entry at https://identity.apple.com/pushcert, never make a new one",
    )
