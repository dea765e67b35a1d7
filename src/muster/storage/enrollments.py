"""Channels: who is enrolled, by which identity, and when each was heard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay
from muster.domain.device_users import UserChannel
from muster.domain.enrollment import EndReason, Enrollment, EnrollmentState, Pins
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId
from muster.storage.among import among
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction, slices
from muster.storage.known_facts import with_serial
from muster.storage.schema import channels, contact_days, device_facts
from muster.storage.types import Instant

_device = channels.alias("device")
_OWN = (
    channels.c.id,
    channels.c.device_id,
    channels.c.kind,
    channels.c.state,
    channels.c.epoch,
    channels.c.ended_reason,
)
_OF_DEVICE = ("provisional_epoch", "pin", "former_pin", "former_pin_until", "provisional_pin")
_FIND = (
    sa.select(*_OWN, *(_device.c[name] for name in _OF_DEVICE))
    .join(_device, _device.c.id == channels.c.device_id)
    .where(among(channels.c.id, "ids"))
)
_SET_WATCHED = (
    sa.update(channels)
    .where(among(channels.c.id, "ids"), channels.c.is_watched != sa.bindparam("is_watched"))
    .values(is_watched=sa.bindparam("is_watched"))
)
_CLAIM = sa.select(channels.c.id).where(among(channels.c.id, "ids")).order_by(channels.c.id)
_LOCK = (
    sa.select(*_OWN, *(channels.c[name] for name in _OF_DEVICE))
    .where(among(channels.c.id, "ids"))
    .order_by(channels.c.id)  # as every transaction locks them
    .with_for_update(key_share=True)
)
# made once: building a statement costs more than running it on SQLite
_KINDS = {kind.value: kind for kind in ChannelKind}
_STATES = {state.value: state for state in EnrollmentState}  # looked up a thousand times, which Enum is slow at


def find(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, Enrollment]:
    """Read the enrollments of *channel_ids*; those not stored are absent. Lock the rows first to decide on them."""
    return _enrollments(tx.connection.execute(_FIND, {"ids": channel_ids}).all())


def lock(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, Enrollment]:
    """Lock the rows of *channel_ids* until the transaction ends, and read them; those not stored are absent.

    Half of what `Transaction.lock_rows` and `find` take. The result is in the order of the ids.
    """
    found = _enrollments(tx.connection.execute(_LOCK, {"ids": channel_ids}).all())
    # nothing is joined to rows being locked: after a wait they are seen as they are, what is joined as it was before
    users = [one for one in found.values() if not one.channel.is_device]
    if users:
        devices = find(tx, sorted({ChannelId(one.channel.device_id) for one in users}))
        for one in users:
            device = devices.get(ChannelId(one.channel.device_id))
            if device is None:
                del found[one.channel.id]
            else:
                pins, provisional_epoch = device.pins, device.provisional_epoch
                found[one.channel.id] = one._replace(pins=pins, provisional_epoch=provisional_epoch)
    return found


def _enrollments(rows: Iterable[Sequence[Any]]) -> dict[ChannelId, Enrollment]:
    return {
        channel_id: Enrollment(
            Channel(channel_id, device_id, _KINDS[kind]),
            _STATES[state],
            epoch,
            provisional_epoch,
            Pins(pin, former, former_until, provisional),
            None if ended_reason is None else EndReason(ended_reason),
        )
        for (
            channel_id,
            device_id,
            kind,
            state,
            epoch,
            ended_reason,
            provisional_epoch,
            pin,
            former,
            former_until,
            provisional,
        ) in rows
    }


def count_enrolled(tx: Transaction) -> int:
    """Count the channels that are enrolled, those of users that aren't logged in among them."""
    states = (EnrollmentState.ENROLLED.value, EnrollmentState.DORMANT.value)
    return tx.connection.execute(
        sa.select(sa.func.count()).select_from(channels).where(channels.c.state.in_(states))
    ).scalar_one()


