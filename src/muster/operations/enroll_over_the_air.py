"""Over-the-air enrollment (Profile Service): a device says and proves what it is before it gets its profile.

Each phase is gone through once for each profile of phase 1: what was heard or kept by somebody else is no use. A
device whose reply was lost begins again at the link, which uses nothing up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from muster.domain.access import OUTSTANDING_CHALLENGES_PER_LINK, EnrollmentLink, Grant, LinkKind, may_use_link
from muster.domain.enrollment import Provenance
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.enrollment_links import find_open_link, must_sign_in, of_user
from muster.operations.enrollment_profiles import (
    EnrollmentTerms,
    make_challenge,
    make_profile,
    payload_uuid,
    terms_for_link,
)
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.protocol.profile import EnrollmentProfile, ScepPayload
from muster.protocol.profile_service import DeviceAttributes, ProfileService, ScepOnlyProfile
from muster.storage import identities, installations, ota_enrollments, people
from muster.storage.engine import Transaction
from muster.storage.ota_enrollments import OtaEnrollment

PHASE_LIFETIME = timedelta(minutes=30)
"""For the identity of phase 2 to be fetched and used: the device does both at once, in seconds."""
MAC_PRODUCTS = ("Mac", "iMac", "VirtualMac")
"""How the PRODUCT of a Mac begins: MacBookPro18,1; Mac14,2; iMac21,1."""


@dataclass(frozen=True, slots=True)
class OtaBegun:
    """Somebody opens an OTA link (phase 1). *user* is who signed in."""

    token: str
    terms: EnrollmentTerms
    user: EnrollmentUser | None = None


@dataclass(frozen=True, slots=True)
class OtaAnswered:
    """A device says what it is (phase 2). *is_attested*: Apple's device authority vouches for the signer."""

    token: str
    terms: EnrollmentTerms
    attributes: DeviceAttributes
    is_attested: bool


@dataclass(frozen=True, slots=True)
class OtaRepeated:
    """A device says it again (phase 3), signed by an identity of our authorities with this fingerprint."""

    token: str
    terms: EnrollmentTerms
    attributes: DeviceAttributes
    fingerprint: bytes


BeginOutcome: TypeAlias = ProfileService | Refusal
AnswerOutcome: TypeAlias = ScepOnlyProfile | Refusal
CompleteOutcome: TypeAlias = EnrollmentProfile | Refusal


def begin_ota(tx: Transaction, begun: Sequence[OtaBegun], ctx: Context) -> list[BeginOutcome]:
    """Make the profile of phase 1, with a challenge of its own, for each link opened; or refuse."""
    return [_begin(tx, one, ctx) for one in begun]


def _begin(tx: Transaction, begun: OtaBegun, ctx: Context) -> BeginOutcome:
    link = find_open_link(tx, begun.token, LinkKind.OTA, ctx.now)
    if isinstance(link, Refusal):
        return link
    refusal = must_sign_in(link, begun.user)
    if refusal is None and ota_enrollments.outstanding(tx, link.id, ctx.now) >= OUTSTANDING_CHALLENGES_PER_LINK:
        refusal = Refusal(
            RefusalCode.LINK_BUSY,
            "this enrollment link was opened too often without a device enrolling",
            "Wait for those profiles to expire, or ask your administrator for a new link.",
        )
    if refusal is not None:
        return refusal
    terms = terms_for_link(tx, begun.terms, link)
    if isinstance(terms, Refusal):
        return terms
    challenge = random_secret(ctx)
    expires_at = min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime)
    account = None if begun.user is None else begun.user.user_name
    ota_enrollments.begin(tx, OtaEnrollment(hash_secret(challenge), link.id, account, expires_at), ctx.now)
    return ProfileService(
        payload_identifier=f"{terms.payload_identifier}.ota",
        payload_uuid=payload_uuid(ctx),
        display_name=terms.display_name,
        url=f"{begun.terms.public_url}/ota/{begun.token}",
        challenge=challenge,
        organization=terms.organization or None,
        description=terms.description,
    )


def answer_ota(tx: Transaction, answered: Sequence[OtaAnswered], ctx: Context) -> list[AnswerOutcome]:
    """Give each device the profile of its identity for phase 3, or refuse; its signature is checked already."""
    return [_answer(tx, one, ctx) for one in answered]


