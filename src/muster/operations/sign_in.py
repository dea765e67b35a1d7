"""Administrators come in: a one-time link makes a session, which ends by the clock, when it is idle, or by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.policy import Policy
from muster.domain.principals import Principal
from muster.domain.roles import Role
from muster.domain.sign_in_limits import Way
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.limit_sign_ins import count_address, forgive_address
from muster.operations.permit import act
from muster.storage import people, sessions
from muster.storage.engine import Transaction
from muster.storage.people import Administrator
from muster.storage.sessions import NewSession, StoredSession


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A way in for *administrator*. *token* is its secret: shown once, good once, until *expires_at*."""

    administrator: Administrator
    token: str
    expires_at: datetime


@act(Permission.PEOPLE)
def create_sign_in_links(tx: Transaction, names: Sequence[str], ctx: Context) -> list[SignInLink]:
    """Make a sign-in link for each named administrator, who is added when there is none of that name.

    The first one is the owner; those after it may look, until somebody gives them another role.
    """
    links = []
    for name in names:
        administrator = people.find_administrator(tx, name)
        if administrator is None:
            role = Role.VIEWER if people.count_administrators(tx) else Role.OWNER
            administrator = Administrator(ctx.new_id(), name, role)
            people.add_administrator(tx, administrator, ctx.now)
            people.record_act(tx, ctx.actor, "administrator.add", name, {"role": role.value}, ctx.now)
        token = random_secret(ctx)
        expires_at = ctx.now + ctx.policy.sign_in_lifetime
        people.add_sign_in_link(
            tx, token_hash=hash_secret(token), administrator_id=administrator.id, at=ctx.now, expires_at=expires_at
        )
        people.record_act(tx, ctx.actor, "administrator.sign_in_link", name, {}, ctx.now)
        links.append(SignInLink(administrator, token, expires_at))
    return links


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes to sign in: the address, what the browser says of itself, and the session that it has already.

    That session ends with the sign-in, whosever it was: nobody goes on in one that somebody else may have planted.
    """

    source: str = ""
    user_agent: str = ""
    former_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the console. *token* goes into the cookie; only its hash is kept."""

    administrator: Administrator
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LinkUse:
    """The secret of a sign-in link, and who has it."""

    token: str = field(repr=False)
    visit: Visit = Visit()


SignInOutcome: TypeAlias = Session | Refusal

MAXIMUM_USER_AGENT = 200
"""Characters kept of what a browser says of itself, for the list of sessions."""
USE_NOTED_EVERY = timedelta(minutes=1)
"""A session's use is written no more often."""
_UNKNOWN_LINK = Refusal(
    RefusalCode.SIGN_IN_UNKNOWN,
    "this sign-in link is unknown, used or expired",
    "Print another with `muster admins link`.",
)


def sign_in(tx: Transaction, uses: Sequence[LinkUse], ctx: Context) -> list[SignInOutcome]:
    """Use sign-in links up and open a session for each, or refuse. Tries of one address are counted, and bounded."""
    return [_sign_in(tx, use, ctx) for use in uses]


def _sign_in(tx: Transaction, use: LinkUse, ctx: Context) -> SignInOutcome:
    refusal = count_address(tx, Way.LINK, use.visit.source, ctx)
    if refusal is not None:
        return refusal
    administrator = people.use_sign_in_link(tx, hash_secret(use.token), ctx.now)
    if administrator is None:
        return _UNKNOWN_LINK
    forgive_address(tx, Way.LINK, use.visit.source)
    return begin_session(tx, administrator, use.visit, Way.LINK, ctx)


def begin_session(tx: Transaction, administrator: Administrator, visit: Visit, way: Way, ctx: Context) -> Session:
    """Open a session with a token of its own, and end the one that the browser had."""
    if visit.former_token is not None:
        sessions.end(tx, hash_secret(visit.former_token))
    token = random_secret(ctx)
    expires_at = ctx.now + ctx.policy.session_lifetime
    new = NewSession(
        ctx.new_id(),
        hash_secret(token),
        administrator.id,
        way.value,
        visit.source,
        _printable(visit.user_agent),
        ctx.now,
        expires_at,
    )
    sessions.add(tx, new)
    actor = Actor(ActorKind.ADMINISTRATOR, administrator.name, administrator.role, visit.source)
    people.record_act(tx, actor, "administrator.sign_in", administrator.name, {"way": way.value}, ctx.now)
    return Session(administrator, token, expires_at)


def _printable(text: str) -> str:
    return "".join(one for one in text[:MAXIMUM_USER_AGENT] if one.isprintable())


def sign_out(tx: Transaction, tokens: Sequence[str], ctx: Context) -> list[None]:  # noqa: ARG001 - the shape of operations
    """End sessions; one None for each."""
    for token in tokens:
        sessions.end(tx, hash_secret(token))
    return [None] * len(tokens)


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session that lasts. *is_use_due*: it is time to note that it is used (`note_session_uses`)."""

    stored: StoredSession
    is_use_due: bool

    def principal(self, source: str) -> Principal:
        """Return who asks in it, from the address *source*."""
        known = self.stored.administrator
        return Principal(Actor(ActorKind.ADMINISTRATOR, known.name, known.role, source), known.groups)


def find_session(tx: Transaction, token: str, now: datetime, policy: Policy) -> FoundSession | None:
    """Tell whose session *token* is; None when it is unknown, over or idle for too long."""
    stored = sessions.find(tx, hash_secret(token), now, now - policy.session_idle)
    return None if stored is None else FoundSession(stored, now - stored.last_used_at >= USE_NOTED_EVERY)


def note_session_uses(tx: Transaction, tokens: Sequence[str], ctx: Context) -> list[None]:
    """Note that sessions are used, so that they don't end for being idle; one None for each."""
    for token in tokens:
        sessions.note_use(tx, hash_secret(token), ctx.now)
    return [None] * len(tokens)