_IS_USER_OF = sa.and_(channels.c.device_id == sa.bindparam("of_device"), channels.c.id != sa.bindparam("of_device"))
_USER_IDS = sa.select(channels.c.id).where(_IS_USER_OF)
_USERS = (
    sa.select(
        channels.c.id, channels.c.kind, channels.c.state, channels.c.last_contact_at, device_facts.c.user_short_name
    )
    .select_from(channels.outerjoin(device_facts))
    .where(_IS_USER_OF)
    .order_by(channels.c.id)
)
# made once: building a statement costs more than running it on SQLite


def count_heard(tx: Transaction, since: datetime) -> int:
    """Count the enrolled devices that were heard at *since* or after it."""
    is_heard = sa.and_(
        are_devices(),
        channels.c.state == EnrollmentState.ENROLLED.value,
        channels.c.last_contact_at >= since,
    )
    return tx.connection.execute(sa.select(sa.func.count()).select_from(channels).where(is_heard)).scalar_one()


def user_channels_of(tx: Transaction, device_id: DeviceId) -> tuple[ChannelId, ...]:
    """Name the user channels of a device, sorted."""
    return tuple(sorted(tx.connection.scalars(_USER_IDS, {"of_device": device_id})))


_USERS_OF_ALL = (
    sa.select(channels.c.id)
    .where(among(channels.c.device_id, "ids"), channels.c.id != channels.c.device_id)
    .order_by(channels.c.id)
)
# made once: building a statement costs more than running it on SQLite


def user_channels_of_all(tx: Transaction, device_ids: Sequence[ChannelId]) -> tuple[ChannelId, ...]:
    """Name the user channels of devices, sorted."""
    return tuple(ChannelId(one) for one in tx.connection.scalars(_USERS_OF_ALL, {"ids": device_ids}))


def devices_of(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, DeviceId]:
    """Tell whose channel each is; those not stored are absent."""
    rows = tx.connection.execute(
        sa.select(channels.c.id, channels.c.device_id).where(among(channels.c.id, channel_ids))
    )
    return {ChannelId(id_): DeviceId(device_id) for id_, device_id in rows}


def users_of(tx: Transaction, device_id: DeviceId) -> tuple[UserChannel, ...]:
    """Read the user channels of a device as decisions about its users need them, sorted by id."""
    rows = tx.connection.execute(_USERS, {"of_device": device_id})
    return tuple(
        UserChannel(
            Channel(ChannelId(row.id), device_id, ChannelKind(row.kind)),
            EnrollmentState(row.state),
            row.user_short_name,
            row.last_contact_at,
        )
        for row in rows
    )


def add(tx: Transaction, channel: Channel, *, state: EnrollmentState, epoch: int, first_seen_at: datetime) -> None:
    """Store a channel we did not know; one that another transaction stored meanwhile is left as it is."""
    tx.connection.execute(
        tx.insert(channels)
        .values(
            id=channel.id,
            device_id=channel.device_id,
            kind=channel.kind.value,
            state=state.value,
            epoch=epoch,
            first_seen_at=first_seen_at,
        )
        .on_conflict_do_nothing()
    )


def set_provisional(tx: Transaction, device_id: DeviceId, *, pin: bytes, epoch: int | None) -> None:
    """Let the identity *pin* speak provisionally, for the epoch *epoch* or, absent, for a renewal."""
    _update(tx, ChannelId(device_id), provisional_pin=pin, provisional_epoch=epoch)


def forget_provisional(tx: Transaction, device_id: DeviceId) -> None:
    """Let no identity speak provisionally any more; the pins in force stay."""
    _update(tx, ChannelId(device_id), provisional_pin=None, provisional_epoch=None)


