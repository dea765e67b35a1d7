"""Enrollment links: an administrator makes one, a device opens it and gets its enrollment profile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import (
    ALL_ACCESS_RIGHTS,
    DEFAULT_CAPABILITIES,
    OUTSTANDING_CHALLENGES_PER_LINK,
    Actor,
    ActorKind,
    EnrollmentLink,
    Grant,
    IdentityKind,
    LinkKind,
    check_link,
    may_use_link,
)
from muster.domain.enrollment import Provenance
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.enrollment_profiles import EnrollmentTerms, make_profile, terms_for_link
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.permit import act
from muster.protocol.profile import EnrollmentProfile
from muster.storage import identities, people
from muster.storage.engine import Transaction

MAXIMUM_USES = 1_000_000
MAXIMUM_LIFETIME = timedelta(days=3650)
MINIMUM_LIFETIME = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LinkOrder:
    """A link to make; see EnrollmentLink. *uses_allowed* None means any number of devices until it expires."""

    uses_allowed: int | None
    lifetime: timedelta
    note: str = ""
    access_rights: int = ALL_ACCESS_RIGHTS
    kind: LinkKind = LinkKind.PROFILE
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    identity_kind: IdentityKind = IdentityKind.SCEP
    is_removal_disallowed: bool = False
    requires_sign_in: bool = False
    serial_numbers: frozenset[str] | None = None
    required_os_version: str | None = None
    required_build_version: str | None = None


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link as made. *token* is its secret: it is shown once and only its hash is kept."""

    link: EnrollmentLink
    token: str


LinkOutcome: TypeAlias = NewLink | Refusal


@act(Permission.ENROLL)
def create_links(tx: Transaction, orders: Sequence[LinkOrder], ctx: Context) -> list[LinkOutcome]:
    """Make links, or refuse those that would strand their devices; lifetime and uses are the caller's to check."""
    return [_create(tx, order, ctx) for order in orders]


def _create(tx: Transaction, order: LinkOrder, ctx: Context) -> LinkOutcome:
    link = EnrollmentLink(
        id=ctx.new_id(),
        created_at=ctx.now,
        expires_at=ctx.now + order.lifetime,
        uses_allowed=order.uses_allowed,
        uses=0,
        revoked_at=None,
        access_rights=order.access_rights,
        note=order.note,
        kind=order.kind,
        capabilities=order.capabilities,
        identity_kind=order.identity_kind,
        is_removal_disallowed=order.is_removal_disallowed,
        requires_sign_in=order.requires_sign_in,
        serial_numbers=order.serial_numbers,
        required_os_version=order.required_os_version,
        required_build_version=order.required_build_version,
    )
    refusal = check_link(link, allows_pkcs12=ctx.policy.allows_pkcs12_identities)
    if refusal is not None:
        return refusal
    token = random_secret(ctx)
    identities.add_link(tx, link, token_hash=hash_secret(token), created_by=ctx.actor.name)
    serials = link.serial_numbers
    detail: people.AuditDetail = {
        "kind": link.kind.value,
        "uses_allowed": link.uses_allowed,
        "expires_at": f"{link.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "access_rights": link.access_rights,
        "capabilities": " ".join(link.capabilities),
        "identity_kind": link.identity_kind.value,
        "is_removal_disallowed": link.is_removal_disallowed,
        "requires_sign_in": link.requires_sign_in,
        "serial_numbers": None if serials is None else len(serials),
    }
    people.record_act(tx, ctx.actor, "enrollment_link.create", link.id, detail, ctx.now)
    return NewLink(link, token)


