"""The end of a push certificate is told about once at each step, where it matters to anybody."""

from datetime import timedelta

import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW
from tests.support.site import Site

from muster.domain.access import SERVER
from muster.operations.tell_push_certificates import (
    PushCertificateNotice,
    next_push_certificate_notice,
    tell_push_certificates,
)
from muster.storage import schema

OTHER = "com.apple.mgmt.External.other"
DAY = timedelta(days=1)


def tell(site: Site) -> tuple[PushCertificateNotice, ...]:
    return site.do(tell_push_certificates, None, actor=SERVER)[0]


def next_notice(site: Site) -> timedelta | None:
    """How long until the next notice is due."""
    at = site.engine.read(lambda tx: next_push_certificate_notice(tx, site.now))
    return None if at is None else at - site.now


def subscribe(site: Site) -> None:
    row = {"id": "1", "name": "test", "created_at": NOW}
    site.engine.write(lambda tx: tx.connection.execute(sa.insert(schema.subscriptions).values(row)))


def told(site: Site) -> list[tuple[object, ...]]:
    table = schema.outbox
    select = sa.select(table.c.channel_id, table.c.sequence, table.c.event_type, table.c.detail)
    return site.rows(select.order_by(table.c.sequence))


def test_each_step_is_told_once_with_who_depends_on_it(site: Site) -> None:
    subscribe(site)
    fleet.add_push_certificate(site.engine, NOW + 61 * DAY)
    fleet.add_device(site.engine, "A")
    fleet.add_push_target(site.engine, "A")

    told_on = []
    for day in range(64):
        site.runner.time = NOW + day * DAY
        told_on += [(day, notice.step, notice.enrollments) for notice in (*tell(site), *tell(site))]

    end = f"{NOW + 61 * DAY:%Y-%m-%dT%H:%M:%SZ}"
    events = told(site)
    assert told_on == [(1, 60, 1), (31, 30, 1), (47, 14, 1), (54, 7, 1), (58, 3, 1), (60, 1, 1), (61, 0, 1)]
    assert [(channel, sequence) for channel, sequence, _, _ in events] == [("", number) for number in range(1, 8)]
    assert [kind for _, _, kind, _ in events] == [*["push_certificate.expiring"] * 6, "push_certificate.expired"]
    assert events[0][3] == {"topic": fleet.TOPIC, "not_after": end, "days_left": 60, "enrollments": 1}


def test_after_a_downtime_the_most_urgent_step_alone_is_told_with_the_days_that_are_left(site: Site) -> None:
    fleet.add_push_certificate(site.engine, NOW + 65 * DAY)
    tell(site)

    site.wait(days=60)

    assert [(notice.step, notice.days_left) for notice in tell(site)] == [(7, 5)]


def test_topic_is_told_about_that_new_enrollments_get_or_somebody_listens_to(site: Site) -> None:
    fleet.add_push_certificate(site.engine, NOW + 9 * DAY)
    fleet.add_push_certificate(site.engine, NOW + 8 * DAY, topic=OTHER, at=NOW - DAY)

    first = tell(site)
    fleet.add_device(site.engine, "A")
    fleet.add_push_target(site.engine, "A", topic=OTHER)
    second = tell(site)

    assert [notice.topic for notice in first] == [fleet.TOPIC]
    assert [(notice.topic, notice.enrollments) for notice in second] == [(OTHER, 1)]


def test_next_notice_is_known(site: Site) -> None:
    nothing = next_notice(site)
    fleet.add_push_certificate(site.engine, NOW + 61 * DAY)
    fleet.add_push_certificate(site.engine, NOW + 60 * DAY + timedelta(hours=3), topic=OTHER, at=NOW - DAY)

    moments = [next_notice(site)]
    for wait in (timedelta(hours=3), timedelta(hours=21), timedelta(days=61)):
        site.runner.time += wait
        moments.append(next_notice(site))
        tell(site)
    moments.append(next_notice(site))

    # nobody listens to the other topic: its step is no notice
    assert nothing is None
    assert moments == [timedelta(hours=3), timedelta(hours=21), timedelta(0), timedelta(0), None]