def _answer(tx: Transaction, answered: OtaAnswered, ctx: Context) -> AnswerOutcome:
    said = answered.attributes
    is_mac = (said.product or "").startswith(MAC_PRODUCTS)
    if not answered.is_attested and not (is_mac and ctx.policy.accepts_unattested_macs):
        return Refusal(
            RefusalCode.DEVICE_NOT_ATTESTED, "Apple does not vouch for the certificate that signed the device's answer"
        )
    found = _find(tx, answered.token, said, ctx)
    if isinstance(found, Refusal):
        return found
    link, ota = found
    if ota.answered_at is not None:
        return _USED
    if said.udid is None:
        return Refusal(RefusalCode.BODY_MALFORMED, "the device does not tell its UDID")
    ota_enrollments.answer(
        tx,
        ota.challenge_hash,
        udid=said.udid,
        serial_number=said.serial,
        is_attested=answered.is_attested,
        at=ctx.now,
    )
    grant = Grant(Provenance.OTA, link.id, expected_udid=said.udid, expected_serial=said.serial)
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    whose = answered.terms.organization
    return ScepOnlyProfile(
        payload_identifier=f"{here.profile_identifier}.ota",
        payload_uuid=payload_uuid(ctx),
        display_name="Device Identity",
        organization=whose or None,
        scep=ScepPayload(
            payload_uuid=payload_uuid(ctx),
            url=f"{answered.terms.public_url}/scep",
            subject=(*((("O", whose),) if whose else ()), ("CN", f"enrolling {ctx.random_bytes(8).hex()}")),
            challenge=make_challenge(tx, grant, ctx, expires_at=min(ota.expires_at, ctx.now + PHASE_LIFETIME)),
        ),
    )


def complete_ota(tx: Transaction, repeated: Sequence[OtaRepeated], ctx: Context) -> list[CompleteOutcome]:
    """Give each device the enrollment profile that is good for it alone, or refuse; signatures are checked already."""
    return [_complete(tx, one, ctx) for one in repeated]


def _complete(tx: Transaction, repeated: OtaRepeated, ctx: Context) -> CompleteOutcome:
    said = repeated.attributes
    identity = identities.find(tx, repeated.fingerprint)
    if identity is None or identity.provenance is not Provenance.OTA:
        return Refusal(RefusalCode.IDENTITY_NOT_FOR_ENROLLMENT, "the identity was not issued for this")
    if ctx.now >= identity.not_after:
        return Refusal(RefusalCode.IDENTITY_EXPIRED, f"the identity expired on {identity.not_after:%Y-%m-%d}")
    found = _find(tx, repeated.token, said, ctx)
    if isinstance(found, Refusal):
        return found
    link, ota = found
    if ota.completed_at is not None:
        return _USED
    named = (said.udid, said.serial)
    is_the_same = ota.answered_at is not None and named == (ota.udid, ota.serial_number)
    if not is_the_same or identity.link_id != link.id or named != (identity.expected_udid, identity.expected_serial):
        return Refusal(
            RefusalCode.IDENTITY_OF_ANOTHER_DEVICE, "the identity was issued to another device than the one named"
        )
    terms = terms_for_link(tx, repeated.terms, link)
    if isinstance(terms, Refusal):
        return terms
    ota_enrollments.complete(tx, ota.challenge_hash, ctx.now)
    if ota.account is not None and link.requires_sign_in:
        detail = {"user": ota.account, "udid": said.udid, "serial_number": said.serial}
        people.record_act(tx, of_user(ota.account), "enrollment_link.open", link.id, detail, ctx.now)
    grant = Grant(Provenance.LINK, link.id, expected_udid=said.udid, expected_serial=said.serial)
    expires_at = min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime)
    return make_profile(tx, terms, grant, ctx, expires_at=expires_at)


def _find(
    tx: Transaction, token: str, said: DeviceAttributes, ctx: Context
) -> tuple[EnrollmentLink, OtaEnrollment] | Refusal:
    """Read the link and the enrollment that a device's challenge belongs to, or tell why it may not go on."""
    link = identities.link_by_token(tx, hash_secret(token))
    if link is not None and link.kind is not LinkKind.OTA:
        link = None
    refusal = may_use_link(link, ctx.now)
    if refusal is not None:
        return refusal
    assert link is not None, "may_use_link refuses an unknown link"
    ota = None if said.challenge is None else ota_enrollments.find(tx, hash_secret(said.challenge))
    if ota is None or ota.link_id != link.id:
        return Refusal(RefusalCode.CHALLENGE_UNKNOWN, "the challenge is not one of this link's", _AGAIN)
    if ctx.now >= ota.expires_at:
        return Refusal(
            RefusalCode.CHALLENGE_EXPIRED, f"the challenge expired on {ota.expires_at:%Y-%m-%d %H:%M} UTC", _AGAIN
        )
    if link.serial_numbers is not None and said.serial not in link.serial_numbers:
        return Refusal(
            RefusalCode.DEVICE_NOT_EXPECTED, f"the link is for other devices than serial number {said.serial}"
        )
    return link, ota


_AGAIN = "Open the enrollment link again for a fresh profile."
_USED = Refusal(RefusalCode.CHALLENGE_USED, "the challenge was answered before", _AGAIN)
