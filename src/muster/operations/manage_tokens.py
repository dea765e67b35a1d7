"""Tokens for programs: an owner makes and revokes them, and a door finds out who shows one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.principals import Principal
from muster.domain.roles import Role
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.permit import act
from muster.operations.set_roles import read_scope, unfit_scope
from muster.storage import api_tokens, people
from muster.storage.api_tokens import ApiToken
from muster.storage.engine import Transaction

PREFIX: Final = "muster_"
"""Of every token, so that scanners for secrets that were published by mistake know one when they see it."""
LONGEST_LIFETIME: Final = timedelta(days=730)
"""A program that nobody looked after for two years is nobody's any more."""
MAXIMUM_TOKENS: Final = 1000
"""All of them are listed on one page."""
MAXIMUM_NAME: Final = 64
"""Characters of a token's name: it stands in the audit log beside all that it does."""
MAXIMUM_TOKEN_CHARACTERS: Final = 100
"""Of what is looked at as a token."""
USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""A token's use is written no more often."""


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token to make. *groups*: names of those that it is limited to, none for the whole fleet."""

    name: str
    role: Role
    lifetime: timedelta
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made. *secret* is shown once; only its hash is kept."""

    token: ApiToken
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenUse:
    """A token that was used, when to note it, and where from."""

    token_id: str
    source: str


TokenOutcome: TypeAlias = NewToken | Refusal


@act(Permission.PEOPLE)
def create_tokens(tx: Transaction, orders: Sequence[TokenOrder], ctx: Context) -> list[TokenOutcome]:
    """Make tokens, an act of the audit log each.

    Refused: a name that is unfit or taken, a lifetime that is none or too long, a group that there is not, an owner
    with less than the whole fleet, and more than MAXIMUM_TOKENS.
    """
    return [_create(tx, order, ctx) for order in orders]


def _create(tx: Transaction, order: TokenOrder, ctx: Context) -> TokenOutcome:
    tx.lock_name("api_tokens")
    scope = read_scope(tx, order.groups)
    refusal = _unfit(tx, order)
    if isinstance(scope, Refusal) or refusal is not None:
        return refusal or _refusal(scope)
    unfit = unfit_scope(order.role, scope)
    if unfit is not None:
        return unfit
    secret = PREFIX + random_secret(ctx)
    expires_at = ctx.now + order.lifetime
    token = ApiToken(ctx.new_id(), order.name, order.role, scope, ctx.now, ctx.actor.name, expires_at)
    api_tokens.add(tx, token, hash_secret(secret))
    detail: people.AuditDetail = {
        "role": order.role.value,
        "groups": ", ".join(order.groups) or "the whole fleet",
        "expires_at": expires_at.isoformat(),
    }
    people.record_act(tx, ctx.actor, "token.create", order.name, detail, ctx.now)
    return NewToken(token, secret)


def _refusal(scope: frozenset[str] | Refusal | None) -> Refusal:
    assert isinstance(scope, Refusal), "it was asked before"
    return scope


def _unfit(tx: Transaction, order: TokenOrder) -> Refusal | None:
    name = order.name
    if not name or len(name) > MAXIMUM_NAME or not name.isprintable() or name != name.strip():
        return Refusal(RefusalCode.ORDER_UNFIT, f"a token's name has 1 to {MAXIMUM_NAME} printable characters")
    if not timedelta(0) < order.lifetime <= LONGEST_LIFETIME:
        return Refusal(RefusalCode.ORDER_UNFIT, f"a token is good for {LONGEST_LIFETIME.days} days at most")
    if api_tokens.named(tx, name) is not None:
        return Refusal(RefusalCode.CONFLICT, f"there is a token {name} already", "Revoke it, or take another name.")
    if api_tokens.count(tx) >= MAXIMUM_TOKENS:
        return Refusal(RefusalCode.CONFLICT, f"there are {MAXIMUM_TOKENS:,} tokens already, and no more can be")
    return None


@act(Permission.PEOPLE)
def revoke_tokens(tx: Transaction, names: Sequence[str], ctx: Context) -> list[ApiToken | Refusal]:
    """Have tokens be good no more from now on, an act of the audit log each; refused where there is none."""
    outcomes: list[ApiToken | Refusal] = []
    for name in names:
        known = api_tokens.named(tx, name)
        if known is None:
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, f"there is no token {name}", "See `muster tokens list`."))
            continue
        api_tokens.remove(tx, known.id)
        people.record_act(tx, ctx.actor, "token.revoke", name, {}, ctx.now)
        outcomes.append(known)
    return outcomes


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token that is good. *is_use_due*: it is time to note its use (`note_token_uses`)."""

    token: ApiToken
    is_use_due: bool

    def principal(self, source: str) -> Principal:
        """Return who asks by it, from the address *source*."""
        return Principal(Actor(ActorKind.TOKEN, self.token.name, self.token.role, source), self.token.groups)


def is_shaped_like_a_token(secret: str) -> bool:
    """Tell whether *secret* may be one's at all."""
    return secret.startswith(PREFIX) and secret.isascii() and len(secret) <= MAXIMUM_TOKEN_CHARACTERS


def find_token(tx: Transaction, secret: str, now: datetime) -> FoundToken | None:
    """Tell whose *secret* it is; None when it is unknown, revoked or expired. A view: nothing is written.

    Not counted here: secrets of 192 random bits are guessed by nobody. Doors bound what looking for them costs
    (`operations.limit_guesses`).
    """
    if not is_shaped_like_a_token(secret):
        return None
    token = api_tokens.find(tx, hash_secret(secret), now)
    if token is None:
        return None
    return FoundToken(token, token.last_used_at is None or now - token.last_used_at >= USE_NOTED_EVERY)


def note_token_uses(tx: Transaction, uses: Sequence[TokenUse], ctx: Context) -> list[None]:
    """Note that tokens were used, and from where; one None for each."""
    for use in uses:
        api_tokens.note_use(tx, use.token_id, ctx.now, use.source)
    return [None] * len(uses)
