"""A person decides on commands that wait for a word: they go out after all, or never."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.command_queue import OwnStatus
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.permit import act
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import people, push, queue_holds
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class Verdict:
    """What shall become of the held command *command_uuid*, or without one of all: out it goes, or it is closed."""

    command_uuid: CommandUUID | None
    does_release: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """The commands a verdict was carried out on, by channel."""

    entries: tuple[tuple[ChannelId, CommandUUID], ...]


VerdictOutcome: TypeAlias = Settled | Refusal


def _channels_of(tx: Transaction, verdict: Verdict) -> set[ChannelId] | None:
    """Return where the command is held that is named; None where all are meant."""
    if verdict.command_uuid is None:
        return None
    return {channel_id for channel_id, _ in queue_holds.held(tx, verdict.command_uuid)}


@act(Permission.COMMAND, about=_channels_of)
def settle_held_commands(tx: Transaction, verdicts: Sequence[Verdict], ctx: Context) -> list[VerdictOutcome]:
    """Carry out each of *verdicts*, in one act of the audit log each.

    Refused when nothing is held, or not this command.
    """
    return [_settle(tx, verdict, ctx) for verdict in verdicts]


def _settle(tx: Transaction, verdict: Verdict, ctx: Context) -> VerdictOutcome:
    channel_ids = sorted({channel_id for channel_id, _ in queue_holds.held(tx, verdict.command_uuid)})
    tx.lock_rows(channel_ids)
    entries = queue_holds.held(tx, verdict.command_uuid)  # as it is now that the rows are held
    if not entries:
        what = "nothing" if verdict.command_uuid is None else f"no command {verdict.command_uuid}"
        return Refusal(RefusalCode.NOT_FOUND, f"{what} is held back", "See `muster commands held`.")
    if verdict.does_release:
        free = {channel_id for channel_id, uuid in entries if queue_holds.release(tx, channel_id, uuid)}
        push.wish(tx, sorted(free), reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    else:
        for channel_id, uuids in _by_channel(entries).items():
            close_commands(tx, channel_id, uuids, OwnStatus.CANCELLED, ctx, because=ctx.actor.name)
    act = "command.release" if verdict.does_release else "command.cancel"
    detail: people.AuditDetail = {"commands": len(entries)}
    people.record_act(tx, ctx.actor, act, verdict.command_uuid or "all held commands", detail, ctx.now)
    return Settled(entries)


def _by_channel(entries: Sequence[tuple[ChannelId, CommandUUID]]) -> dict[ChannelId, list[CommandUUID]]:
    found: dict[ChannelId, list[CommandUUID]] = {}
    for channel_id, command_uuid in entries:
        found.setdefault(channel_id, []).append(command_uuid)
    return found
