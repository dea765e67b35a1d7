"""The apps that we had devices install, and what became of each."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.managed_apps import AppState, ManagedApp
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, managed_apps

_CHANGING = (
    "identifier", "state", "device_state", "reason", "changed_at", "verified_at", "questions", "next_question_at",
)  # fmt: skip
_TO_ASK_FOR = (
    sa.select(managed_apps)
    .where(among(managed_apps.c.channel_id, "ids"), managed_apps.c.next_question_at.is_not(None))
    .order_by(managed_apps.c.channel_id, managed_apps.c.command_uuid)
)
# made once: building a statement costs more than running it on SQLite


def add(tx: Transaction, apps: Sequence[ManagedApp]) -> None:
    """Store orders; one of the same command on the same channel is left as it is."""
    for some in slices(apps):
        tx.connection.execute(tx.insert(managed_apps).on_conflict_do_nothing(), [_values(one) for one in some])


def change(tx: Transaction, apps: Sequence[ManagedApp]) -> None:
    """Store what changed of orders that are stored."""
    for one in apps:
        values = _values(one)
        tx.connection.execute(
            sa.update(managed_apps)
            .where(managed_apps.c.channel_id == one.channel_id, managed_apps.c.command_uuid == one.command_uuid)
            .values({name: values[name] for name in _CHANGING})
        )


def of_channel(tx: Transaction, channel_id: ChannelId, epoch: int) -> tuple[ManagedApp, ...]:
    """Read the orders on a channel in one life of its device, the latest first."""
    table = managed_apps.c
    select = sa.select(managed_apps).where(table.channel_id == channel_id, table.epoch == epoch)
    select = select.order_by(table.sent_at.desc(), table.command_uuid.desc())
    return tuple(_app(row) for row in tx.connection.execute(select))


def ordered(tx: Transaction, channel_ids: Collection[ChannelId], identifier: str) -> frozenset[ChannelId]:
    """Name those of *channel_ids* to which an app was sent, whatever became of it, in the life of the device that is
    now; also one of which we don't know yet which app it is."""
    table = managed_apps.c
    found = {
        ChannelId(channel_id)
        for ids in slices(sorted(channel_ids))
        for channel_id in tx.connection.scalars(
            sa.select(table.channel_id)
            .join(channels, sa.and_(channels.c.id == table.channel_id, channels.c.epoch == table.epoch))
            .where(table.channel_id.in_(ids), sa.or_(table.identifier == identifier, table.identifier.is_(None)))
        )
    }
    return frozenset(found)


def to_ask_for(tx: Transaction, channel_ids: Sequence[ChannelId]) -> tuple[ManagedApp, ...]:
    """Read the orders on *channel_ids* about which a question is due some time, by channel."""
    return tuple(_app(row) for row in tx.connection.execute(_TO_ASK_FOR, {"ids": channel_ids}))


def _values(app: ManagedApp) -> dict[str, str | int | datetime | None]:
    return {**asdict(app), "state": app.state.value}


def _app(row: Any) -> ManagedApp:
    return ManagedApp(
        channel_id=ChannelId(row.channel_id),
        command_uuid=CommandUUID(row.command_uuid),
        epoch=row.epoch,
        source=row.source,
        identifier=row.identifier,
        state=AppState(row.state),
        sent_at=row.sent_at,
        changed_at=row.changed_at,
        device_state=row.device_state,
        reason=row.reason,
        verified_at=row.verified_at,
        questions=row.questions,
        next_question_at=row.next_question_at,
    )
