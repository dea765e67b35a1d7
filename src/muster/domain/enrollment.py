"""What Authenticate, TokenUpdate and CheckOut mean for an enrollment: epochs, pins, and who may speak.

An *epoch* is one life of an enrollment, from the TokenUpdate that completes it to the next one that replaces it.
Authenticate only opens it provisionally: until its TokenUpdate the former pins, token, queue and escrow stay in
force. A renewal of the identity opens no epoch. Nothing is ever purged. Source: Apple, "Authenticate",
"TokenUpdate", "Check-in"; the reading is ours, see docs/protocol/choices.md.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, assert_never

from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId
from muster.protocol.records import record


class EnrollmentState(StrEnum):
    """Where the channel's enrollment stands. Whether it is under control is another question."""

    ENROLLING = "enrolling"
    """Authenticate came, its TokenUpdate not yet, and there was no enrollment before it."""
    ENROLLED = "enrolled"
    DORMANT = "dormant"
    """A Shared iPad's user who is not logged in: token and queue are kept, nothing is pushed, any contact wakes it."""
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an enrollment or an epoch ended."""

    CHECKED_OUT = "checked_out"
    RE_ENROLLED = "re_enrolled"
    NEVER_COMPLETED = "never_completed"
    UNENROLLED = "unenrolled_by_us"
    REJECTED = "rejected_by_us"
    USER_EVICTED = "user_evicted"
    """A Shared iPad has the user no more."""
    USER_DELETED = "user_deleted_by_us"


class Provenance(StrEnum):
    """For what an identity was issued. It is what tells a renewal from a re-enrollment."""

    LINK = "link"
    RENEWAL = "renewal"
    ADOPTED = "adopted"
    """Issued by another server, from which the device came over with its enrollment."""
    OTA = "ota"
    """The Profile Service's second phase: it signs the third, and enrolls nothing."""


@record(frozen=True, slots=True)
class Identity:
    """A device identity that we issued. *device_id* is absent until an Authenticate has used it."""

    fingerprint: bytes
    device_id: DeviceId | None
    provenance: Provenance
    renewal_of: DeviceId | None
    not_after: datetime
    link_id: str | None = None
    is_replaced: bool = False
    """It was renewed before any device used it; its successor enrolls in its place."""
    profile_id: bytes | None = None
    """What the device was enrolled with; absent where that is not known."""
    expected_udid: str | None = None
    expected_serial: str | None = None
    """The device it was made for, where that was known; it enrolls no other."""
    account: str | None = None
    """The Managed Apple Account that signed in for it."""
    epoch: int | None = None
    """The epoch in which it is or was the pin; absent when it never was."""
    retired_at: datetime | None = None
    """When another took its place as the pin; of a renewal that was not used, when that life of the device ended."""
    issued_at: datetime | None = None


class Pins(NamedTuple):
    """Which identities may speak for a device; SHA-256 of the certificate's DER, 32 bytes each.

    A named tuple, as `Enrollment` and `Channel` are, for each connect and each recipient has one: a frozen dataclass
    takes four times as long to make.
    """

    current: bytes | None = None
    former: bytes | None = None
    former_until: datetime | None = None
    provisional: bytes | None = None


class Enrollment(NamedTuple):
    """The device or user channel as stored. *pins* and *provisional_epoch* are the device's, for its users too."""

    channel: Channel
    state: EnrollmentState
    epoch: int
    """Number of the current epoch; 0 before the first TokenUpdate."""
    provisional_epoch: int | None
    pins: Pins
    ended_reason: EndReason | None = None


class Speaker(StrEnum):
    """As what the identity behind a message speaks for the device."""

    CURRENT = "current"
    FORMER = "former"
    """The pin before a renewal, in the days for which it stays good."""
    PROVISIONAL = "provisional"
    """Introduced by an Authenticate; its TokenUpdate is still to come."""
    RENEWAL = "renewal"
    """Issued to renew this device's identity in this life, and not used yet: devices may leave the Authenticate out, or
    another came between. Which of several renewals is the one, the device says by using it."""
    SUPERSEDED = "superseded"
    """A pin of this epoch until a renewal replaced it: the device was restored from an older backup."""


def who_speaks(pins: Pins, fingerprint: bytes, now: datetime) -> Speaker | None:
    """Tell which of the device's pins *fingerprint* is; None when it may not speak for the device.

    Expiry of the certificate isn't looked at: see `lane_of`. Of an identity that is no pin, `who_speaks_unpinned` says
    more.
    """
    # first, for it is the current one too where the profile was installed again with the identity it had
    if fingerprint == pins.provisional:
        return Speaker.PROVISIONAL
    if fingerprint == pins.current:
        return Speaker.CURRENT
    if fingerprint == pins.former and pins.former_until is not None and now < pins.former_until:
        return Speaker.FORMER
    return None


