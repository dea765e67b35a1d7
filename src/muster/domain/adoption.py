"""What another server knows of its enrollments, as it is brought over."""

from dataclasses import dataclass, field
from datetime import datetime

from muster.protocol.identifiers import ChannelId


@dataclass(frozen=True, slots=True)
class QueuedElsewhere:
    """A command that waits there: the plist as the device would get it."""

    channel_id: ChannelId
    body: bytes = field(repr=False)
    priority: int = 0


@dataclass(frozen=True, slots=True)
class UserElsewhere:
    """One user of a device: the TokenUpdate that came last, when it came, and when anything came last."""

    token_update: bytes = field(repr=False)
    updated_at: datetime
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AdoptionOrder:
    """One enrolled device with its users: what they said there last, as it came, and what they are known by.

    *kept_as*: the id under which the other server has it. *certificate_der* is the device's identity; absent, *awaited*
    is its SHA-256 (32 bytes), if that is known.
    """

    kept_as: str
    authenticate: bytes = field(repr=False)
    token_update: bytes = field(repr=False)
    authenticated_at: datetime
    updated_at: datetime
    certificate_der: bytes | None = None
    awaited: bytes | None = None
    unlock_token: bytes | None = field(default=None, repr=False)
    bootstrap_token: bytes | None = field(default=None, repr=False)
    users: tuple[UserElsewhere, ...] = ()
    queue: tuple[QueuedElsewhere, ...] = ()
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PushCertificateElsewhere:
    """A push certificate that is in use there, with its key, PEM."""

    topic: str
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A device that is not brought over, and why: it is not enrolled there any more, or its record is not whole."""

    device_id: str
    why: str