def set_current(tx: Transaction, channel_id: ChannelId, *, epoch: int, pins: Pins, enrolled_at: datetime) -> None:
    """Make *epoch* the current one of a device channel, with *pins*."""
    _update(
        tx,
        channel_id,
        state=EnrollmentState.ENROLLED.value,
        epoch=epoch,
        provisional_epoch=None,
        pin=pins.current,
        former_pin=pins.former,
        former_pin_until=pins.former_until,
        provisional_pin=pins.provisional,
        enrolled_at=enrolled_at,
        ended_at=None,
        ended_reason=None,
    )


def set_renewed(tx: Transaction, channel_id: ChannelId, pins: Pins) -> None:
    """Let the renewed identity speak, or the former one again; everything else of the enrollment stays."""
    _update(
        tx,
        channel_id,
        pin=pins.current,
        former_pin=pins.former,
        former_pin_until=pins.former_until,
        provisional_pin=pins.provisional,
        provisional_epoch=None,
    )


def set_enrolled(tx: Transaction, channel_id: ChannelId, *, epoch: int, enrolled_at: datetime) -> None:
    """Mark a channel enrolled: a user's first TokenUpdate, or one that comes back after its end."""
    _update(
        tx,
        channel_id,
        state=EnrollmentState.ENROLLED.value,
        epoch=epoch,
        enrolled_at=enrolled_at,
        ended_at=None,
        ended_reason=None,
    )


def set_ended(tx: Transaction, channel_ids: Sequence[ChannelId], *, at: datetime, reason: EndReason) -> None:
    """Mark channels ended; nothing of theirs is deleted."""
    tx.connection.execute(
        sa.update(channels)
        .where(channels.c.id.in_(channel_ids), channels.c.state != EnrollmentState.ENDED.value)
        .values(state=EnrollmentState.ENDED.value, ended_at=at, ended_reason=reason.value)
    )


def set_dormant(tx: Transaction, channel_ids: Sequence[ChannelId]) -> None:
    """Mark those of *channel_ids* dormant that are enrolled."""
    _change_state(tx, channel_ids, EnrollmentState.ENROLLED, EnrollmentState.DORMANT)


def set_awake(tx: Transaction, channel_ids: Sequence[ChannelId]) -> None:
    """Mark those of *channel_ids* enrolled that are dormant; since when they are enrolled does not change."""
    _change_state(tx, channel_ids, EnrollmentState.DORMANT, EnrollmentState.ENROLLED)


def _change_state(
    tx: Transaction, channel_ids: Sequence[ChannelId], before: EnrollmentState, after: EnrollmentState
) -> None:
    for ids in slices(channel_ids):
        condition = sa.and_(channels.c.id.in_(ids), channels.c.state == before.value)
        tx.connection.execute(sa.update(channels).where(condition).values(state=after.value))


def take_end_back(tx: Transaction, channel_ids: Sequence[ChannelId], *, epoch: int, reason: EndReason) -> None:
    """Mark those channels enrolled again that ended in *epoch* for *reason*, as if they never had."""
    tx.connection.execute(
        sa.update(channels)
        .where(channels.c.id.in_(channel_ids), channels.c.epoch == epoch, channels.c.ended_reason == reason.value)
        .values(state=EnrollmentState.ENROLLED.value, ended_at=None, ended_reason=None)
    )


def _later(column: sa.ColumnElement[datetime | None]) -> sa.ColumnElement[datetime | None]:
    """The later of *column* and the parameter *at*."""
    at = sa.bindparam("at", type_=Instant)
    return sa.case((column > at, column), else_=at)


_OF_CHANNEL = sa.update(channels).where(channels.c.id == sa.bindparam("of_channel"))
_SET_CHECKED_IN = _OF_CHANNEL.values(checked_in_at=_later(channels.c.checked_in_at))
_TOUCH = _OF_CHANNEL.values(last_contact_at=_later(channels.c.last_contact_at))
# made once: building a statement costs more than running it on SQLite


def set_checked_in(tx: Transaction, channel_id: ChannelId, at: datetime) -> None:
    """Record when the journaled check-in had come that was processed last."""
    tx.connection.execute(_SET_CHECKED_IN, {"of_channel": channel_id, "at": at})


