"""Commands as they are stored: once, however many channels they go to."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import commands, queue, reports

_ADD = sa.insert(commands)
_BODY = sa.select(commands.c.body, commands.c.is_sealed).where(commands.c.command_uuid == sa.bindparam("of_command"))
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command to store. *body* is the plist as the device will get it."""

    command_uuid: CommandUUID
    request_type: str
    body: bytes
    created_by: str
    is_sealed: bool = False
    """The body holds a secret: it is sealed with associated data (commands, body, *command_uuid*)."""


@dataclass(frozen=True, slots=True)
class StoredBody:
    """The plist of a command as it is stored: as its devices get it, or that sealed."""

    body: bytes
    is_sealed: bool


def body(tx: Transaction, command_uuid: CommandUUID) -> StoredBody | None:
    """Return the plist of a command as it was stored; None when there never was one of this UUID."""
    row = tx.connection.execute(_BODY, {"of_command": command_uuid}).one_or_none()
    return None if row is None else StoredBody(row.body, row.is_sealed)


def request_type_of(tx: Transaction, command_uuid: CommandUUID) -> str | None:
    """Tell what kind of command has this UUID; None when there never was one."""
    found: str | None = tx.connection.scalar(
        sa.select(commands.c.request_type).where(commands.c.command_uuid == command_uuid)
    )
    return found


def channels_of(tx: Transaction, command_uuid: CommandUUID) -> set[ChannelId]:
    """Return the channels that a command waits on, was answered on, or was closed on."""
    waiting = sa.select(queue.c.channel_id).where(queue.c.command_uuid == command_uuid)
    answered = sa.select(reports.c.channel_id).where(reports.c.command_uuid == command_uuid)
    return {ChannelId(channel_id) for channel_id in tx.connection.scalars(waiting.union(answered))}


def add(tx: Transaction, command: NewCommand, created_at: datetime) -> None:
    """Store a command once, however many channels it goes to."""
    tx.connection.execute(
        _ADD,
        {
            "command_uuid": command.command_uuid,
            "request_type": command.request_type,
            "body": command.body,
            "created_at": created_at,
            "created_by": command.created_by,
            "is_sealed": command.is_sealed,
        },
    )
