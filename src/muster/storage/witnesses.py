"""Who may say that devices were seen, and what each said last of each device."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from muster.domain.control.states import ControlState
from muster.domain.control.witness import Witness, WitnessKind
from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import channels, device_facts, sightings, verdicts, witnesses

SAME_SERIAL_READ: Final = 10
"""Devices of one serial number that are told apart; two that are open are too many already."""

_number = (
    sa.func.row_number()
    .over(partition_by=device_facts.c.serial_number, order_by=(channels.c.first_seen_at.desc(), channels.c.id))
    .label("number")
)
_with_serial = (
    sa.select(device_facts.c.serial_number, channels.c.id, channels.c.epoch, channels.c.state, _number)
    .join(channels, channels.c.id == device_facts.c.channel_id)
    .where(among(device_facts.c.serial_number, "serials"), channels.c.id == channels.c.device_id)
    .subquery()
)
_BY_SERIAL = sa.select(_with_serial).where(_with_serial.c.number <= SAME_SERIAL_READ)
_BY_UDID = sa.select(channels.c.id, channels.c.epoch, channels.c.state).where(
    among(channels.c.id, "ids"), channels.c.id == channels.c.device_id
)
_SEEN = sa.select(sightings).where(
    sightings.c.witness_id == sa.bindparam("witness"), among(sightings.c.channel_id, "ids")
)
_STATES = sa.select(verdicts.c.channel_id, verdicts.c.state).where(among(verdicts.c.channel_id, "ids"))
# made once: building a statement costs more than running it on SQLite


# --- witnesses --------------------------------------------------------------------------------------------------------


def add(tx: Transaction, witness: Witness, token_hash: bytes) -> None:
    """Store a new witness; only the hash of its token is kept. Its name must be new."""
    tx.connection.execute(
        sa.insert(witnesses).values(
            id=witness.id,
            name=witness.name,
            kind=witness.kind.value,
            token_hash=token_hash,
            token_changed_at=witness.token_changed_at,
            created_at=witness.created_at,
            created_by=witness.created_by,
            sightings=0,
            unknown=0,
            posts=0,
        )
    )


def all_witnesses(tx: Transaction) -> tuple[Witness, ...]:
    """Read every witness, by name."""
    return tuple(_witness(row) for row in tx.connection.execute(sa.select(witnesses).order_by(witnesses.c.name)))


def find(tx: Transaction, name: str) -> Witness | None:
    """Read a witness by name."""
    return _read(tx, sa.select(witnesses).where(witnesses.c.name == name))


def by_token(tx: Transaction, token_hash: bytes, *, for_update: bool = False) -> Witness | None:
    """Read whose token it is; with *for_update* its row is held, so that its posts are counted one at a time."""
    select = sa.select(witnesses).where(witnesses.c.token_hash == token_hash)
    return _read(tx, select.with_for_update() if for_update else select)


def set_token(tx: Transaction, witness_id: str, token_hash: bytes, at: datetime) -> None:
    """Give a witness another token; the former one is good no more."""
    _change(tx, witness_id, token_hash=token_hash, token_changed_at=at)


def remove(tx: Transaction, witness_id: str) -> None:
    """Forget a witness. What it said stays evidence."""
    tx.connection.execute(sa.delete(sightings).where(sightings.c.witness_id == witness_id))
    tx.connection.execute(sa.delete(witnesses).where(witnesses.c.id == witness_id))


def count_post(tx: Transaction, witness_id: str, *, window_began_at: datetime, posts: int, at: datetime) -> None:
    """Count a post, which was taken or not."""
    _change(tx, witness_id, window_began_at=window_began_at, posts=posts, heard_at=at)


def count_sightings(tx: Transaction, witness_id: str, *, seen: int, unknown: int) -> None:
    """Count what was in a post."""
    _change(tx, witness_id, sightings=witnesses.c.sightings + seen, unknown=witnesses.c.unknown + unknown)


def _change(tx: Transaction, witness_id: str, **values: object) -> None:
    tx.connection.execute(sa.update(witnesses).where(witnesses.c.id == witness_id).values(values))


def _read(tx: Transaction, select: sa.Select[Any]) -> Witness | None:
    row = tx.connection.execute(select).one_or_none()
    return None if row is None else _witness(row)


def _witness(row: sa.Row[Any]) -> Witness:
    return Witness(
        row.id,
        row.name,
        WitnessKind(row.kind),
        row.created_at,
        row.created_by,
        row.token_changed_at,
        row.heard_at,
        row.sightings,
        row.unknown,
        row.window_began_at,
        row.posts,
    )


# --- devices and what was said of them --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """A device that is known here, in its present *epoch*."""

    channel_id: ChannelId
    epoch: int
    is_open: bool


def devices_by_udid(tx: Transaction, udids: Sequence[str]) -> dict[str, SeenDevice]:
    """Read devices by their UDIDs; those that are not known are absent."""
    return {row.id: _seen_device(row) for row in tx.connection.execute(_BY_UDID, {"ids": udids})}


def devices_by_serial(tx: Transaction, serials: Sequence[str]) -> dict[str, list[SeenDevice]]:
    """Read devices by serial number, SAME_SERIAL_READ of each, those first seen last; unknown ones are absent."""
    found: dict[str, list[SeenDevice]] = {}
    for row in tx.connection.execute(_BY_SERIAL, {"serials": serials}):
        found.setdefault(row.serial_number, []).append(_seen_device(row))
    return found


def _seen_device(row: sa.Row[*tuple[Any, ...]]) -> SeenDevice:
    return SeenDevice(ChannelId(row.id), row.epoch, row.state != EnrollmentState.ENDED.value)


@dataclass(frozen=True, slots=True)
class LastSighting:
    """What a witness said last of a device. *noted_at*: when that last became evidence."""

    channel_id: ChannelId
    seen_at: datetime
    says_unmanaged: bool
    noted_at: datetime


def last_sightings(tx: Transaction, witness_id: str, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, LastSighting]:
    """Read what a witness said last of devices; those of which it said nothing are absent."""
    return {
        ChannelId(row.channel_id): LastSighting(
            ChannelId(row.channel_id), row.seen_at, row.says_unmanaged, row.noted_at
        )
        for row in tx.connection.execute(_SEEN, {"witness": witness_id, "ids": channel_ids})
    }


def put_sightings(tx: Transaction, witness_id: str, latest: Sequence[LastSighting]) -> None:
    """Store what a witness says of devices, each of which stands there once."""
    if not latest:
        return
    insert = tx.insert(sightings)
    replaced = {name: insert.excluded[name] for name in ("seen_at", "says_unmanaged", "noted_at")}
    tx.connection.execute(
        insert.on_conflict_do_update(index_elements=["witness_id", "channel_id"], set_=replaced),
        [
            {
                "witness_id": witness_id,
                "channel_id": one.channel_id,
                "seen_at": one.seen_at,
                "says_unmanaged": one.says_unmanaged,
                "noted_at": one.noted_at,
            }
            for one in sorted(latest, key=lambda one: one.channel_id)
        ],
    )


def states_of(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, ControlState]:
    """Read the states that are held of channels; those never judged are absent."""
    return {
        ChannelId(row.channel_id): ControlState(row.state)
        for row in tx.connection.execute(_STATES, {"ids": channel_ids})
    }
