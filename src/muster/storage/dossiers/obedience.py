"""What a channel does with commands: what waits, what it puts off, what it was handed and never answered."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.command_queue import HoldReason, QueuePurpose
from muster.domain.control.dossier import Obedience, Seen, SetUp, StuckCommand
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record
from muster.storage.among import among
from muster.storage.dossiers.rows import Row
from muster.storage.engine import Transaction
from muster.storage.schema import commands, queue

STUCK_READ: Final = 20
"""Commands of one channel without an answer that are read, the oldest first."""
VERIFIED: Final = "acknowledgement_lost"
_ERRORS: Final = frozenset({Status.ERROR.value, Status.COMMAND_FORMAT_ERROR.value})


@record(frozen=True, slots=True)
class Queued:
    """What is in one channel's queue. *waiting* may be handed out; *unanswered* were handed out, last at
    *handed_out_at*, and nothing was said to them; *others* are all but *released_by* of a set-up."""

    waiting: int
    oldest_waiting_at: datetime | None
    declined: int
    handed_out_at: datetime | None
    unanswered: int
    others: int


NOTHING_QUEUED: Final = Queued(0, None, 0, None, 0, 0)

_waits = sa.case((queue.c.is_withheld.is_(False), 1))
_QUEUED = (
    sa.select(
        queue.c.channel_id,
        sa.func.count(_waits),
        sa.func.min(sa.case((queue.c.is_withheld.is_(False), queue.c.queued_at)), type_=queue.c.queued_at.type),
        sa.func.coalesce(sa.func.sum(queue.c.not_now_count), 0),
        sa.func.max(queue.c.handed_out_at, type_=queue.c.handed_out_at.type),
        sa.func.count(sa.case((queue.c.unanswered_count > 0, 1))),
        sa.func.count(),
    )
    .where(among(queue.c.channel_id, "ids"))
    .group_by(queue.c.channel_id)
)
_number = (
    sa.func.row_number()
    .over(partition_by=queue.c.channel_id, order_by=(queue.c.queued_at, queue.c.command_uuid))
    .label("number")
)
_unanswered = (
    sa.select(
        queue.c.channel_id,
        queue.c.command_uuid,
        queue.c.purpose,
        queue.c.unanswered_count,
        queue.c.unanswered_since,
        queue.c.handed_out_at,
        queue.c.held_because,
        queue.c.queued_at,
        _number,
    )
    .where(among(queue.c.channel_id, "ids"), queue.c.unanswered_count > 0)
    .subquery()
)
_STUCK = (
    sa.select(_unanswered, commands.c.request_type)
    .join(commands, commands.c.command_uuid == _unanswered.c.command_uuid)
    .where(_unanswered.c.number <= STUCK_READ, _unanswered.c.handed_out_at.is_not(None))
    .order_by(_unanswered.c.queued_at, _unanswered.c.command_uuid)
)
# made once: building a statement costs more than running it on SQLite


def read_queued(tx: Transaction, channel_ids: Sequence[ChannelId]) -> Mapping[ChannelId, Queued]:
    """Count what is queued; channels with an empty queue are absent."""
    rows = tx.connection.execute(_QUEUED, {"ids": channel_ids})
    return {ChannelId(channel_id): Queued(*counted) for channel_id, *counted in rows.all()}


def read_stuck(tx: Transaction, channel_ids: Sequence[ChannelId]) -> Mapping[ChannelId, list[StuckCommand]]:
    """Read what was handed out and not answered at all, the oldest first, up to STUCK_READ of each channel."""
    found: dict[ChannelId, list[StuckCommand]] = defaultdict(list)
    if channel_ids:
        for row in tx.connection.execute(_STUCK, {"ids": channel_ids}):
            stuck = StuckCommand(
                row.request_type,
                row.command_uuid,
                QueuePurpose(row.purpose),
                row.unanswered_count,
                row.handed_out_at,
                is_parked=row.held_because == HoldReason.PARKED.value,
                first_handed_out_at=row.unanswered_since,
            )
            found[ChannelId(row.channel_id)].append(stuck)
    return found


def obedience(row: Row, queued: Queued, stuck: Sequence[StuckCommand], answers: Sequence[Seen]) -> Obedience:
    """Put together what one channel does with commands."""
    not_now = next((one for one in reversed(answers) if one.word == Status.NOT_NOW.value), None)
    others = [one.last_at for one in answers if one.word in _ERRORS]
    answered_at = max((at for at in (row.answered_at, row.last_proof_at, *others) if at is not None), default=None)
    if not_now is not None and answered_at is not None and answered_at > not_now.last_at:
        not_now = None
    handed_out = [at for at in (row.handed_out_at, queued.handed_out_at) if at is not None]
    return Obedience(
        waiting=queued.waiting,
        oldest_waiting_at=queued.oldest_waiting_at,
        not_now_since=None if not_now is None else _began(not_now, answered_at),
        not_now_last_at=None if not_now is None else not_now.last_at,
        not_now_count=0 if not_now is None else not_now.count,
        last_error=next((one for one in reversed(answers) if one.word in _ERRORS), None),
        handed_out_at=max(handed_out, default=None),
        answered_at=answered_at,
        stuck=tuple(stuck),
        verified=tuple(one for one in answers if one.word == VERIFIED),
    )


def _began(not_now: Seen, answered_at: datetime | None) -> datetime:
    """Acknowledged commands leave no evidence between NotNows, which are then counted in one row with those before."""
    return not_now.first_at if answered_at is None else max(not_now.first_at, answered_at)


def set_up(row: Row, queued: Queued) -> SetUp | None:
    """Tell how the channel's set-up stands; None where it doesn't wait."""
    if row.set_up_since is None or row.set_up_epoch != row.epoch:
        return None
    is_released = row.set_up_released_by is not None
    is_answered = queued.others <= is_released  # the release itself is the last to be answered
    answered_at = max(row.set_up_since, row.answered_at or row.set_up_since)
    return SetUp(row.set_up_since, is_released, answered_at if is_answered else None)
