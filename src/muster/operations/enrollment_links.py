"""Enrollment links: an administrator makes one, a device opens it and gets its enrollment profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from muster.domain.access import (
    ALL_ACCESS_RIGHTS,
    OUTSTANDING_CHALLENGES_PER_LINK,
    EnrollmentLink,
    Grant,
    may_use_link,
)
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.enrollment_profiles import EnrollmentTerms, make_profile, terms_for_link
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.protocol.profile import EnrollmentProfile
from muster.storage import identities, people
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
    terms = terms_for_link(tx, opened.terms, link)
    if isinstance(terms, Refusal):
        return terms
    expires_at = min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime)
    return make_profile(tx, terms, Grant(Provenance.LINK, link.id), ctx, expires_at=expires_at)
