"""What keeps a device from getting its commands: queues that somebody paused, and commands that wait for a word."""

import shlex
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.command_queue import FOR_A_PERSON, HoldReason
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import channels, commands, queue, queue_pauses

HELD_LIMIT = 500
"""Held commands that are read of one device."""
HELD_SHOWN = 5
"""Of these, so many are told to people one by one; `muster commands held` has the others."""

WHY_HELD = {
    HoldReason.ROLLED_BACK.value: "the database was restored",
    HoldReason.HANDED_OUT_BEFORE.value: "it was handed out before the database was restored",
    HoldReason.PARKED.value: "it was handed out again and again, and never answered",
    HoldReason.UNREADABLE.value: "its body is sealed and can't be opened",
    HoldReason.ERASED.value: "the device said that it erases itself",
}
"""Why a command waits for a person's word, by HoldReason."""


@dataclass(frozen=True, slots=True)
class PauseRow:
    """A channel's queue is paused; *words* say so in sentences, with the command that resumes it between backticks."""

    channel_id: ChannelId
    paused_at: datetime
    paused_by: str
    reason: str
    words: str


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A command waits for a person's word. *because* is why, a HoldReason; *words* say what can be done about it."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    request_type: str
    queued_at: datetime
    handed_out_at: datetime | None
    because: str
    words: str


def pauses_of(tx: Transaction, device_id: ChannelId) -> tuple[PauseRow, ...]:
    """Read the pauses of a device's channels, by channel; those that are not paused are absent."""
    rows = tx.connection.execute(
        sa.select(queue_pauses)
        .join(channels, channels.c.id == queue_pauses.c.channel_id)
        .where(channels.c.device_id == device_id)
        .order_by(queue_pauses.c.channel_id)
    )
    return tuple(
        PauseRow(
            ChannelId(row.channel_id),
            row.paused_at,
            row.paused_by,
            row.reason,
            f"The queue of {_plain(row.channel_id)} is paused since {row.paused_at:%Y-%m-%d %H:%M} UTC, by "
            f"{_plain(row.paused_by)}: {_plain(row.reason).rstrip('.')}. What waits is kept, and nobody is pushed for "
            f"it. `muster commands resume {_word(row.channel_id)}` has it go on.",
        )
        for row in rows
    )


def held_of(tx: Transaction, device_id: ChannelId) -> tuple[HeldRow, ...]:
    """Read what waits for a person's word on a device's channels, the oldest first; at most HELD_LIMIT."""
    rows = tx.connection.execute(
        sa.select(queue, commands.c.request_type)
        .join(commands, commands.c.command_uuid == queue.c.command_uuid)
        .where(
            queue.c.channel_id.in_(sa.select(channels.c.id).where(channels.c.device_id == device_id)),
            queue.c.held_because.in_(sorted(reason.value for reason in FOR_A_PERSON)),
        )
        .order_by(queue.c.queued_at, queue.c.channel_id, queue.c.command_uuid)
        .limit(HELD_LIMIT)
    )
    return tuple(
        HeldRow(
            ChannelId(row.channel_id),
            CommandUUID(row.command_uuid),
            row.request_type,
            row.queued_at,
            row.handed_out_at,
            row.held_because,
            _held_words(row.channel_id, row.command_uuid, row.request_type, HoldReason(row.held_because)),
        )
        for row in rows
    )


def held_left_out(held: tuple[HeldRow, ...]) -> str | None:
    """Say how many of *held* are not told one by one; None when all are."""
    left_out = len(held) - HELD_SHOWN
    if left_out <= 0:
        return None
    more = f"at least {left_out}" if len(held) == HELD_LIMIT else str(left_out)
    return f"{more} more {'waits' if left_out == 1 else 'wait'} for your word: see `muster commands held`."


def _held_words(channel_id: str, command_uuid: str, request_type: str, because: HoldReason) -> str:
    how = "is parked" if because is HoldReason.PARKED else "is held back"
    uuid = _word(command_uuid)
    return (
        f"{_plain(request_type)} for {_plain(channel_id)} {how}: {WHY_HELD[because.value]}. "
        f"`muster commands release {uuid}` has it go out after all, wherever it is held back; "
        f"`muster commands cancel {uuid} {_word(channel_id)}` takes it back."
    )


def _plain(text: str) -> str:
    """Keep what others wrote from being taken for a command."""
    return text.replace("`", "'")


def _word(text: str) -> str:
    return _plain(shlex.quote(text))
