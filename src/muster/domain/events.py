"""What happened, told to others: events for the outbox, with stable identifiers and words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from muster.protocol.identifiers import ChannelId

Detail: TypeAlias = Mapping[str, str | int | bool | None]
"""What an event says beside its type and its channel."""


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

    RECOVERY_STARTED = "recovery.started"
    """Something is found against a channel, and the server began to bring it back; *reason* says what was found."""
    RECOVERY_PROVED = "recovery.proved"
    """What was found is gone, and the channel obeyed a harmless command after that."""
    RECOVERY_NEEDS_PERSON = "recovery.needs_person"
    """What comes next is a person's: *what* says what that is."""

    INCIDENT_OPENED = "incident.opened"
    """Of no channel: several devices have one cause in common, of ours or of theirs; told once for all of them."""
    INCIDENT_CLOSED = "incident.closed"
    WEBHOOK_TEST = "webhook.test"
    """Of no channel: an administrator tries a webhook; it goes to that one alone."""
    CONTROL_STATE_CHANGED = "control.state_changed"
    """A channel entered or left at_risk, inactive, out_of_control or ended: what others knew it as, and what it is."""
    CONTROL_MASS_FLIP_HELD = "control.mass_flip_held"
    """Of no channel: so many came out of control within an hour that telling others waits for a person's word."""
    CONTROL_MASS_FLIP_ENDED = "control.mass_flip_ended"
    """Of no channel: a person said whether others are told of those that were held."""


class MessageTopic(StrEnum):
    """What devices say, handed on as it came; MicroMDM's words, which NanoMDM took over.

    Webhooks of that format are told of these and of nothing else; others never are, for the messages hold secrets.
    """

    AUTHENTICATE = "mdm.Authenticate"
    TOKEN_UPDATE = "mdm.TokenUpdate"  # noqa: S105 - a message
    CHECK_OUT = "mdm.CheckOut"
    USER_AUTHENTICATE = "mdm.UserAuthenticate"
    SET_BOOTSTRAP_TOKEN = "mdm.SetBootstrapToken"  # noqa: S105 - a message
    GET_BOOTSTRAP_TOKEN = "mdm.GetBootstrapToken"  # noqa: S105 - a message
    DECLARATIVE_MANAGEMENT = "mdm.DeclarativeManagement"
    GET_TOKEN = "mdm.GetToken"  # noqa: S105 - a message
    RETURN_TO_SERVICE = "mdm.ReturnToService"
    """Newer than either of them."""
    CONNECT = "mdm.Connect"


@dataclass(frozen=True, slots=True)
class Event:
    """One event about one channel. The receiver may see an id twice, and keeps the first."""

    id: str
    type: EventType
    channel_id: ChannelId
    at: datetime
    detail: Detail = field(default_factory=dict)
