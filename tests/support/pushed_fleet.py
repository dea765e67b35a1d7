"""A fleet to push: enrolled channels with a token each, and what APNs answers about them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from tests.conformance.fleet import enroll
from tests.support.site import TOPIC, Site

from muster.domain.push_breaker import Breaker
from muster.domain.push_policy import PushReason
from muster.operations.ports import PushReceipt
from muster.operations.push_devices import (
    ClaimedPush,
    PushResult,
    RecordedOutcome,
    claim_pushes,
    record_push_outcomes,
)
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.apns import OutcomeClass, PushOutcome
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import push, push_breakers, schema
from muster.storage.engine import Transaction

UPDATED_AGO = timedelta(days=100)
"""How long ago each TokenUpdate came."""


def add_fleet(site: Site, count: int, *, name: str = "A", topic: str = TOPIC) -> list[ChannelId]:
    """Enroll so many devices of *topic*, long ago; nothing wishes to push them. They are called by *name* in order."""
    ids = [ChannelId(f"{name}{number:03}") for number in range(count)]
    enroll(site.engine, *ids)

    def work(tx: Transaction) -> None:
        for id_ in ids:
            push.set_target(
                tx, id_, topic=topic, token=id_.encode(), push_magic=f"magic of {id_}", at=site.now - UPDATED_AGO
            )

    site.engine.write(work)
    return ids


def wish_all(site: Site, ids: Sequence[ChannelId], reason: PushReason = PushReason.COMMAND_QUEUED) -> None:
    """Wish to push *ids* now."""
    site.engine.write(lambda tx: push.wish(tx, ids, reason=reason, at=site.now, due_at=site.now))


def queue_on(site: Site, ids: Sequence[ChannelId]) -> None:
    """Queue a command on *ids*, and wait until its push is due."""
    outcome = site.do(queue_commands, CommandOrder(tuple(ids), CommandRequest("SecurityInfo", {})))[0]
    assert isinstance(outcome, QueuedCommand), outcome
    site.wait(seconds=1)


def claim(site: Site, limit: int = 1000) -> list[ClaimedPush]:
    """Claim what is to be pushed now."""
    return list(site.do(claim_pushes, limit)[0].pushes)


def record(
    site: Site, claimed: Sequence[ClaimedPush], outcome_class: OutcomeClass, status: int = 200, **more: Any
) -> list[RecordedOutcome]:
    """Have APNs answer all of *claimed* alike, in one transaction. No answer has the status 0."""
    status = 0 if outcome_class is OutcomeClass.NO_ANSWER else status
    return site.do(
        record_push_outcomes,
        *(
            PushResult(one, PushReceipt(one.push.apns_id, PushOutcome(outcome_class, status, **more), 0.1))
            for one in claimed
        ),
    )


def hear(site: Site, ids: Sequence[ChannelId]) -> None:
    """Let *ids* have been in contact just now."""
    statement = sa.update(schema.channels).where(schema.channels.c.id.in_(ids)).values(last_contact_at=site.now)
    site.engine.write(lambda tx: tx.connection.execute(statement))


def breaker(site: Site, topic: str = TOPIC) -> Breaker | None:
    """The breaker of *topic*."""
    return site.engine.read(push_breakers.read_all).get(topic)


def wishes(site: Site) -> dict[str, tuple[str | None, int, int]]:
    """Of each wish why it is held, its attempts and its failures, by channel."""
    columns = schema.push_wishes.c
    rows = site.rows(sa.select(columns.channel_id, columns.held_because, columns.attempts, columns.failures))
    return {row[0]: tuple(row[1:]) for row in rows}


def due_times(site: Site) -> dict[str, datetime]:
    """When each wish is due, by channel."""
    columns = schema.push_wishes.c
    return {row[0]: row[1] for row in site.rows(sa.select(columns.channel_id, columns.due_at))}


def refused(site: Site) -> list[str]:
    """The channels whose tokens are refused, sorted."""
    columns = schema.push_targets.c
    return sorted(row[0] for row in site.rows(sa.select(columns.channel_id).where(columns.refused_at.is_not(None))))
