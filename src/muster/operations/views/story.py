"""What happened with a device, all of it that a story is told of: gathered, not yet told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.contact import ContactDay
from muster.domain.control.evidence import Signal
from muster.operations.views.contacts import contact_days_of
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.pushing import PushMark, recent_pushes
from muster.operations.views.verdicts import Held, held_since
from muster.protocol.identifiers import ChannelId
from muster.storage import recoveries, verdicts
from muster.storage.engine import Transaction
from muster.storage.recoveries import Recovery
from muster.storage.schema import channels, commands, device_facts, evidence, queue, reports
from muster.storage.verdicts import Step

STEPS_TOLD: Final = 500
NOTED: Final = 500
PUSHES_COUNTED: Final = 2000
COMMANDS_TOLD: Final = 200
RECOVERIES_TOLD: Final = 20
"""Of each kind the latest so many: more is no story."""
_NOT_TOLD: Final = (Signal.QUESTION.value, Signal.PUSH_ANSWER.value)


@dataclass(frozen=True, slots=True)
class OrderedCommand:
    """A command that somebody ordered, on one channel. *status* and *reported_at* are absent until it ended."""

    channel_id: ChannelId
    request_type: str
    ordered_by: str
    queued_at: datetime
    status: str | None
    reported_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoryFacts:
    """What is known of a device since a time, each kind in the order in which it happened.

    *names* are the users of its channels; *steps* those of the verdicts of all of them; *before* is the device's own
    verdict when that time began, absent where it was not judged yet. *contact_days* are each channel's.
    """

    device_id: ChannelId
    since: datetime
    names: Mapping[ChannelId, str]
    steps: tuple[Step, ...]
    before: Step | None
    evidence: tuple[EvidenceRow, ...]
    contact_days: Mapping[ChannelId, tuple[ContactDay, ...]]
    pushes: tuple[PushMark, ...]
    commands: tuple[OrderedCommand, ...]
    held: Mapping[ChannelId, tuple[Held, ...]]
    """What was held of each channel, as was known then."""
    recoveries: tuple[Recovery, ...]
    """Of all of its channels, the oldest first."""


def story_of(tx: Transaction, device_id: ChannelId, since: datetime, now: datetime) -> StoryFacts | None:
    """Gather a device's story since *since*; None when there is no such device."""
    rows = tx.connection.execute(
        sa.select(channels.c.id, device_facts.c.user_short_name)
        .select_from(channels.outerjoin(device_facts, device_facts.c.channel_id == channels.c.id))
        .where(channels.c.device_id == device_id)
        .order_by(channels.c.id)
    ).all()
    ids = [ChannelId(row.id) for row in rows]
    if device_id not in ids:
        return None
    steps = [one for one in verdicts.story(tx, device_id, limit=STEPS_TOLD, with_users=True) if one.at >= since]
    return StoryFacts(
        device_id=device_id,
        since=since,
        names={ChannelId(row.id): row.user_short_name or "a user" for row in rows if row.id != device_id},
        steps=tuple(reversed(steps)),
        before=next(iter(verdicts.story(tx, device_id, limit=1, before=since)), None),
        evidence=_evidence(tx, ids, since),
        contact_days=contact_days_of(tx, ids, since),
        pushes=tuple(reversed(recent_pushes(tx, device_id, since=since, limit=PUSHES_COUNTED))),
        commands=_commands(tx, ids, since, now),
        held=held_since(tx, ids, since, now),
        recoveries=tuple(
            reversed([one for id_ in ids for one in recoveries.of_channel(tx, id_, limit=RECOVERIES_TOLD)])
        ),
    )


def _evidence(tx: Transaction, ids: list[ChannelId], since: datetime) -> tuple[EvidenceRow, ...]:
    """Read what was noted; of answers to commands only those that failed, and none that people's questions are."""
    answers = sa.or_(
        evidence.c.signal != Signal.COMMAND_ANSWER.value, evidence.c.observed_class.not_in(("NotNow", "Acknowledged"))
    )
    rows = tx.connection.execute(
        sa.select(*(evidence.c[name] for name in EvidenceRow.__dataclass_fields__))
        .where(
            evidence.c.channel_id.in_(ids),
            evidence.c.last_at >= since,
            evidence.c.signal.not_in(_NOT_TOLD),
            answers,
        )
        .order_by(evidence.c.last_at.desc(), evidence.c.id.desc())
        .limit(NOTED)
    )
    return tuple(sorted((EvidenceRow(*row) for row in rows), key=lambda row: row.first_at))


def _commands(tx: Transaction, ids: list[ChannelId], since: datetime, now: datetime) -> tuple[OrderedCommand, ...]:
    """Read what people ordered since *since*, and what was ordered before and ended since."""
    ended = (
        sa.select(
            reports.c.channel_id,
            commands.c.request_type,
            commands.c.created_by,
            sa.func.coalesce(reports.c.queued_at, commands.c.created_at, type_=commands.c.created_at.type),
            reports.c.status,
            reports.c.reported_at,
        )
        .join(commands, commands.c.command_uuid == reports.c.command_uuid)
        .where(
            reports.c.channel_id.in_(ids),
            reports.c.reported_at >= since,
            reports.c.reported_at <= now,
            reports.c.purpose == QueuePurpose.COMMAND.value,
        )
        .order_by(reports.c.reported_at.desc())
        .limit(COMMANDS_TOLD)
    )
    waiting = (
        sa.select(queue.c.channel_id, commands.c.request_type, commands.c.created_by, queue.c.queued_at)
        .join(commands, commands.c.command_uuid == queue.c.command_uuid)
        .where(queue.c.channel_id.in_(ids), queue.c.purpose == QueuePurpose.COMMAND.value)
        .order_by(queue.c.queued_at.desc())
        .limit(COMMANDS_TOLD)
    )
    found = [OrderedCommand(ChannelId(row[0]), *row[1:]) for row in tx.connection.execute(ended)]
    found += [OrderedCommand(ChannelId(row[0]), *row[1:], None, None) for row in tx.connection.execute(waiting)]
    return tuple(sorted(found, key=lambda one: one.queued_at))
