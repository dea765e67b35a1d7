"""What happened, told to others: events for the outbox, with stable identifiers and words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from muster.protocol.identifiers import ChannelId


class EventType(StrEnum):
    """The closed list of event types; they stand in subscriptions and webhooks."""

    DEVICE_ENROLLED = "device.enrolled"
    DEVICE_RENEWED_IDENTITY = "device.renewed_identity"
    DEVICE_IDENTITY_EXPIRING = "device.identity_expiring"
    """30, 7 and 1 days before the end of an identity that is not renewed."""
    DEVICE_IDENTITY_EXPIRED = "device.identity_expired"
    DEVICE_CHECKED_OUT = "device.checked_out"
    DEVICE_UNENROLLED = "device.unenrolled"
    DEVICE_REJECTED = "device.rejected"
    DEVICE_IDENTITY_CLONED = "device.identity_cloned"
    """Its identity was used by another device, which was refused; *newcomer* is who that says it is."""
    DEVICE_SAME_SERIAL = "device.same_serial"
    """A new device has the serial number of one known before: a repaired board, or virtual machines."""
    USER_ENROLLED = "user.enrolled"
    DATABASE_ROLLED_BACK = "database.rolled_back"
    """Of no channel: the database was restored from a backup, and was told by the journal what it missed."""
    PUSH_CERTIFICATE_EXPIRING = "push_certificate.expiring"
    """Of no channel: 60, 30, 14, 7, 3 and 1 days before the end of a push certificate that is not renewed."""
    PUSH_CERTIFICATE_EXPIRED = "push_certificate.expired"
    """Of no channel: a push certificate has ended, and the devices that listen to its topic can't be woken."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event about one channel. The receiver may see an id twice, and keeps the first."""

    id: str
    type: EventType
    channel_id: ChannelId
    at: datetime
    detail: Mapping[str, str | int | bool | None] = field(default_factory=dict)
