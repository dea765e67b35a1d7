"""Account-driven enrollment: which link an account uses, the token of a sign-in, and the profile for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from muster.crypto.keys import RSAPrivateKey
from muster.domain.access import EnrollmentLink, Grant, IdentityKind, may_use_link
from muster.domain.enrollment import Provenance
from muster.domain.enrollment_tokens import MODES, TOKEN_LIFETIME, VERSIONS, EnrollmentToken, link_for, may_use_token
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.enrollment_profiles import EnrollmentTerms, IdentityKeyNeeded, make_profile, terms_for_link
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.protocol.account_driven import DiscoveryQuery, ServiceVersion
from muster.protocol.profile import EnrollmentProfile
from muster.storage import enrollment_tokens, enrollment_users, identities, policies
from muster.storage.engine import Transaction

UNUSED_CHALLENGES_PER_ACCOUNT = 20
"""Of one link: a person has a handful of devices, and each asks again when something fails."""


@dataclass(frozen=True, slots=True)
class NotOffered:
    """No account can be enrolled on such a device: no link is named for it, or the one that is named is not open."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Where the account enrolls."""

    version: ServiceVersion
    link_id: str


DiscoveryOutcome: TypeAlias = Offered | NotOffered | Refusal


def discover_services(tx: Transaction, asked: Sequence[DiscoveryQuery], ctx: Context) -> list[DiscoveryOutcome]:
    """Tell where accounts enroll. The answer is the same for every account: it tells nobody which there are.

    Refused as unknown where the policy `account_driven` names no link at all; devices then ask Apple.
    """
    policy = policies.read(tx).account_driven
    return [_discover(tx, dict(policy), query, ctx) for query in asked]


def _discover(tx: Transaction, policy: dict[str, str], query: DiscoveryQuery, ctx: Context) -> DiscoveryOutcome:
    if not policy:
        return Refusal(RefusalCode.NOT_FOUND, "this server offers no account-driven enrollment")
    link_id = link_for(policy, query.model_family)
    link = None if link_id is None else _link(tx, link_id)
    if link is None or may_use_link(link, ctx.now) is not None:
        return NotOffered()
    return Offered(VERSIONS[link.kind], link.id)


def _link(tx: Transaction, link_id: str, *, for_update: bool = False) -> EnrollmentLink | None:
    """Read the link; those of other ways in don't exist here."""
    link = identities.link_by_id(tx, link_id, for_update=for_update)
    return link if link is not None and link.kind in MODES else None


@dataclass(frozen=True, slots=True)
class AccountAsks:
    """A device asks at a link for its profile. *token* is that of the sign-in; None before it.

    *device* is the SHA-256 of the certificate that signed the device's MachineInfo.
    """

    link_id: str
    token: str | None = field(repr=False)
    device: bytes
    terms: EnrollmentTerms
    key: RSAPrivateKey | None = field(default=None, repr=False)
    """Of an identity made here, where one was asked for."""


@dataclass(frozen=True, slots=True)
class SignInAgain:
    """Somebody signs in on the device first. *refusal* says what is wrong with the token that it brought, if any."""

    refusal: Refusal | None


AccountOutcome: TypeAlias = EnrollmentProfile | IdentityKeyNeeded | SignInAgain | Refusal


def enroll_by_account(tx: Transaction, asked: Sequence[AccountAsks], ctx: Context) -> list[AccountOutcome]:
    """Give each device a profile in the name of the account that signed in on it, or have somebody sign in."""
    return [_enroll(tx, one, ctx) for one in asked]


def _enroll(tx: Transaction, asked: AccountAsks, ctx: Context) -> AccountOutcome:
    # with its key at hand an identity is issued, and a use counted, at once: one after the other
    link = _link(tx, asked.link_id, for_update=asked.key is not None)
    refusal = may_use_link(link, ctx.now)
    if refusal is not None or link is None:
        return refusal or Refusal(RefusalCode.LINK_UNKNOWN, "this enrollment link is not known")
    if asked.token is None:
        return SignInAgain(None)
    token_hash = hash_secret(asked.token)
    token = enrollment_tokens.find(tx, token_hash, for_update=True)
    refusal = may_use_token(token, link, asked.device, ctx.now)
    if refusal is not None or token is None:
        return SignInAgain(refusal)
    stored = enrollment_users.find(tx, token.user_name)
    if stored is None or stored.user.disabled_at is not None:
        return SignInAgain(Refusal(RefusalCode.BEARER_UNKNOWN, "the account of the token may not enroll any more"))
    if link.identity_kind is IdentityKind.PKCS12 and asked.key is None:
        return IdentityKeyNeeded()
    terms = terms_for_link(tx, asked.terms, link, enrollment_mode=MODES[link.kind], account=token.user_name)
    if isinstance(terms, Refusal):
        return terms
    enrollment_tokens.use(tx, token_hash, device=asked.device, at=ctx.now)
    grant = Grant(Provenance.LINK, link.id, account=token.user_name)
    identities.forget_unused_challenges(tx, grant, keep=UNUSED_CHALLENGES_PER_ACCOUNT - 1)
    expires_at = min(link.expires_at, ctx.now + ctx.policy.challenge_lifetime)
    return make_profile(tx, terms, grant, ctx, expires_at=expires_at, key=asked.key)


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token for *user*, who has just signed in at a link."""

    link_id: str
    user: EnrollmentUser


TokenOutcome: TypeAlias = str | Refusal


def issue_enrollment_tokens(tx: Transaction, orders: Sequence[TokenOrder], ctx: Context) -> list[TokenOutcome]:
    """Issue a token for each of *orders*; it is shown once, and only its hash is kept."""
    return [_issue(tx, order, ctx) for order in orders]


def _issue(tx: Transaction, order: TokenOrder, ctx: Context) -> TokenOutcome:
    refusal = may_use_link(_link(tx, order.link_id), ctx.now)
    if refusal is not None:
        return refusal
    secret = random_secret(ctx)
    token = EnrollmentToken(order.user.user_name, order.link_id, ctx.now + TOKEN_LIFETIME, None)
    enrollment_tokens.add(tx, hash_secret(secret), token, ctx.now)
    return secret


def check_account_links(tx: Transaction, link_ids: Sequence[str], ctx: Context) -> list[Refusal | None]:
    """Tell of each link why nobody can enroll by account there, or None."""
    return [may_use_link(_link(tx, link_id), ctx.now) for link_id in link_ids]
