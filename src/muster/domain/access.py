"""Who may enroll, and who acts: enrollment links, the one-time challenges made from them, and actors."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.os_versions import build_key, version_key
from muster.domain.roles import Role
from muster.protocol.identifiers import DeviceId

ALL_ACCESS_RIGHTS = 8191
"""Every right of the MDM payload's AccessRights (Apple, "MDM"): bits 0 to 12."""
OUTSTANDING_CHALLENGES_PER_LINK = 1000
"""Fetched but unused challenges of one link at a time; fetching again is how a person retries, a flood is not."""


class ActorKind(StrEnum):
    """What kind of somebody acts."""

    ADMINISTRATOR = "administrator"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    """A program; *name* is that of its API token."""
    COMMAND_LINE = "command_line"
    DEVICE = "device"
    SERVER = "server"
    PROGRAM = "program"
    """A program of the administrators', by a key of its own."""
    ENROLLMENT_USER = "enrollment_user"
    """A person who enrolls devices; *name* is the user name."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit log names it."""

    kind: ActorKind
    name: str
    role: Role = Role.VIEWER
    """What somebody may do who is a person, or sits at the server."""
    source: str = ""
    """The address that the request came from; empty for who sits at the server, and for the server itself."""


SERVER = Actor(ActorKind.SERVER, "muster")
DEVICE = Actor(ActorKind.DEVICE, "device")


class LinkKind(StrEnum):
    """By which way a link lets devices in."""

    PROFILE = "profile"
    """A person opens it on the device and installs what it gives."""
    OTA = "ota"
    """The Profile Service: the device says who it is before it gets its profile."""
    ADE = "ade"
    """Automated Device Enrollment, asked by Setup Assistant."""
    ACCOUNT_USER = "account_user"
    """Account-driven User Enrollment (BYOD): a person signs in on a device of their own."""
    ACCOUNT_DEVICE = "account_device"
    """Account-driven Device Enrollment (ADDE)."""


class IdentityKind(StrEnum):
    """How a device comes by its identity."""

    SCEP = "scep"
    PKCS12 = "pkcs12"
    """Made by the server, key included, for where SCEP can't be used."""


DEFAULT_CAPABILITIES = (
    "com.apple.mdm.per-user-connections",
    "com.apple.mdm.bootstraptoken",
    "com.apple.mdm.token",
)
"""ServerCapabilities of the MDM payload (Apple, "MDM")."""

RENEWAL_RIGHTS = 3
"""Bits 0 and 1, inspecting and installing profiles: without them no identity could ever be renewed."""
PROVISIONING_RIGHTS = 192
"""Bits 6 and 7: installing provisioning profiles (128) goes with inspecting them (64)."""
MAXIMUM_SERIAL_NUMBERS = 10_000
"""That a link is bound to; they stand in its row, which each enrollment reads."""
MAXIMUM_SERIAL_CHARACTERS = 64
"""Of a serial number; Apple's have 10 to 14."""
_SHOWN = 64
"""Characters of what does not fit, in the words that say so."""


@dataclass(frozen=True, slots=True)
class EnrollmentLink:
    """A way in that an administrator opened. *uses_allowed* absent means any number until *expires_at*."""

    id: str
    created_at: datetime
    expires_at: datetime
    uses_allowed: int | None
    uses: int
    """Identities issued through it. Opening the link uses nothing up: browsers fetch twice, people try again."""
    revoked_at: datetime | None
    access_rights: int
    note: str
    kind: LinkKind = LinkKind.PROFILE
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    identity_kind: IdentityKind = IdentityKind.SCEP
    is_removal_disallowed: bool = False
    """PayloadRemovalDisallowed; devices heed it in Automated Device Enrollment only."""
    requires_sign_in: bool = False
    """Whether a person signs in before the profile is given."""
    serial_numbers: frozenset[str] | None = None
    """The devices that may use it; absent: any."""
    required_os_version: str | None = None
    """What an ADE device that can update itself must run before it enrolls."""
    required_build_version: str | None = None


def check_link(link: EnrollmentLink, *, allows_pkcs12: bool) -> Refusal | None:
    """Tell why *link* must not be made as it is, or None: what would strand or contradict the devices that use it."""
    reason = _unfit_rights(link.access_rights)
    remedy = ""
    if reason is None and link.identity_kind is IdentityKind.PKCS12:
        if not allows_pkcs12:
            reason = "identities made by the server (PKCS #12) are not allowed here, for their keys travel in profiles"
            remedy = "Set allow_pkcs12_identities where SCEP can't be used."
        elif link.kind is LinkKind.OTA:
            reason = "over-the-air enrollment proves the device by SCEP, so its identity can't be PKCS #12"
    if reason is None:
        reason = _unfit_version(link)
    if reason is None and link.serial_numbers is not None:
        reason = _unfit_serials(link.kind, link.serial_numbers)
    return None if reason is None else Refusal(RefusalCode.LINK_UNFIT, reason, remedy)


