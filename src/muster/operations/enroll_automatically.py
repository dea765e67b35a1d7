"""Automated Device Enrollment: a device in Setup Assistant says who it is, and gets a profile made for it alone.

Who the device is was verified before, by its signature; here it is decided what it gets. While no list of the
organization's devices is known, every device that Apple vouches for may use a link, unless it names serial numbers.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

from muster.crypto.errors import CryptoError
from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import EnrollmentLink, Grant, IdentityKind, LinkKind, may_use_link
from muster.domain.automated_enrollment import Admitted, NotListed, SignInFirst, UpdateFirst, admit
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.enrollment_profiles import EnrollmentTerms, IdentityKeyNeeded, make_profile, terms_for_link
from muster.operations.issue_certificate import hash_secret
from muster.protocol.identifiers import ChannelId
from muster.protocol.machine_info import MachineInfo
from muster.protocol.profile import EnrollmentProfile
from muster.storage import enrollments, evidence, identities, policies
from muster.storage.engine import Transaction
from muster.storage.types import from_microseconds, to_microseconds

UNUSED_CHALLENGES_PER_DEVICE = 10
"""Of one link. A device that asks again uses the last one; whoever sends an old MachineInfo again fills nothing up."""
INTRODUCTION_LIFETIME = timedelta(minutes=30)
"""For signing in on the page that Setup Assistant shows."""
MAXIMUM_INTRODUCTION_CHARACTERS = 4096
"""Of a sealed introduction; ours have some 600."""


@dataclass(frozen=True, slots=True)
class DeviceAsks:
    """A device asks at a link for its profile.

    *token* None: the link that the policy `ade_link` names. *device* is its verified MachineInfo, or, on the page that
    followed, what was sealed of it. *user* signed in on that page; *is_page*: there is a page to sign in on.
    """

    token: str | None
    device: MachineInfo | str = field(repr=False)
    terms: EnrollmentTerms
    source: str
    user: str | None = None
    is_page: bool = False
    key: RSAPrivateKey | None = field(default=None, repr=False)
    """Of an identity made here, where one was asked for."""


@dataclass(frozen=True, slots=True)
class SignInOnPage:
    """Somebody signs in first. *introduction* is the device, sealed, for the page to bring back."""

    introduction: str = field(repr=False)


AutomatedOutcome: TypeAlias = EnrollmentProfile | IdentityKeyNeeded | NotListed | UpdateFirst | SignInOnPage | Refusal


def enroll_automatically(tx: Transaction, asked: Sequence[DeviceAsks], ctx: Context) -> list[AutomatedOutcome]:
    """Decide what each device gets; a profile is good for the very device that asked."""
    return [_enroll(tx, one, ctx) for one in asked]


def _enroll(tx: Transaction, asked: DeviceAsks, ctx: Context) -> AutomatedOutcome:
    link = _link(tx, asked.token)
    if link is not None and asked.key is not None:
        # an identity is issued, and a use counted, at once: one after the other
        link = identities.link_by_id(tx, link.id, for_update=True)
    refusal = may_use_link(link, ctx.now)
    if refusal is not None or link is None:
        return refusal or Refusal(RefusalCode.LINK_UNKNOWN, "this enrollment link is not known")
    machine = _unsealed(asked.device, link, ctx) if isinstance(asked.device, str) else asked.device
    if isinstance(machine, Refusal):
        return machine
    if machine.udid is None or machine.serial is None:
        return Refusal(RefusalCode.BODY_MALFORMED, "the MachineInfo lacks UDID or SERIAL")
    decision = admit(link, machine, is_signed_in=asked.user is not None)
    match decision:
        case NotListed() | UpdateFirst():
            return decision
        case SignInFirst() if asked.is_page:
            return SignInOnPage(_sealed(machine, link, ctx))
        case SignInFirst():
            return Refusal(
                RefusalCode.SIGN_IN_NEEDED,
                "somebody has to sign in before this device gets its profile",
                "Set the link's address, with /web behind it, as configuration_web_url of the device's profile.",
            )
        case Admitted():
            return _profile(tx, asked, link, machine, ctx)
        case _:
            assert_never(decision)


def _link(tx: Transaction, token: str | None) -> EnrollmentLink | None:
    """Read the link; those of other ways in don't exist here."""
    if token is None:
        link_id = policies.read(tx).ade_link
        link = None if link_id is None else identities.link_by_id(tx, link_id)
    else:
        link = identities.link_by_token(tx, hash_secret(token))
    return link if link is not None and link.kind is LinkKind.ADE else None


