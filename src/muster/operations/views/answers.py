"""What devices answered: the latest of each, and how many of which kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.command_queue import OwnStatus
from muster.operations.views.commands import NOT_NOW
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import commands, queue, reports

_OURS = sorted(status.value for status in OwnStatus)


@dataclass(frozen=True, slots=True)
class LatestAnswer:
    """The latest answer on one channel. *request_type* is absent when the command is not one of ours.

    *status* is Apple's word. *at* is when it came; of a NotNow that isn't kept, so it is when the command was handed
    out.
    """

    request_type: str | None
    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """How many commands were answered for good, by status, and how often one was put off (NotNow)."""

    by_status: Mapping[str, int]
    not_now: int

    @property
    def answered(self) -> int:
        """Count the commands answered for good."""
        return sum(self.by_status.values())

    @property
    def failed(self) -> int:
        """Count those answered otherwise than with Acknowledged."""
        return self.answered - self.by_status.get(Status.ACKNOWLEDGED.value, 0)


def latest_answers(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, LatestAnswer]:
    """Read the latest answer of each of *channel_ids* (a page of them at most); channels without one are left out."""
    return {
        channel_id: LatestAnswer(request_type, status, at)
        for channel_id, request_type, status, at in sorted(
            (*_closing(tx, channel_ids), *_putting_off(tx, channel_ids)), key=lambda answer: answer[3]
        )
    }


def _closing(tx: Transaction, channel_ids: Sequence[ChannelId]) -> list[tuple[ChannelId, str | None, str, datetime]]:
    is_answer = sa.and_(reports.c.channel_id.in_(channel_ids), reports.c.status.not_in(_OURS))
    latest = (
        sa.select(reports.c.channel_id, sa.func.max(reports.c.reported_at).label("at"))
        .where(is_answer)
        .group_by(reports.c.channel_id)
        .subquery()
    )
    rows = tx.connection.execute(
        sa.select(reports.c.channel_id, reports.c.request_type, reports.c.status, reports.c.reported_at)
        .join(latest, sa.and_(latest.c.channel_id == reports.c.channel_id, latest.c.at == reports.c.reported_at))
        .where(is_answer)
    )
    return [(row.channel_id, row.request_type, row.status, row.reported_at) for row in rows]


def _putting_off(
    tx: Transaction, channel_ids: Sequence[ChannelId]
) -> list[tuple[ChannelId, str | None, str, datetime]]:
    rows = tx.connection.execute(
        sa.select(queue.c.channel_id, commands.c.request_type, queue.c.handed_out_at)
        .join(commands, commands.c.command_uuid == queue.c.command_uuid)
        .where(queue.c.channel_id.in_(channel_ids), queue.c.not_now_count > 0, queue.c.handed_out_at.is_not(None))
    )
    return [(row.channel_id, row.request_type, NOT_NOW, row.handed_out_at) for row in rows]


def count_answers(tx: Transaction, since: datetime) -> AnswerCounts:
    """Count the answers to commands queued since *since*. Reads every answer since then: for figures now and then."""
    answered = tx.connection.execute(
        sa.select(reports.c.status, sa.func.count(), sa.func.sum(reports.c.not_now_count))
        .where(reports.c.queued_at >= since, reports.c.reported_at >= since, reports.c.status.not_in(_OURS))
        .group_by(reports.c.status)
    ).all()
    waiting = tx.connection.scalar(sa.select(sa.func.sum(queue.c.not_now_count)).where(queue.c.queued_at >= since))
    return AnswerCounts({row[0]: row[1] for row in answered}, sum(row[2] for row in answered) + (waiting or 0))