def who_speaks_unpinned(enrollment: Enrollment, identity: Identity | None) -> Speaker | None:
    """Tell as what *identity*, which is none of the device's pins, speaks for *enrollment*; None: it may not.

    *identity* is absent when we issued no such certificate. An identity of an earlier epoch may not speak: that life of
    the device is over.
    """
    if identity is None or identity.is_replaced:
        return None
    device_id = enrollment.channel.device_id
    if identity.device_id not in (None, device_id):
        return None
    if is_renewal_to_come(identity, enrollment):
        return Speaker.RENEWAL
    is_of_this_epoch = identity.device_id is not None and identity.epoch == enrollment.epoch
    return Speaker.SUPERSEDED if is_of_this_epoch else None


def is_renewal_to_come(identity: Identity, enrollment: Enrollment) -> bool:
    """Tell whether *identity* was issued to renew the device in the life that *enrollment* is, and was not used yet."""
    is_of_device = identity.renewal_of == enrollment.channel.device_id
    return is_of_device and identity.epoch is None and identity.retired_at is None and enrollment.epoch > 0


class Lane(StrEnum):
    """How much of the service an identity gets."""

    FULL = "full"
    RENEWAL = "renewal"
    """The restricted lane: its renewal to fetch, reports, TokenUpdate and CheckOut; no other command, no secret."""


def lane_of(speaker: Speaker, not_after: datetime, now: datetime, restricted_lane: timedelta) -> Lane | Refusal:
    """Tell how much an identity gets that speaks as *speaker* and is valid until *not_after*.

    For *restricted_lane* after its expiry a device is let in to renew; refused for good, it would be lost.
    """
    if now >= not_after + restricted_lane:
        return Refusal(
            RefusalCode.IDENTITY_EXPIRED,
            f"the identity expired on {not_after:%Y-%m-%d}, too long ago to be renewed",
            "Enroll the device again.",
        )
    return Lane.RENEWAL if now >= not_after or speaker is Speaker.SUPERSEDED else Lane.FULL


def restricted(speaker: Speaker) -> Refusal:
    """Say no to what the restricted lane doesn't hold."""
    if speaker is Speaker.SUPERSEDED:
        return Refusal(
            RefusalCode.IDENTITY_SUPERSEDED,
            "the identity was renewed since; until the device has its renewal again, it gets nothing else",
        )
    return Refusal(
        RefusalCode.IDENTITY_EXPIRED, "the identity has expired; until it is renewed, the device gets nothing else"
    )


GOING_BACK: Final = timedelta(days=1)
"""For how long after a renewal a message under the former identity may be a straggler; reports come by either one."""


def has_gone_back(pins: Pins, speaker: Speaker, now: datetime, former_pin_lifetime: timedelta) -> bool:
    """Tell whether a device that speaks as *speaker* went back to its former identity without a word about it."""
    if speaker is not Speaker.FORMER or pins.former_until is None:
        return False
    return now >= pins.former_until - former_pin_lifetime + GOING_BACK


def waits_for_token_update(enrollment: Enrollment, speaker: Speaker) -> bool:
    """Tell whether a device that speaks as *speaker* is about its renewal, and only its TokenUpdate is missing."""
    is_introduced = speaker is Speaker.PROVISIONAL and enrollment.provisional_epoch is None
    return enrollment.state is EnrollmentState.ENROLLED and (is_introduced or speaker is Speaker.RENEWAL)


def has_moved_on(renewed: Identity, now: datetime) -> bool:
    """Tell whether a device that connects by *renewed*, its renewal, does so for good without a TokenUpdate.

    One that installs a renewal says it within seconds. Waited for longer, nothing would ever be handed out to it.
    """
    return renewed.issued_at is not None and now >= renewed.issued_at + GOING_BACK


def shows_return(speaker: Speaker, ended_at: datetime, now: datetime) -> bool:
    """Tell whether a message of *speaker* shows that a device which left, at *ended_at*, is managed after all.

    By an older identity it does so once no straggler can be meant: a backup was restored that was made before the
    renewal, and nothing but a return gets the device its renewal.
    """
    match speaker:
        case Speaker.CURRENT:
            return now >= ended_at
        case Speaker.FORMER | Speaker.SUPERSEDED:
            return now >= ended_at + GOING_BACK
        case Speaker.PROVISIONAL | Speaker.RENEWAL:
            return False
        case _:
            assert_never(speaker)