def _profile(
    tx: Transaction, asked: DeviceAsks, link: EnrollmentLink, machine: MachineInfo, ctx: Context
) -> EnrollmentProfile | IdentityKeyNeeded | Refusal:
    if link.identity_kind is IdentityKind.PKCS12 and asked.key is None:
        return IdentityKeyNeeded()
    terms = terms_for_link(tx, asked.terms, link)
    if isinstance(terms, Refusal):
        return terms
    grant = Grant(
        Provenance.LINK, link.id, expected_udid=machine.udid, expected_serial=machine.serial, account=asked.user
    )
    identities.forget_unused_challenges(tx, grant, keep=UNUSED_CHALLENGES_PER_DEVICE - 1)
    expires_at = min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime)
    profile = make_profile(tx, terms, grant, ctx, expires_at=expires_at, key=asked.key)
    _note_fetched(tx, asked, link, machine, ctx)
    return profile


def _note_fetched(tx: Transaction, asked: DeviceAsks, link: EnrollmentLink, machine: MachineInfo, ctx: Context) -> None:
    """Keep it as evidence of a device that was enrolled before: it was erased, or somebody says so in its name."""
    assert machine.udid is not None
    channel_id = ChannelId(machine.udid)
    known = enrollments.find(tx, [channel_id]).get(channel_id)
    if known is None:
        return
    detail = {"link": link.id, "user": asked.user, "serial_number": machine.serial, "build_version": machine.version}
    observation = Observation(
        channel_id, Signal.PROFILE_FETCHED, "automated_enrollment", ctx.now, known.epoch, asked.source, detail
    )
    evidence.append(tx, [observation], ctx.new_id)


# --- the introduction, on its way through the page --------------------------------------------------------------------


def _sealed(machine: MachineInfo, link: EnrollmentLink, ctx: Context) -> str:
    """Seal what is known of the device: the page asks for its profile later, and then the device isn't asked again."""
    text = {
        "udid": machine.udid,
        "serial": machine.serial,
        "product": machine.product,
        "version": machine.version,
        "os_version": machine.os_version,
        "can_update": machine.can_request_software_update,
        "until": to_microseconds(ctx.now + INTRODUCTION_LIFETIME),
    }
    sealed = ctx.seal(json.dumps(text).encode(), table="introductions", column="machine", row=link.id)
    return base64.urlsafe_b64encode(sealed).decode()


def _unsealed(introduction: str, link: EnrollmentLink, ctx: Context) -> MachineInfo | Refusal:
    again = "Go back in Setup Assistant, and begin this step again."
    try:
        sealed = base64.urlsafe_b64decode(introduction[:MAXIMUM_INTRODUCTION_CHARACTERS])
        text = json.loads(ctx.open(sealed, table="introductions", column="machine", row=link.id))
    except (CryptoError, binascii.Error, ValueError):
        return Refusal(RefusalCode.SIGNATURE_BAD, "the page does not say truly which device it was opened on", again)
    until: datetime = from_microseconds(text["until"])
    if ctx.now >= until:
        return Refusal(RefusalCode.SIGN_IN_NEEDED, "the page was open for too long", again)
    return MachineInfo(
        product=text["product"],
        version=text["version"],
        udid=text["udid"],
        serial=text["serial"],
        os_version=text["os_version"],
        can_request_software_update=text["can_update"],
    )
