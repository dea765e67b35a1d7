"""Channels, their facts and epochs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.device_users import UserChannel
from muster.domain.enrollment import EndReason, Enrollment, EnrollmentState, Pins, Provenance
from muster.domain.inventory.standing import STANDING_NAMES
from muster.domain.os_versions import sortable
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId
from muster.protocol.os_family import family_of
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, contact_days, device_facts, epochs
from muster.storage.types import Instant


@dataclass(frozen=True, slots=True)
class Facts:
    """What the device said of itself when it enrolled, or of the user. Absent: it did not say."""

    serial_number: str | None = None
    product_name: str | None = None
    model: str | None = None
    model_name: str | None = None
    device_name: str | None = None
    os_version: str | None = None
    build_version: str | None = None
    imei: str | None = None
    meid: str | None = None
    user_short_name: str | None = None
    user_long_name: str | None = None
    awaiting_configuration: bool | None = None
    account: str | None = None


_device = channels.alias("device")
_FIND = (
    sa.select(
        channels.c.id,
        channels.c.device_id,
        channels.c.kind,
        channels.c.state,
        channels.c.epoch,
        channels.c.ended_reason,
        _device.c.provisional_epoch,
        _device.c.pin,
        _device.c.former_pin,
        _device.c.former_pin_until,
        _device.c.provisional_pin,
    )
    .join(_device, _device.c.id == channels.c.device_id)
    .where(among(channels.c.id, "ids"))
)
# made once: building a statement costs more than running it on SQLite
_KINDS = {kind.value: kind for kind in ChannelKind}
_STATES = {state.value: state for state in EnrollmentState}  # looked up a thousand times, which Enum is slow at


def find(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, Enrollment]:
    """Read the enrollments of *channel_ids*; those not stored are absent. Lock the rows first to decide on them."""
    return {
        channel_id: Enrollment(
            Channel(channel_id, device_id, _KINDS[kind]),
            _STATES[state],
            epoch,
            provisional_epoch,
            Pins(*pins),
            None if ended_reason is None else EndReason(ended_reason),
        )
        for (channel_id, device_id, kind, state, epoch, ended_reason, provisional_epoch, *pins) in _rows(
            tx, channel_ids
        )
    }


def _rows(tx: Transaction, channel_ids: Sequence[ChannelId]) -> Iterable[tuple[Any, ...]]:
    return tx.connection.execute(_FIND, {"ids": channel_ids}).all()


def user_channels_of(tx: Transaction, device_id: DeviceId) -> tuple[ChannelId, ...]:
    """Name the user channels of a device, sorted."""
    rows = tx.connection.scalars(
        sa.select(channels.c.id).where(channels.c.device_id == device_id, channels.c.id != device_id)
    )
    return tuple(sorted(rows))


def users_of(tx: Transaction, device_id: DeviceId) -> tuple[UserChannel, ...]:
    """Read the user channels of a device as decisions about its users need them, sorted by id."""
    rows = tx.connection.execute(
        sa.select(
            channels.c.id, channels.c.kind, channels.c.state, channels.c.last_contact_at, device_facts.c.user_short_name
        )
        .select_from(channels.outerjoin(device_facts))
        .where(channels.c.device_id == device_id, channels.c.id != device_id)
        .order_by(channels.c.id)
    )
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


def set_checked_in(tx: Transaction, channel_id: ChannelId, at: datetime) -> None:
    """Record when the journaled check-in had come that was processed last."""
    later = sa.case((channels.c.checked_in_at > at, channels.c.checked_in_at), else_=sa.literal(at, Instant))
    _update(tx, channel_id, checked_in_at=later)


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


def touch(tx: Transaction, channel_id: ChannelId, *, at: datetime, day: int, strip: bytes) -> None:
    """Record a check-in as the contact it is; one that is told belatedly doesn't move the last contact back."""
    last = sa.case((channels.c.last_contact_at > at, channels.c.last_contact_at), else_=sa.literal(at, Instant))
    _update(tx, channel_id, last_contact_at=last, contact_day=day, contact_strip=strip)


def contact_of(tx: Transaction, channel_id: ChannelId) -> tuple[int, bytes] | None:
    """Read the strip of contacts in the channel's row; None before the first contact."""
    row = tx.connection.execute(
        sa.select(channels.c.contact_day, channels.c.contact_strip).where(channels.c.id == channel_id)
    ).one_or_none()
    return None if row is None or row.contact_day is None else (row.contact_day, row.contact_strip)


def keep_day(tx: Transaction, channel_id: ChannelId, *, day: int, strip: bytes) -> None:
    """Keep a finished day's strip."""
    insert = tx.insert(contact_days).values(channel_id=channel_id, day=day, strip=strip)
    tx.connection.execute(
        insert.on_conflict_do_update(index_elements=["channel_id", "day"], set_={"strip": insert.excluded.strip})
    )


