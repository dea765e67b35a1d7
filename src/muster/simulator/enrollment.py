"""A simulated device's enrollment: the profile it came with, its identity, and one line to the server per channel."""

import asyncio
from dataclasses import dataclass, field

from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.connect import Status
from muster.protocol.identifiers import Channel, Identifiers
from muster.protocol.profile import PER_USER_CONNECTIONS, EnrollmentProfile
from muster.simulator.contents import InstalledProfile
from muster.simulator.facts import User


class EnrollmentFailed(Exception):
    """An enrollment or its renewal came to nothing; what was before is as it was. *step* is where."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ReceivedProfile:
    """An enrollment profile as the MDM client reads it, and as it will lie on the device."""

    profile: EnrollmentProfile
    installed: InstalledProfile


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal that is under way: the server has heard no TokenUpdate under the new identity."""

    received: ReceivedProfile
    identity: SignerIdentity
    push_magic: str


@dataclass(slots=True)
class Line:
    """One channel as the device sees it.

    is_open: its user is logged in; pushes to a closed line wait at APNs. unsent_report: a result whose reply failed; it
    is sent again before anything else. owes_token_update: the last TokenUpdate failed. wants_connect: a push came, or
    the device has a reason of its own. is_awaiting_configuration: the device, or this user of a Shared iPad, is held in
    Setup Assistant. auth_token: what the server gave a network user, who shows it from then on. waits_at_login: the
    user waits at the login window for the end of the next session. makes_account: Setup Assistant does, and asks what
    holds for the password. is_at_console: the user sits before the Mac. in_use keeps requests of one channel one at a
    time.
    """

    identifiers: Identifiers
    channel: Channel
    user: User | None
    token: bytes
    push_magic: str
    is_open: bool = True
    unsent_report: bytes | None = None
    owes_token_update: bool = False
    is_awaiting_configuration: bool = False
    wants_connect: bool = False
    last_status: Status | None = None
    pushes_seen: int = 0
    auth_token: str | None = field(default=None, repr=False)
    waits_at_login: bool = False
    makes_account: bool = False
    is_at_console: bool = True
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Enrollment:
    """What is in force between the first Authenticate and the end. *renewal*: begun, and not in force yet."""

    profile: EnrollmentProfile
    identity: SignerIdentity
    device_line: Line
    user_lines: dict[User, Line] = field(default_factory=dict)
    renewal: Renewal | None = None

    @property
    def checkin_url(self) -> str:
        """Where check-in messages go."""
        return self.profile.check_in_url or self.profile.server_url

    @property
    def all_lines(self) -> tuple[Line, ...]:
        """The device's line, then those of all its users, logged in or not."""
        return (self.device_line, *self.user_lines.values())

    @property
    def lines(self) -> tuple[Line, ...]:
        """The device's line, then those of the users who are logged in."""
        return (self.device_line, *(line for line in self.user_lines.values() if line.is_open))


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds of an enrollment: enough to speak with the server again, and be out of date."""

    profile: EnrollmentProfile
    identity: SignerIdentity
    push_magic: str


UNCHANGEABLE = ("topic", "server_url", "check_in_url", "enrollment_mode", "assigned_managed_apple_id")


def forbidden_change(old: EnrollmentProfile, new: EnrollmentProfile) -> str | None:
    """Why *new* may not replace *old* in place (Apple, "MDM" payload), or None: what must stay, and rights may only
    shrink."""
    for name in UNCHANGEABLE:
        if getattr(old, name) != getattr(new, name):
            return f"{name} must not change"
    if (PER_USER_CONNECTIONS in old.server_capabilities) != (PER_USER_CONNECTIONS in new.server_capabilities):
        return f"{PER_USER_CONNECTIONS} must neither come nor go"
    if old.payload_identifier != new.payload_identifier:
        return "a device has one MDM payload only"
    if (new.access_rights or 0) & ~(old.access_rights or 0):
        return "access_rights may only lose bits"
    return None
