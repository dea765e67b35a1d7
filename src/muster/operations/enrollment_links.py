"""Enrollment links: an administrator makes one, a device opens it and gets its enrollment profile."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from muster.domain.access import (
    ALL_ACCESS_RIGHTS,
    OUTSTANDING_CHALLENGES_PER_LINK,
    Challenge,
    EnrollmentLink,
    Grant,
    may_use_link,
)
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret
from muster.protocol.profile import EnrollmentProfile, ScepPayload, TrustAnchor
from muster.storage import identities, installations, people, push
from muster.storage.engine import Transaction

MAXIMUM_USES = 1_000_000
MAXIMUM_LIFETIME = timedelta(days=3650)
MINIMUM_LIFETIME = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LinkOrder:
    """A link to make. *uses_allowed* None means any number of devices until it expires."""

    uses_allowed: int | None
    lifetime: timedelta
    note: str = ""
    access_rights: int = ALL_ACCESS_RIGHTS


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link as made. *token* is its secret: it is shown once and only its hash is kept."""

    link: EnrollmentLink
    token: str


def create_links(tx: Transaction, orders: Sequence[LinkOrder], ctx: Context) -> list[NewLink]:
    """Make links; the bounds of *orders* are the caller's to check."""
    made = []
    for order in orders:
        link = EnrollmentLink(
            id=ctx.new_id(),
            created_at=ctx.now,
            expires_at=ctx.now + order.lifetime,
            uses_allowed=order.uses_allowed,
            uses=0,
            revoked_at=None,
            access_rights=order.access_rights,
            note=order.note,
        )
        token = random_secret(ctx)
        identities.add_link(tx, link, token_hash=hash_secret(token), created_by=ctx.actor.name)
        detail = {"uses_allowed": order.uses_allowed, "expires_at": f"{link.expires_at:%Y-%m-%dT%H:%M:%SZ}"}
        people.record_act(tx, ctx.actor, "enrollment_link.create", link.id, detail, ctx.now)
        made.append(NewLink(link, token))
    return made


@dataclass(frozen=True, slots=True)
class EnrollmentTerms:
    """What every enrollment profile of this server says alike. URLs are absolute, without a slash at the end."""

    public_url: str
    check_in_url: str | None
    organization: str
    trust_anchors_der: tuple[bytes, ...] = ()
    """Certificates that devices need to trust this server's TLS, where it isn't publicly trusted."""


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """Somebody opens a link by its token."""

    token: str
    terms: EnrollmentTerms


ProfileOutcome: TypeAlias = EnrollmentProfile | Refusal


def open_links(tx: Transaction, opened: Sequence[LinkOpened], ctx: Context) -> list[ProfileOutcome]:
    """Make an enrollment profile with a one-time challenge of its own for each link opened, or refuse."""
    return [_open(tx, one, ctx) for one in opened]


def _open(tx: Transaction, opened: LinkOpened, ctx: Context) -> ProfileOutcome:
    link = identities.link_by_token(tx, hash_secret(opened.token))
    refusal = may_use_link(link, ctx.now)
    if refusal is not None or link is None:
        return refusal or Refusal(RefusalCode.LINK_UNKNOWN, "this enrollment link is not known")
    if identities.outstanding_challenges(tx, link.id, ctx.now) >= OUTSTANDING_CHALLENGES_PER_LINK:
        return Refusal(
            RefusalCode.LINK_BUSY,
            "this enrollment link was opened too often without a device enrolling",
            "Wait for those profiles to expire, or ask your administrator for a new link.",
        )
    topic = _topic(tx)
    if topic is None:
        return Refusal(
            RefusalCode.PUSH_CERTIFICATE_MISSING,
            "this server has no push certificate yet, so it could not wake the device",
            "Upload one with `muster push-cert upload`, then open the link again.",
        )
    challenge = random_secret(ctx)
    identities.add_challenge(
        tx,
        Challenge(
            secret_hash=hash_secret(challenge),
            made_for=Grant(Provenance.LINK, link.id),
            expires_at=min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime),
            used_at=None,
            used_for_key=None,
            identity_fingerprint=None,
        ),
        ctx.now,
    )
    return _profile(tx, opened.terms, link, topic, challenge, ctx)


def _topic(tx: Transaction) -> str | None:
    """Return the topic of the push certificate uploaded last."""
    certificates = push.current_certificates(tx)
    return certificates[0].topic if certificates else None


def _profile(
    tx: Transaction, terms: EnrollmentTerms, link: EnrollmentLink, topic: str, challenge: str, ctx: Context
) -> EnrollmentProfile:
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    organization = terms.organization
    return EnrollmentProfile(
        payload_identifier=here.profile_identifier,
        payload_uuid=_payload_uuid(ctx),
        mdm_payload_uuid=_payload_uuid(ctx),
        display_name="Device Management",
        organization=organization or None,
        description=f"Lets {organization or 'your organization'} manage this device.",
        topic=topic,
        server_url=f"{terms.public_url}/mdm",
        check_in_url=terms.check_in_url,
        access_rights=link.access_rights,
        identity=ScepPayload(
            payload_uuid=_payload_uuid(ctx),
            url=f"{terms.public_url}/scep",
            subject=(*((("O", organization),) if organization else ()), ("CN", f"device {ctx.random_bytes(8).hex()}")),
            challenge=challenge,
        ),
        trust_anchors=tuple(
            TrustAnchor(_payload_uuid(ctx), f"{organization or 'Muster'} server", der)
            for der in terms.trust_anchors_der
        ),
    )


def _payload_uuid(ctx: Context) -> str:
    return str(UUID(bytes=ctx.random_bytes(16), version=4)).upper()


def random_secret(ctx: Context) -> str:
    """Return a secret of 192 random bits as 32 characters that survive URLs, profiles and terminals."""
    return base64.urlsafe_b64encode(ctx.random_bytes(24)).decode()