@act(Permission.ENROLL)
def revoke_links(tx: Transaction, link_ids: Sequence[str], ctx: Context) -> list[EnrollmentLink | Refusal]:
    """Withdraw links: profiles that were fetched and not installed are no use any more. What is enrolled stays."""
    outcomes: list[EnrollmentLink | Refusal] = []
    for link_id in link_ids:
        link = identities.link_by_id(tx, link_id, for_update=True)
        if link is None:
            outcomes.append(
                Refusal(RefusalCode.NOT_FOUND, f"there is no link {link_id}", "`muster enroll links` lists them.")
            )
            continue
        if link.revoked_at is None:
            identities.revoke_link(tx, link_id, ctx.now)
            people.record_act(tx, ctx.actor, "enrollment_link.revoke", link_id, {}, ctx.now)
        outcomes.append(link)
    return outcomes


def find_open_link(tx: Transaction, token: str, kind: LinkKind, now: datetime) -> EnrollmentLink | Refusal:
    """Read the link of *token*, or tell why it doesn't open: not known, of another kind, withdrawn, expired, used up,
    or opened too often without a device enrolling."""
    link = identities.link_by_token(tx, hash_secret(token))
    if link is not None and link.kind is not kind:
        link = None  # its address is another: nobody guesses what else a token opens
    refusal = may_use_link(link, now)
    if refusal is not None:
        return refusal
    assert link is not None, "may_use_link refuses an unknown link"
    if identities.outstanding_challenges(tx, link.id, now) >= OUTSTANDING_CHALLENGES_PER_LINK:
        return Refusal(
            RefusalCode.LINK_BUSY,
            "this enrollment link was opened too often without a device enrolling",
            "Wait for those profiles to expire, or ask your administrator for a new link.",
        )
    return link


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """Somebody opens a link by its token.

    *user* is who signed in, *by_administrator* stands in for that at the command line. *key* is for an identity made
    here; absent, it is made when needed.
    """

    token: str
    terms: EnrollmentTerms
    user: EnrollmentUser | None = None
    by_administrator: bool = False
    key: RSAPrivateKey | None = field(default=None, repr=False)


ProfileOutcome: TypeAlias = EnrollmentProfile | Refusal


@act(Permission.ENROLL)
def open_links(tx: Transaction, opened: Sequence[LinkOpened], ctx: Context) -> list[ProfileOutcome]:
    """Make an enrollment profile with a one-time challenge of its own for each link opened, or refuse."""
    return [_open(tx, one, ctx) for one in opened]


def _open(tx: Transaction, opened: LinkOpened, ctx: Context) -> ProfileOutcome:
    link = find_open_link(tx, opened.token, LinkKind.PROFILE, ctx.now)
    if isinstance(link, EnrollmentLink) and link.identity_kind is IdentityKind.PKCS12:
        # a use is counted at once: one after the other, and looked at again once it's our turn
        identities.link_by_id(tx, link.id, for_update=True)
        link = find_open_link(tx, opened.token, LinkKind.PROFILE, ctx.now)
    if isinstance(link, Refusal):
        return link
    refusal = must_sign_in(link, opened.user)
    if refusal is not None and not opened.by_administrator:
        return refusal
    terms = terms_for_link(tx, opened.terms, link)
    if isinstance(terms, Refusal):
        return terms
    expires_at = min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime)
    name = f"device {ctx.random_bytes(8).hex()}"
    if opened.user is not None and link.requires_sign_in:
        detail = {"user": opened.user.user_name, "identity": name}
        people.record_act(tx, of_user(opened.user.user_name), "enrollment_link.open", link.id, detail, ctx.now)
    grant = Grant(Provenance.LINK, link.id)
    return make_profile(tx, terms, grant, ctx, expires_at=expires_at, common_name=name, key=opened.key)


def of_user(user_name: str) -> Actor:
    """Return who acts when a person who signed in enrolls a device."""
    return Actor(ActorKind.ENROLLMENT_USER, user_name)


def must_sign_in(link: EnrollmentLink, user: EnrollmentUser | None) -> Refusal | None:
    """Tell that somebody has to sign in before *link* gives anything, or None."""
    if not link.requires_sign_in or user is not None:
        return None
    return Refusal(
        RefusalCode.SIGN_IN_NEEDED,
        "this enrollment link gives its profile to people who sign in",
        "Open the link in a browser and sign in there.",
    )