def store_facts(tx: Transaction, channel_id: ChannelId, facts: Facts, learned_at: datetime) -> None:
    """Store what was said; what was not said this time stays as it was."""
    said = {name: value for name in Facts.__dataclass_fields__ if (value := getattr(facts, name)) is not None}
    said |= _derived(facts) | {"learned_at": learned_at}
    insert = tx.insert(device_facts).values(channel_id=channel_id, **said)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["channel_id"], set_=said))


def standing_of(tx: Transaction, channel_id: ChannelId) -> dict[str, bool | float | str | None]:
    """Read how a device stands by its inventory, by the names of `Standing`; empty where nothing is stored."""
    columns = [device_facts.c[name] for name in STANDING_NAMES]
    row = tx.connection.execute(sa.select(*columns).where(device_facts.c.channel_id == channel_id)).one_or_none()
    return {} if row is None else dict(zip(STANDING_NAMES, row, strict=True))


def store_standing(
    tx: Transaction, channel_id: ChannelId, standing: Mapping[str, bool | float | str], inventory_at: datetime | None
) -> None:
    """Store how a device stands; what is not in *standing* stays. *inventory_at* is absent where it stays, too."""
    values: dict[str, object] = dict(standing)
    if inventory_at is not None:
        values["inventory_at"] = inventory_at
    if values:
        tx.connection.execute(sa.update(device_facts).where(device_facts.c.channel_id == channel_id).values(values))


def forget_standing(tx: Transaction, channel_id: ChannelId) -> None:
    """Forget how a device stood, for a new life of it begins. Its inventory stays, with the times it is of."""
    nothing: dict[str, None] = dict.fromkeys((*STANDING_NAMES, "inventory_at"))
    tx.connection.execute(sa.update(device_facts).where(device_facts.c.channel_id == channel_id).values(nothing))


def _derived(facts: Facts) -> dict[str, str]:
    """Tell what follows from what was said, and is asked for by queries."""
    family = family_of(facts.product_name) or family_of(facts.model)
    derived = {"family": None if family is None else family.value, "os_version_key": sortable(facts.os_version)}
    return {name: value for name, value in derived.items() if value is not None}


def facts_of(tx: Transaction, channel_id: ChannelId) -> Facts:
    """Read what a channel said of itself; nothing where it said nothing."""
    columns = [device_facts.c[name] for name in Facts.__dataclass_fields__]
    row = tx.connection.execute(sa.select(*columns).where(device_facts.c.channel_id == channel_id)).one_or_none()
    return Facts() if row is None else Facts(*row)


def with_serial(tx: Transaction, serial_number: str, *, but: ChannelId, limit: int) -> tuple[ChannelId, ...]:
    """Name up to *limit* channels that said they have *serial_number*, sorted, other than *but*."""
    rows = tx.connection.scalars(
        sa.select(device_facts.c.channel_id)
        .where(device_facts.c.serial_number == serial_number, device_facts.c.channel_id != but)
        .order_by(device_facts.c.channel_id)
        .limit(limit)
    )
    return tuple(ChannelId(channel_id) for channel_id in rows)


def account_of(tx: Transaction, channel_id: ChannelId) -> str | None:
    """Read the account in whose name a device was enrolled; None where there was none."""
    return tx.connection.scalar(sa.select(device_facts.c.account).where(device_facts.c.channel_id == channel_id))


def open_epoch(
    tx: Transaction, device_id: DeviceId, *, number: int, identity: bytes, provenance: Provenance, at: datetime
) -> None:
    """Record that an epoch opened provisionally; the same one again is no news."""
    tx.connection.execute(
        tx.insert(epochs)
        .values(device_id=device_id, number=number, identity=identity, provenance=provenance.value, opened_at=at)
        .on_conflict_do_nothing()
    )


def last_epoch(tx: Transaction, device_id: DeviceId) -> int:
    """Return the highest number that an epoch of the device ever had; 0 when there was none."""
    number = tx.connection.scalar(sa.select(sa.func.max(epochs.c.number)).where(epochs.c.device_id == device_id))
    return number or 0


def close_epochs(tx: Transaction, device_id: DeviceId, *, before: int, at: datetime) -> None:
    """Close the epochs below *before*: as replaced where they were current, else as never completed."""
    is_open = sa.and_(epochs.c.device_id == device_id, epochs.c.number < before, epochs.c.closed_at.is_(None))
    for was_current, reason in ((True, EndReason.RE_ENROLLED), (False, EndReason.NEVER_COMPLETED)):
        condition = epochs.c.current_from.is_not(None) if was_current else epochs.c.current_from.is_(None)
        tx.connection.execute(
            sa.update(epochs).where(is_open, condition).values(closed_at=at, closed_reason=reason.value)
        )


def start_epoch(tx: Transaction, device_id: DeviceId, *, number: int, at: datetime) -> None:
    """Record that a provisional epoch became current."""
    tx.connection.execute(
        sa.update(epochs)
        .where(epochs.c.device_id == device_id, epochs.c.number == number)
        .values(current_from=at, closed_at=None, closed_reason=None)
    )


def _update(tx: Transaction, channel_id: ChannelId, **values: object) -> None:
    tx.connection.execute(sa.update(channels).where(channels.c.id == channel_id).values(**values))