def _unfit_rights(access_rights: int) -> str | None:
    if not 0 < access_rights <= ALL_ACCESS_RIGHTS:
        return f"access rights are 1 to {ALL_ACCESS_RIGHTS}"
    if access_rights & RENEWAL_RIGHTS != RENEWAL_RIGHTS:
        return (
            f"access rights {access_rights} lack 1 (inspect profiles) or 2 (install profiles): "
            "the device's identity could never be renewed, so it would be lost when that expires"
        )
    if access_rights & PROVISIONING_RIGHTS == PROVISIONING_RIGHTS & ~64:
        return "access right 128 (install provisioning profiles) requires 64 (inspect them)"
    return None


def _unfit_version(link: EnrollmentLink) -> str | None:
    version, build = link.required_os_version, link.required_build_version
    if version is None:
        return None if build is None else "a required build goes with the version of the OS it is of"
    if link.kind is not LinkKind.ADE:
        return "only devices in Automated Device Enrollment update before they enroll"
    # what can't be compared would require nothing of any device
    if version_key(version) is None:
        return f"{version[:_SHOWN]!r} is no version of an OS, such as 17.4.1"
    if build is not None and build_key(build) is None:
        return f"{build[:_SHOWN]!r} is no build of an OS, such as 21E236"
    return None


def _unfit_serials(kind: LinkKind, serial_numbers: frozenset[str]) -> str | None:
    if kind is LinkKind.ACCOUNT_USER:
        return "devices in User Enrollment keep their serial numbers to themselves"
    if not serial_numbers:
        return "a link that is bound to serial numbers names one at least"
    if len(serial_numbers) > MAXIMUM_SERIAL_NUMBERS:
        return f"a link is bound to {MAXIMUM_SERIAL_NUMBERS} serial numbers at most"
    for serial in serial_numbers:
        if not serial.isascii() or not serial.isalnum() or len(serial) > MAXIMUM_SERIAL_CHARACTERS:
            return f"{serial[:MAXIMUM_SERIAL_CHARACTERS]!r} is no serial number"
    return None


def may_use_link(link: EnrollmentLink | None, now: datetime) -> Refusal | None:
    """Tell why *link* doesn't open, or None when it does."""
    if link is None:
        return Refusal(
            RefusalCode.LINK_UNKNOWN, "this enrollment link is not known", "Ask your administrator for a new link."
        )
    if link.revoked_at is not None:
        return Refusal(
            RefusalCode.LINK_REVOKED, "this enrollment link was withdrawn", "Ask your administrator for a new link."
        )
    if now >= link.expires_at:
        return Refusal(
            RefusalCode.LINK_EXPIRED,
            f"this enrollment link expired on {link.expires_at:%Y-%m-%d %H:%M} UTC",
            "Ask your administrator for a new link.",
        )
    if link.uses_allowed is not None and link.uses >= link.uses_allowed:
        return Refusal(
            RefusalCode.LINK_USED_UP,
            f"this enrollment link was good for {link.uses_allowed} enrollment(s), all used",
            "Ask your administrator for a new link.",
        )
    return None


@dataclass(frozen=True, slots=True)
class Grant:
    """For what, and for whom, a challenge or an identity was made: what tells a renewal from the rest."""

    provenance: Provenance
    link_id: str | None = None
    renewal_of: DeviceId | None = None
    profile_id: bytes | None = None
    """What the profile says, which the device is enrolled with; absent where that is not known."""
    expected_udid: str | None = None
    expected_serial: str | None = None
    """The device, where it is known beforehand."""
    account: str | None = None
    """The Managed Apple Account that signed in."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A one-time SCEP challenge, known by its hash. What it was made for is the provenance of what it buys."""

    secret_hash: bytes
    made_for: Grant
    expires_at: datetime
    used_at: datetime | None
    used_for_key: bytes | None
    """SHA-256 of the public key (SubjectPublicKeyInfo) it was used for."""
    identity_fingerprint: bytes | None


@dataclass(frozen=True, slots=True)
class IssueAgain:
    """The same device asks again for the same key, its reply having been lost: it gets the same certificate."""

    identity_fingerprint: bytes


def may_use_challenge(
    challenge: Challenge | None, link: EnrollmentLink | None, key: bytes, now: datetime
) -> IssueAgain | Refusal | None:
    """Tell what a request with *challenge* for the public key hash *key* gets; None: a certificate of its own.

    *link* is the one the challenge was made from; absent for a renewal's.
    """
    if challenge is None:
        return Refusal(RefusalCode.CHALLENGE_UNKNOWN, "the SCEP challenge is not known")
    if challenge.used_at is not None:
        if challenge.used_for_key == key and challenge.identity_fingerprint is not None:
            return IssueAgain(challenge.identity_fingerprint)
        return Refusal(RefusalCode.CHALLENGE_USED, "the SCEP challenge was used before, for another key")
    if now >= challenge.expires_at:
        return Refusal(
            RefusalCode.CHALLENGE_EXPIRED,
            f"the SCEP challenge expired on {challenge.expires_at:%Y-%m-%d %H:%M} UTC",
            "Open the enrollment link again for a fresh profile.",
        )
    return None if challenge.made_for.link_id is None else may_use_link(link, now)