def goes_on(enrollment: Enrollment, fingerprint: bytes) -> bool:
    """Tell whether *fingerprint* speaks for the enrollment in force although an Authenticate under it was heard since.

    Such an Authenticate may be a copy of the first one, come late or sent again by a proxy. Until a TokenUpdate says
    that the profile was installed again, the device lacks nothing that it had.
    """
    return enrollment.state is EnrollmentState.ENROLLED and fingerprint == enrollment.pins.current


# --- Authenticate ---------------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class OpenEpoch:
    """A new life of the device begins provisionally, under *number*."""

    number: int


@record(frozen=True, slots=True)
class ExpectRenewal:
    """The device installs its renewed identity; its TokenUpdate will complete that."""


def read_authenticate(
    channel: Channel,
    identity: Identity | None,
    enrollment: Enrollment | None,
    *,
    now: datetime,
    last_epoch: int = 0,
    serial_number: str | None = None,
    allowed_serials: frozenset[str] | None = None,
) -> OpenEpoch | ExpectRenewal | Refusal:
    """Decide what an Authenticate on *channel* under *identity* means.

    *identity* is absent when we issued no such certificate; *enrollment* when the device is new to us. *last_epoch* is
    the highest number an epoch of the device ever had: a number is never given twice. *serial_number* is what the
    device says of itself, *allowed_serials* whom the link behind the identity lets in; absent: everybody. The rows are
    those of "Reading Authenticate and TokenUpdate" in docs/protocol/choices.md.
    """
    if identity is None:
        return Refusal(RefusalCode.IDENTITY_UNKNOWN, "the identity was not issued by this server")
    if identity.is_replaced:
        return Refusal(RefusalCode.IDENTITY_SUPERSEDED, "the identity was renewed before it was ever used")
    if identity.provenance is Provenance.OTA:
        return Refusal(RefusalCode.IDENTITY_NOT_FOR_ENROLLMENT, "the identity is good for fetching a profile only")
    if identity.device_id is not None and identity.device_id != channel.device_id:
        return Refusal(
            RefusalCode.IDENTITY_OF_ANOTHER_DEVICE,
            f"the identity belongs to {identity.device_id}, not to {channel.device_id}",
            "An identity was copied to a second device (migration or cloning): enroll one of the two again.",
        )
    if enrollment is not None and identity.fingerprint == enrollment.pins.provisional:
        # said again, as devices do when the reply was lost
        repeated = enrollment.provisional_epoch
        return ExpectRenewal() if repeated is None else OpenEpoch(repeated)
    if identity.device_id is None and not _is_for(identity, channel, serial_number, allowed_serials):
        return Refusal(
            RefusalCode.IDENTITY_OF_ANOTHER_DEVICE,
            f"the identity was made for another device than {channel.device_id}, serial number {serial_number}",
            "Each device takes its own profile or link.",
        )
    match identity.provenance:
        case Provenance.RENEWAL if identity.renewal_of != channel.device_id:
            return Refusal(
                RefusalCode.IDENTITY_OF_ANOTHER_DEVICE,
                f"the identity was issued to renew {identity.renewal_of}, not {channel.device_id}",
            )
        case Provenance.RENEWAL if enrollment is not None and is_renewal_to_come(identity, enrollment):
            return ExpectRenewal()
        case Provenance.RENEWAL | Provenance.LINK | Provenance.ADOPTED if now >= identity.not_after:
            # what a device left behind years ago, or a copy of what it once said, doesn't take its enrollment over
            return Refusal(
                RefusalCode.IDENTITY_EXPIRED,
                f"the identity expired on {identity.not_after:%Y-%m-%d}; nothing is enrolled with it",
                "Open an enrollment link for a fresh profile.",
            )
        case Provenance.RENEWAL | Provenance.LINK | Provenance.ADOPTED:
            return OpenEpoch(_next_epoch(enrollment, last_epoch))
        case _:
            assert_never(identity.provenance)


def _is_for(
    identity: Identity, channel: Channel, serial_number: str | None, allowed_serials: frozenset[str] | None
) -> bool:
    """Tell whether the device is one that the identity was made for; who keeps its serial number to itself is not."""
    if identity.expected_udid is not None and identity.expected_udid != channel.device_id:
        return False
    if identity.expected_udid is None and identity.expected_serial not in (None, serial_number):
        return False
    return allowed_serials is None or serial_number in allowed_serials


def _next_epoch(enrollment: Enrollment | None, last_epoch: int) -> int:
    if enrollment is None:
        return last_epoch + 1
    return max(enrollment.epoch, enrollment.provisional_epoch or 0, last_epoch) + 1


# --- TokenUpdate ----------------------------------------------------------------------------------------------------