def checked_in_at(tx: Transaction, channel_id: ChannelId) -> datetime | None:
    """Tell when the journaled check-in had come that was processed last; None when none was."""
    value: datetime | None = tx.connection.scalar(
        sa.select(channels.c.checked_in_at).where(channels.c.id == channel_id)
    )
    return value


def ended_at(tx: Transaction, channel_id: ChannelId) -> datetime | None:
    """Tell when a channel ended; None when it is not ended."""
    value: datetime | None = tx.connection.scalar(sa.select(channels.c.ended_at).where(channels.c.id == channel_id))
    return value


def touch(
    tx: Transaction, channel_id: ChannelId, *, at: datetime, day: ContactDay, rhythm: bytes | None, source: str | None
) -> None:
    """Record a check-in as the contact it is; one that is told belatedly doesn't move the last contact back.

    *rhythm* and *source* absent: what is stored stays.
    """
    said = {"rhythm": rhythm, "last_source": source}
    known = {name: value for name, value in said.items() if value is not None}
    told = {"of_channel": channel_id, "at": at, "contact_day": day.day, "contact_strip": day.strip}
    tx.connection.execute(_TOUCH, {**told, **known})


@dataclass(frozen=True, slots=True)
class KnownContact:
    """What the channel's row says of its contacts: the strip of a day, the sketch of its rhythm, both absent before the
    first one, and whether a contact is to have it reviewed."""

    day: ContactDay | None
    rhythm: bytes | None
    is_watched: bool


_CONTACT = sa.select(channels.c.contact_day, channels.c.contact_strip, channels.c.rhythm, channels.c.is_watched).where(
    channels.c.id == sa.bindparam("of_channel")
)


def contact_of(tx: Transaction, channel_id: ChannelId) -> KnownContact:
    """Read what the channel's row says of its contacts; nothing of one that isn't stored."""
    row = tx.connection.execute(_CONTACT, {"of_channel": channel_id}).one_or_none()
    if row is None:
        return KnownContact(None, None, is_watched=False)
    day = None if row.contact_day is None else ContactDay(row.contact_day, row.contact_strip)
    return KnownContact(day, row.rhythm, row.is_watched)


def set_watched(tx: Transaction, channel_ids: Sequence[ChannelId], *, is_watched: bool) -> None:
    """Have each of *channel_ids* reviewed at its next contacts, or no more; rows that say so already aren't written."""
    for ids in slices(sorted(channel_ids)):
        tx.connection.execute(_SET_WATCHED, {"ids": ids, "is_watched": is_watched})


def claim_rows(tx: Transaction, channel_ids: Sequence[ChannelId]) -> tuple[ChannelId, ...]:
    """Lock those of the rows of *channel_ids* that no other transaction holds, and name them, sorted."""
    return tuple(ChannelId(one) for one in tx.connection.scalars(tx.claim(_CLAIM), {"ids": channel_ids}))


def keep_day(tx: Transaction, channel_id: ChannelId, *, day: int, strip: bytes) -> None:
    """Keep a finished day's strip."""
    insert = tx.insert(contact_days).values(channel_id=channel_id, day=day, strip=strip)
    tx.connection.execute(
        insert.on_conflict_do_update(index_elements=["channel_id", "day"], set_={"strip": insert.excluded.strip})
    )


def named(tx: Transaction, name: str, *, limit: int = 10) -> tuple[ChannelId, ...]:
    """Name what a person may mean by *name*: the channel with that id, else up to *limit* with that serial number."""
    by_id = tx.connection.scalar(sa.select(channels.c.id).where(channels.c.id == name))
    if by_id is not None:
        return (ChannelId(by_id),)
    return with_serial(tx, name.upper(), but=ChannelId(""), limit=limit)


def _update(tx: Transaction, channel_id: ChannelId, **values: object) -> None:
    tx.connection.execute(_OF_CHANNEL, {"of_channel": channel_id, **values})
