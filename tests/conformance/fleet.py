"""A few enrolled channels with commands queued on them, and what storage says of them afterwards."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from tests.support.instants import NOON

from muster.domain.command_queue import HeadQuery
from muster.domain.control.contact import EMPTY_STRIP, ContactDay, FoldedContact
from muster.domain.enrollment import EnrollmentState, Pins
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, CommandUUID, DeviceId
from muster.storage import commands, enrollments, queues
from muster.storage.commands import NewCommand
from muster.storage.engine import Engine, Transaction
from muster.storage.hot import AppliedConnect, LockedChannel

PIN = b"\x01" * 32
DAY = 20_759  # 2026-11-02
STRIP = b"\x81" + EMPTY_STRIP[1:]
TOUCH = FoldedContact(ContactDay(DAY, STRIP), finished=None)


def after(**parts: float) -> datetime:
    """The instant so much later than noon."""
    return NOON + timedelta(**parts)


def channel(name: str) -> Channel:
    """A Mac's device channel, or with a colon in *name* the channel of one of its users."""
    device, colon, _ = name.partition(":")
    return Channel(ChannelId(name), DeviceId(device), ChannelKind.USER if colon else ChannelKind.DEVICE)


def enroll(engine: Engine, *names: str, epoch: int = 1) -> None:
    """Store enrolled channels in *epoch*, devices pinned to PIN; devices come before their users."""

    def work(tx: Transaction) -> None:
        for name in names:
            new = channel(name)
            enrollments.add(tx, new, state=EnrollmentState.ENROLLED, epoch=epoch, first_seen_at=NOON)
            if new.is_device:
                enrollments.set_current(tx, new.id, epoch=epoch, pins=Pins(current=PIN), enrolled_at=NOON)

    engine.write(work)


def queue(
    engine: Engine,
    name: str,
    uuid: str,
    *,
    request_type: str = "DeviceInformation",
    priority: int = 0,
    epoch: int = 1,
    at: datetime = NOON,
) -> None:
    """Queue one command on one channel."""

    def work(tx: Transaction) -> None:
        new = NewCommand(CommandUUID(uuid), request_type, f"<plist>{uuid}</plist>".encode(), "ada")
        if commands.body(tx, new.command_uuid) is None:
            commands.add(tx, new, at)
        queues.enqueue(tx, new.command_uuid, [(ChannelId(name), epoch)], priority=priority, at=at)

    engine.write(work)


def query(name: str, answered: str | None = None, *, skip_not_now: bool = False) -> HeadQuery:
    """Ask for the head of a queue."""
    return HeadQuery(ChannelId(name), None if answered is None else CommandUUID(answered), skip_not_now)


def locked(engine: Engine, *queries: HeadQuery) -> dict[str, LockedChannel]:
    """Lock channels in a transaction of its own and return what it saw."""
    return {str(name): seen for name, seen in engine.write(lambda tx: tx.lock_channels(queries)).items()}


def head(engine: Engine, name: str, answered: str | None = None, *, skip_not_now: bool = False) -> str | None:
    """The UUID of the command that would be handed out next."""
    entry = locked(engine, query(name, answered, skip_not_now=skip_not_now))[name].head
    return None if entry is None else entry.command_uuid


def apply(engine: Engine, *connects: AppliedConnect, at: datetime = NOON) -> None:
    """Write what was decided for some connects."""
    ids = [query(connect.channel_id) for connect in connects]

    def work(tx: Transaction) -> None:
        tx.lock_channels(ids)
        tx.apply_connects(connects, at)

    engine.write(work)


def rows(engine: Engine, select: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """Read rows as they are stored."""
    return engine.read(lambda tx: tx.connection.execute(select).all())
