"""What Automated Device Enrollment said of devices, by serial number, and whether it speaks with us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.control.ade import AdeObservation, AdeProfileStatus, AdeTokenObservation
from muster.domain.control.dossier import AdeRecord
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import ade_devices, ade_tokens, channels, device_facts

CHANNELS_OF_A_SERIAL: Final = 10
"""To which an observation is noted, those first seen last: virtual machines share a serial number by the hundred."""

_FIND = sa.select(ade_devices).where(among(ade_devices.c.serial_number, "serials"))
_OF_CHANNELS = (
    sa.select(
        device_facts.c.channel_id,
        ade_devices,
        ade_tokens.c.is_ok.label("token_is_ok"),
        ade_tokens.c.heard_at.label("token_heard_at"),
    )
    .join(ade_devices, ade_devices.c.serial_number == device_facts.c.serial_number)
    .outerjoin(ade_tokens, ade_tokens.c.name == ade_devices.c.token)
    .where(among(device_facts.c.channel_id, "ids"))
)
_HEARD = sa.update(ade_devices).where(among(ade_devices.c.serial_number, "serials")).values(heard_at=sa.bindparam("at"))
_number = (
    sa.func.row_number()
    .over(partition_by=device_facts.c.serial_number, order_by=(channels.c.first_seen_at.desc(), channels.c.id))
    .label("number")
)
_with_serials = (
    sa.select(device_facts.c.serial_number, channels.c.id, channels.c.epoch, _number)
    .join(channels, channels.c.id == device_facts.c.channel_id)
    .where(among(device_facts.c.serial_number, "serials"), channels.c.id == channels.c.device_id)
    .subquery()
)
_CHANNELS = (
    sa.select(_with_serials)
    .where(_with_serials.c.number <= CHANNELS_OF_A_SERIAL)
    .order_by(_with_serials.c.serial_number, _with_serials.c.id)
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class KnownByAde:
    """A device as the service had it. *changed_at*: since when; *heard_at*: when it said so last."""

    observed: AdeObservation
    changed_at: datetime
    heard_at: datetime


def find(tx: Transaction, serials: Sequence[str]) -> dict[str, KnownByAde]:
    """Read what the service said of devices; those of which it said nothing are absent."""
    return {
        row.serial_number: KnownByAde(
            AdeObservation(
                row.serial_number,
                AdeProfileStatus(row.profile_status),
                row.assigned_here,
                row.is_deleted,
                row.heard_at,
                row.token,
            ),
            row.changed_at,
            row.heard_at,
        )
        for row in tx.connection.execute(_FIND, {"serials": serials})
    }


def put(tx: Transaction, observed: Sequence[AdeObservation]) -> None:
    """Store what has changed of devices, each of which stands there once."""
    if not observed:
        return
    insert = tx.insert(ade_devices)
    replaced = {column.name: insert.excluded[column.name] for column in ade_devices.c if not column.primary_key}
    tx.connection.execute(
        insert.on_conflict_do_update(index_elements=["serial_number"], set_=replaced),
        [
            {
                "serial_number": one.serial_number,
                "token": one.token,
                "profile_status": one.profile_status.value,
                "assigned_here": one.assigned_here,
                "is_deleted": one.is_deleted,
                "changed_at": one.at,
                "heard_at": one.at,
            }
            for one in observed
        ],
    )


def heard(tx: Transaction, serials: Sequence[str], at: datetime) -> None:
    """Note that the service said of devices what it had said before."""
    if serials:
        tx.connection.execute(_HEARD, {"serials": serials, "at": at})


@dataclass(frozen=True, slots=True)
class WithSerial:
    """A device that said it has a serial number, in its present *epoch*."""

    channel_id: ChannelId
    epoch: int


def channels_of(tx: Transaction, serials: Sequence[str]) -> Mapping[str, list[WithSerial]]:
    """Name the devices of each serial number, CHANNELS_OF_A_SERIAL at most; those without any are absent."""
    found: dict[str, list[WithSerial]] = {}
    for serial, channel_id, epoch, _ in tx.connection.execute(_CHANNELS, {"serials": serials}) if serials else ():
        found.setdefault(serial, []).append(WithSerial(ChannelId(channel_id), epoch))
    return found


def ade_of(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, AdeRecord]:
    """Read what the service says of the devices *channel_ids*; those of which it says nothing are absent."""
    return {
        ChannelId(row.channel_id): AdeRecord(
            profile_status=row.profile_status,
            assigned_here=row.assigned_here,
            is_deleted=row.is_deleted,
            changed_at=row.changed_at,
            is_frozen=row.token_is_ok is False,
            heard_at=row.token_heard_at or row.heard_at,
        )
        for row in tx.connection.execute(_OF_CHANNELS, {"ids": channel_ids})
    }


# --- tokens -----------------------------------------------------------------------------------------------------------


def token_is_ok(tx: Transaction, name: str) -> bool | None:
    """Tell whether the service spoke with us last time by the token *name*; None: it is not known."""
    value: bool | None = tx.connection.scalar(sa.select(ade_tokens.c.is_ok).where(ade_tokens.c.name == name))
    return value


def put_token(tx: Transaction, one: AdeTokenObservation) -> None:
    """Store how a token fared; since when it does so is kept where it is nothing new."""
    insert = tx.insert(ade_tokens).values(
        name=one.token, is_ok=one.is_ok, since=one.at, heard_at=one.at if one.is_ok else None, why=one.why
    )
    is_same = ade_tokens.c.is_ok == insert.excluded.is_ok
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "is_ok": insert.excluded.is_ok,
                "since": sa.case((is_same, ade_tokens.c.since), else_=insert.excluded.since),
                "heard_at": sa.func.coalesce(insert.excluded.heard_at, ade_tokens.c.heard_at),
                "why": insert.excluded.why,
            },
        )
    )


def resting_on(tx: Transaction, token: str, limit: int) -> tuple[ChannelId, ...]:
    """Name up to *limit* devices told by *token* whose verdict may rest on what the service said, sorted."""
    is_odd = sa.or_(
        sa.not_(ade_devices.c.assigned_here),
        ade_devices.c.is_deleted,
        ade_devices.c.profile_status.in_([AdeProfileStatus.EMPTY.value, AdeProfileStatus.REMOVED.value]),
    )
    rows = tx.connection.scalars(
        sa.select(device_facts.c.channel_id)
        .join(ade_devices, ade_devices.c.serial_number == device_facts.c.serial_number)
        .where(ade_devices.c.token == token, is_odd)
        .order_by(device_facts.c.channel_id)
        .limit(limit)
    )
    return tuple(ChannelId(channel_id) for channel_id in rows)
