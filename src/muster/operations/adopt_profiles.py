"""The profile with which adopted devices were enrolled is supplied, so that their identities can be renewed.

A renewal installs the enrollment profile once more, with a fresh identity. Devices that came from another server have a
profile that was never seen here: another one would be refused by them, or strand them. So what is supplied is held
against what each device is known to have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from muster.domain.access import IdentityKind
from muster.domain.enrolled_terms import EnrolledTerms
from muster.domain.enrollment import EnrollmentState, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.journal_identity import journal_identity
from muster.operations.permit import act
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.protocol.profile import EnrollmentMode, EnrollmentProfile, decode_enrollment_profile
from muster.protocol.profile_contents import read_profile_contents, unwrapped
from muster.protocol.profile_payloads import Pkcs12Payload, ScepPayload
from muster.storage import enrollment_profiles, enrollments, identities, inventory, people, push, reviews
from muster.storage.engine import Transaction

ANSWERED_PATHS: Final = ("/mdm", "/checkin")
"""Where Muster answers devices; what stands in a profile stays there for ever."""
REPEATED: Final = frozenset(
    {
        "configuration",
        "com.apple.mdm",
        "com.apple.security.scep",
        "com.apple.security.pkcs12",
        "com.apple.security.root",
    }
)
"""Payloads that a renewal writes again; devices remove what an update of their profile leaves out."""
LEAST_KEY_SIZE: Final = 2048


@dataclass(frozen=True, slots=True)
class AdoptedProfile:
    """The enrollment profile that *device_ids* have, as their former server gave it, signed or not.

    *public_url*: where this server's SCEP is, from which their next identities come. *anyway*: also where it isn't
    known which profiles a device has, and although payloads beside the enrollment's would go. *is_rehearsal*: it is
    told what would be done, and nothing done.
    """

    device_ids: tuple[DeviceId, ...]
    mobileconfig: bytes
    public_url: str
    anyway: bool = False
    is_rehearsal: bool = False


@dataclass(frozen=True, slots=True)
class ProfileAdopted:
    """What was read of the profile, whose devices can be renewed now, and of which it is refused, and why."""

    payload_identifier: str
    topic: str
    server_url: str
    identity_kind: IdentityKind
    device_ids: tuple[DeviceId, ...]
    refused: Mapping[DeviceId, Refusal]


AdoptedProfileOutcome: TypeAlias = ProfileAdopted | Refusal


@act(Permission.CERTIFICATES)
def adopt_profiles(tx: Transaction, orders: Sequence[AdoptedProfile], ctx: Context) -> list[AdoptedProfileOutcome]:
    """Note with which profile devices were enrolled elsewhere; an act of the audit log for each.

    Refused as a whole: what is no enrollment profile, or one that can't be repeated from here. Refused of a device: one
    that isn't enrolled, did not come from elsewhere, or has another profile or topic, as far as is known.
    """
    return [_adopt(tx, order, ctx) for order in orders]


def _adopt(tx: Transaction, order: AdoptedProfile, ctx: Context) -> AdoptedProfileOutcome:
    terms = _read(order, ctx)
    if isinstance(terms, Refusal):
        return terms
    ids = tuple(dict.fromkeys(order.device_ids))
    tx.lock_rows(sorted(map(ChannelId, ids)))
    refused: dict[DeviceId, Refusal] = {}
    for device_id in ids:
        pin = _fit_pin(tx, device_id, terms, order)
        if isinstance(pin, Refusal):
            refused[device_id] = pin
        elif not order.is_rehearsal:
            _note(tx, device_id, pin, terms, ctx)
    done = tuple(device_id for device_id in ids if device_id not in refused)
    kind = terms.identity_kind
    return ProfileAdopted(terms.payload_identifier, terms.topic, terms.server_url, kind, done, refused)


def _note(tx: Transaction, device_id: DeviceId, pin: bytes, terms: EnrolledTerms, ctx: Context) -> None:
    identities.set_profile(tx, pin, enrollment_profiles.keep(tx, terms, ctx.now))
    journal_identity(tx, pin, ctx)
    reviews.schedule(tx, ChannelId(device_id), ctx.now)
    detail = {"payload_identifier": terms.payload_identifier, "topic": terms.topic, "server_url": terms.server_url}
    people.record_act(tx, ctx.actor, "enrollment.profile", device_id, detail, ctx.now)


# --- the profile ------------------------------------------------------------------------------------------------------


def _read(order: AdoptedProfile, ctx: Context) -> EnrolledTerms | Refusal:
    try:
        types = read_profile_contents(order.mobileconfig).payload_types
        profile = decode_enrollment_profile(unwrapped(order.mobileconfig))
    except MalformedMessage as error:
        return Refusal(
            RefusalCode.PROFILE_UNFIT,
            f"it is no enrollment profile that can be repeated here: {error}",
            "Give the .mobileconfig that the former server handed to these devices.",
        )
    others = sorted({one for one in types if one.strip().casefold() not in REPEATED})
    if others and not order.anyway:
        return Refusal(
            RefusalCode.PROFILE_UNFIT,
            f"beside the enrollment it has {', '.join(others)}, which devices would remove at their renewal",
            "Install these by a profile of their own first (`muster profiles install`), then insist (--anyway).",
        )
    return _unfit(profile, order, ctx) or _terms(profile, order)


def _unfit(profile: EnrollmentProfile, order: AdoptedProfile, ctx: Context) -> Refusal | None:
    for url in (profile.server_url, profile.check_in_url or profile.server_url):
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.path not in ANSWERED_PATHS:
            return Refusal(
                RefusalCode.PROFILE_UNFIT,
                f"devices with this profile come to {url}, which this server does not answer",
                "A renewal can't move them: enroll them again (`muster enroll link`).",
            )
    if not order.public_url.startswith("https://"):
        return Refusal(
            RefusalCode.PROFILE_UNFIT,
            "it is not known by which https:// address devices reach this server for their identities",
            "Set public_url, and start the server once.",
        )
    if profile.access_rights is None and profile.enrollment_mode is not EnrollmentMode.BYOD:
        return Refusal(RefusalCode.PROFILE_UNFIT, "its MDM payload has no AccessRights, so no device took it")
    if isinstance(profile.identity, Pkcs12Payload) and not ctx.policy.allows_pkcs12_identities:
        return Refusal(
            RefusalCode.PROFILE_UNFIT,
            "its identity comes as PKCS #12, which is not allowed here",
            "Set allow_pkcs12_identities, or enroll these devices again.",
        )
    return None


def _terms(profile: EnrollmentProfile, order: AdoptedProfile) -> EnrolledTerms:
    identity = profile.identity
    is_scep = isinstance(identity, ScepPayload)
    key_size = max(identity.key_size, LEAST_KEY_SIZE) if isinstance(identity, ScepPayload) else LEAST_KEY_SIZE
    return EnrolledTerms(
        payload_identifier=profile.payload_identifier,
        display_name=profile.display_name,
        description=profile.description or "",
        organization=profile.organization or "",
        topic=profile.topic,
        server_url=profile.server_url,
        check_in_url=profile.check_in_url,
        access_rights=profile.access_rights,
        capabilities=profile.server_capabilities,
        identity_kind=IdentityKind.SCEP if is_scep else IdentityKind.PKCS12,
        scep_url=f"{order.public_url}/scep",
        key_size=key_size,
        trust_anchors=tuple((one.display_name, one.certificate_der) for one in profile.trust_anchors),
        is_removal_disallowed=profile.is_removal_disallowed,
        enrollment_mode=profile.enrollment_mode,
        account=profile.assigned_managed_apple_id,
        part_identifiers=profile.part_identifiers,
    )


# --- one device -------------------------------------------------------------------------------------------------------


def _fit_pin(tx: Transaction, device_id: DeviceId, terms: EnrolledTerms, order: AdoptedProfile) -> bytes | Refusal:
    """Return the identity of a device that has this profile, as far as is known; else why it is refused."""
    channel = ChannelId(device_id)
    enrollment = enrollments.find(tx, [channel]).get(channel)
    if enrollment is None:
        return Refusal(RefusalCode.NOT_FOUND, f"no device {device_id} is known", "See `muster devices list`.")
    pin = enrollment.pins.current
    if enrollment.state is not EnrollmentState.ENROLLED or pin is None:
        return Refusal(RefusalCode.NOT_ENROLLED, f"{device_id} is not enrolled")
    issued = identities.issued(tx, pin)
    if issued is None or issued.made_for.profile_id is not None or issued.made_for.provenance is not Provenance.ADOPTED:
        return Refusal(RefusalCode.CONFLICT, f"with which profile {device_id} was enrolled is known already")
    topic = push.topic_of(tx, channel)
    if topic is not None and topic != terms.topic:
        return Refusal(
            RefusalCode.PROFILE_UNFIT,
            f"{device_id} listens to the topic {topic}, and the profile has {terms.topic}",
            "It is another profile than the one that this device has.",
        )
    return _not_listed(tx, device_id, terms, order) or pin


def _not_listed(tx: Transaction, device_id: DeviceId, terms: EnrolledTerms, order: AdoptedProfile) -> Refusal | None:
    channel = ChannelId(device_id)
    listed = inventory.identifiers_of(tx, channel, InventoryKind.PROFILE_LIST)
    if listed is None:
        if order.anyway:
            return None
        return Refusal(
            RefusalCode.PROFILE_UNFIT,
            f"it is not known which profiles {device_id} has",
            f"Ask it first: `muster devices refresh {device_id} --kind ProfileList`.",
        )
    if terms.payload_identifier in listed:
        return None
    return Refusal(
        RefusalCode.PROFILE_UNFIT,
        f"{device_id} has no profile {terms.payload_identifier}; it has {', '.join(sorted(listed)[:5]) or 'none'}",
        "It is another profile than the one that this device has.",
    )
