"""Whom a channel has to do with: the users of a device, and devices of the same serial number."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.control.dossier import LinkedDevice
from muster.domain.enrollment import EnrollmentState
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.identifiers import ChannelId
from muster.protocol.profile import PER_USER_CONNECTIONS
from muster.storage import enrollment_profiles
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import channels, device_facts, inventory_items

SAME_SERIAL_READ: Final = 10
"""Of one serial number: virtual machines share one by the hundred."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A device with a serial number."""

    device_id: ChannelId
    first_seen_at: datetime
    is_enrolled: bool


_USERS = (
    sa.select(channels.c.device_id, sa.func.count())
    .where(
        among(channels.c.device_id, "ids"),
        channels.c.id != channels.c.device_id,
        channels.c.state != EnrollmentState.ENDED.value,
    )
    .group_by(channels.c.device_id)
)
_LISTED = sa.select(inventory_items.c.channel_id, inventory_items.c.changed_at, inventory_items.c.detail).where(
    among(inventory_items.c.channel_id, "ids"), inventory_items.c.kind == InventoryKind.USER_LIST.value
)
_number = (
    sa.func.row_number()
    .over(partition_by=device_facts.c.serial_number, order_by=channels.c.first_seen_at.desc())
    .label("number")
)
_alike = (
    sa.select(device_facts.c.serial_number, channels.c.id, channels.c.first_seen_at, channels.c.state, _number)
    .join(channels, channels.c.id == device_facts.c.channel_id)
    .where(among(device_facts.c.serial_number, "serials"), channels.c.id == channels.c.device_id)
    .subquery()
)
_ALIKE = sa.select(_alike).where(_alike.c.number <= SAME_SERIAL_READ)
# made once: building a statement costs more than running it on SQLite


def read_users(tx: Transaction, device_ids: Sequence[ChannelId]) -> Mapping[ChannelId, int]:
    """Count the open user channels of devices; those without any are absent."""
    rows = tx.connection.execute(_USERS, {"ids": device_ids}).all() if device_ids else ()
    return {ChannelId(device_id): count for device_id, count in rows}


def read_logins(tx: Transaction, device_ids: Sequence[ChannelId]) -> Mapping[ChannelId, datetime]:
    """Tell since when somebody is logged in, by the devices' own lists of users; where nobody is they are absent.

    So are those whose enrollment profile allows users no channels of their own.
    """
    found: dict[ChannelId, datetime] = {}
    for channel_id, at, detail in tx.connection.execute(_LISTED, {"ids": device_ids}) if device_ids else ():
        if detail.get("IsLoggedIn") is True:
            found[channel_id] = min(at, found.get(channel_id, at))
    for channel_id in enrollment_profiles.lacking(tx, list(found), PER_USER_CONNECTIONS) if found else ():
        del found[channel_id]
    return found


def read_alike(tx: Transaction, serials: Sequence[str]) -> Mapping[str, list[Alike]]:
    """Read the devices of each serial number, up to SAME_SERIAL_READ, those first seen last."""
    found: dict[str, list[Alike]] = defaultdict(list)
    for serial, channel_id, first_seen_at, state, _ in (
        tx.connection.execute(_ALIKE, {"serials": serials}) if serials else ()
    ):
        found[serial].append(Alike(ChannelId(channel_id), first_seen_at, state == EnrollmentState.ENROLLED.value))
    return found


def linked(
    channel_id: ChannelId,
    serial: str | None,
    first_seen_at: datetime,
    alike: Sequence[Alike],
    cloned: Mapping[str, datetime],
) -> tuple[LinkedDevice, ...]:
    """Put together the other devices that a device has to do with, the newest last.

    *cloned*: devices that showed an identity of this one, and when.
    """
    by_serial = [
        LinkedDevice(
            one.device_id,
            cloned.get(one.device_id, one.first_seen_at),
            serial,
            is_new_hardware=one.first_seen_at > first_seen_at,
            used_our_identity=one.device_id in cloned,
            is_enrolled=one.is_enrolled,
        )
        for one in alike
        if one.device_id != channel_id
    ]
    known = {one.device_id for one in by_serial}
    by_identity = [
        LinkedDevice(ChannelId(name), at, None, used_our_identity=True)
        for name, at in cloned.items()
        if name not in known
    ]
    return tuple(sorted((*by_serial, *by_identity), key=lambda one: one.seen_at))