class TokenUpdateMeaning(StrEnum):
    """What a TokenUpdate of the device channel does to its enrollment."""

    REFRESH = "refresh"
    """The same epoch goes on: a retransmission, a rotated token, an OS upgrade, a restored backup."""
    RENEWED = "renewed"
    """The renewed identity is used for the first time: it becomes the pin, the former stays good for a while."""
    ENROLLED = "enrolled"
    """The provisional epoch becomes the current one; the epoch before it is closed."""
    WENT_BACK = "went_back"
    """The device speaks by the pin before its renewal again: the installation came to nothing, or it was restored. That
    identity is the pin again, however often renewals fail; the renewed one stays good for a while."""
    RESTORED = "restored"
    """The device speaks by an identity that was renewed since: it was restored from an older backup. The pins stay."""


@record(frozen=True, slots=True)
class TokenUpdateDecision:
    """The enrollment after the message, and what it meant."""

    meaning: TokenUpdateMeaning
    epoch: int
    pins: Pins


def read_token_update(
    enrollment: Enrollment, fingerprint: bytes, speaker: Speaker, now: datetime, former_pin_lifetime: timedelta
) -> TokenUpdateDecision:
    """Decide what a device channel's TokenUpdate by *fingerprint*, speaking as *speaker*, means for *enrollment*."""
    pins = enrollment.pins
    renewed = Pins(current=fingerprint, former=pins.current, former_until=now + former_pin_lifetime)
    match speaker:
        case Speaker.FORMER if pins.provisional is None and enrollment.state is EnrollmentState.ENROLLED:
            # the device speaks by the identity that it has
            return TokenUpdateDecision(TokenUpdateMeaning.WENT_BACK, enrollment.epoch, renewed)
        case Speaker.CURRENT | Speaker.FORMER:
            return TokenUpdateDecision(TokenUpdateMeaning.REFRESH, enrollment.epoch, pins)
        case Speaker.SUPERSEDED:
            return TokenUpdateDecision(TokenUpdateMeaning.RESTORED, enrollment.epoch, pins)
        case Speaker.RENEWAL:
            return TokenUpdateDecision(TokenUpdateMeaning.RENEWED, enrollment.epoch, renewed)
        case Speaker.PROVISIONAL if enrollment.provisional_epoch is None:
            return TokenUpdateDecision(TokenUpdateMeaning.RENEWED, enrollment.epoch, renewed)
        case Speaker.PROVISIONAL:
            assert enrollment.provisional_epoch is not None
            return TokenUpdateDecision(
                TokenUpdateMeaning.ENROLLED, enrollment.provisional_epoch, Pins(current=fingerprint)
            )
        case _:
            assert_never(speaker)


def not_speaking(enrollment: Enrollment, identity: Identity | None) -> Refusal:
    """Say why *identity*, absent when it is none of ours, may not speak: it is another device's, or not pinned."""
    device_id = enrollment.channel.device_id
    owner = None if identity is None else identity.device_id or identity.renewal_of
    if identity is not None and owner == device_id and identity.epoch is not None and identity.epoch < enrollment.epoch:
        # an erased or removed device has no key of the life before: this one was neither
        return Refusal(
            RefusalCode.IDENTITY_OF_EARLIER_LIFE,
            f"{device_id} was enrolled anew since, and yet speaks by the identity it had before",
            "Somebody else enrolled under its name, or it was cloned: find out which device is which, "
            "withdraw the link (`muster enroll links`), and enroll the rightful one again.",
        )
    if owner is None or owner == device_id:
        return not_pinned(enrollment.channel)
    return Refusal(
        RefusalCode.IDENTITY_OF_ANOTHER_DEVICE,
        f"the identity belongs to {owner}, not to {enrollment.channel.device_id}",
        "An identity was copied to a second device (migration or cloning): enroll one of the two again.",
    )


STRAY: Final = frozenset({RefusalCode.IDENTITY_NOT_PINNED, RefusalCode.IDENTITY_OF_EARLIER_LIFE})
"""How an identity of the device's own is refused that may not speak for it any more."""


def not_pinned(channel: Channel) -> Refusal:
    """The identity is one of ours, yet not the one that may speak for this device."""
    return Refusal(
        RefusalCode.IDENTITY_NOT_PINNED,
        f"the identity is not the one pinned to {channel.device_id}",
        "If the device was enrolled again, its Authenticate was lost: enroll it once more.",
    )


def channel_unknown(channel: Channel) -> Refusal:
    """Nothing is known of this channel's device."""
    return Refusal(
        RefusalCode.CHANNEL_UNKNOWN,
        f"no enrollment of {channel.device_id} is known",
        "Enroll the device, or restore the database that knew it.",
    )


def user_channel(device: Channel, channel_id: ChannelId, kind: ChannelKind) -> Channel:
    """The user channel *channel_id* of *device*."""
    return Channel(channel_id, device.device_id, kind)
