"""How devices are let go: on purpose, counted, and by the reply that their version of the OS understands.

Two ways lead out. *Unenrolling* removes the enrollment profile by a command, which the device answers. *Rejecting*
turns the device away at its next contact, by a reply that makes it remove its management. Nothing else does.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.domain.enrollment import Enrollment, EnrollmentState, Identity, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import DeviceId

LEAVINGS_COUNTED_FOR = timedelta(hours=1)
"""For how long a leaving counts towards the limit."""


class DepartureKind(StrEnum):
    """By which way a device is let go."""

    UNENROLL = "unenroll"
    REJECT = "reject"
    ON_ENROLL = "on_enroll"
    """The policy of that name refused it."""
    ON_RESTORE = "on_restore"
    """The policy of that name refused it."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A device was let go, in its epoch *epoch* (0: it had none). *identity*: the one that a policy refused."""

    id: str
    device_id: DeviceId
    kind: DepartureKind
    epoch: int
    ordered_at: datetime
    ordered_by: str
    is_counted: bool = True
    """Whether it counts towards the limit: not where nothing was enrolled that could be lost."""
    identity: bytes | None = None
    delivered_at: datetime | None = None
    """When the device had it: the answer to its removal, or the first contact that was turned away."""
    failed_at: datetime | None = None
    """When it said that it can't remove its profile."""
    withdrawn_at: datetime | None = None


# --- which reply ------------------------------------------------------------------------------------------------------


class LeavingReply(StrEnum):
    """The two replies that make a device remove its management (Apple, error "unrecognized.device", and 401)."""

    UNAUTHORIZED = "unauthorized"
    """401: understood by every version, but in account-driven enrollments it asks for another sign-in."""
    UNRECOGNIZED_DEVICE = "unrecognized_device"
    """403 with Apple's code, by those who know it."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """This contact gets the reply *how*, for the reason *code*: a decision, never the outcome of an error."""

    how: LeavingReply
    code: RefusalCode


KNOWS_THE_CODE_FROM: Final = (
    # ProductName begins with; the first version that knows com.apple.unrecognized.device
    ("iPhone", (17, 0)),
    ("iPad", (17, 0)),
    ("iPod", (17, 0)),
    ("AppleTV", (17, 0)),
    ("RealityDevice", (1, 1)),
    ("Watch", (10, 0)),
    ("Mac", (14, 0)),
    ("iMac", (14, 0)),
    ("VirtualMac", (14, 0)),
)
_VERSION: Final = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?")


def leaving_reply(product_name: str | None, os_version: str | None, *, is_account_driven: bool) -> LeavingReply:
    """Choose the reply that makes a device leave which says of itself what is given; None where it does not say.

    Who doesn't say gets the 401, which versions of both kinds heed.
    """
    if is_account_driven:
        return LeavingReply.UNRECOGNIZED_DEVICE
    version = None if os_version is None else _VERSION.match(os_version)
    if product_name is None or version is None:
        return LeavingReply.UNAUTHORIZED
    runs = (int(version[1]), int(version[2] or 0))
    for prefix, known_from in KNOWS_THE_CODE_FROM:
        if product_name.startswith(prefix):
            return LeavingReply.UNRECOGNIZED_DEVICE if runs >= known_from else LeavingReply.UNAUTHORIZED
    return LeavingReply.UNAUTHORIZED


# --- who is turned away -----------------------------------------------------------------------------------------------


def is_turned_away(rejection: Departure, identity: Identity, enrollment: Enrollment, now: datetime) -> bool:
    """Tell whether a contact under *identity*, at *now*, is turned away by *rejection* of *enrollment*'s device.

    Every identity is that speaks for the life of the device which was rejected. One that began another life since is
    not: a device enrolled anew by a link is welcome. *enrollment* is the device channel's.
    """
    device_id = enrollment.channel.device_id
    is_its_own = identity.device_id == device_id or (identity.device_id is None and identity.renewal_of == device_id)
    if not is_its_own or now < rejection.ordered_at:
        return False
    if identity.epoch is not None:
        return identity.epoch <= rejection.epoch
    if identity.fingerprint == enrollment.pins.provisional and enrollment.provisional_epoch is not None:
        return False  # what was provisional then was forgotten: this one began since
    if identity.provenance is Provenance.RENEWAL and enrollment.epoch <= rejection.epoch:
        return True
    return identity.issued_at is None or identity.issued_at <= rejection.ordered_at


def refusing_policy(identity: Identity, enrollment: Enrollment | None) -> DepartureKind | None:
    """Tell which policy has a say in an Authenticate that opens an epoch; None: it is nobody's business.

    One that is said again is none, nor the same profile installed over itself.
    """
    if enrollment is not None and identity.fingerprint == enrollment.pins.provisional:
        return None
    if identity.epoch is None:
        # an administrator had it return to service: erased and refused, it would be lost
        is_return = identity.link_id is None and identity.expected_udid is not None
        return DepartureKind.ON_ENROLL if identity.provenance is Provenance.LINK and not is_return else None
    is_in_force = enrollment is not None and enrollment.state is EnrollmentState.ENROLLED
    if enrollment is not None and is_in_force and identity.fingerprint == enrollment.pins.current:
        return None
    return DepartureKind.ON_RESTORE


# --- how many ---------------------------------------------------------------------------------------------------------


def within_limit(wanted: int, *, counted: int, limit: int, named_count: int | None, given: int) -> Refusal | None:
    """Tell why *wanted* more devices can't be let go now, or None when they can.

    *counted* have been within the last hour, of at most *limit*. Who names the count of the *given* devices exactly
    means them all, and is not limited.
    """
    if named_count is not None and named_count != given:
        return Refusal(
            RefusalCode.COUNT_WRONG,
            f"the count named is {named_count}, and {given} devices are given",
            "Look at the devices again; nothing was done.",
        )
    if named_count is not None or wanted == 0 or counted + wanted <= limit:
        return None
    return Refusal(
        RefusalCode.LEAVINGS_LIMITED,
        f"{wanted} more would make {counted + wanted} devices let go within an hour; the limit is {limit}",
        f"If all of them are meant, say how many: `muster devices unenroll` and `reject` take --count {given}.",
    )
