"""Administrators sign in by an identity provider (OpenID Connect, authorization code with PKCE, RFC 7636).

Who they are there ties them to an administrator here, never their name: nobody takes over an account by being called
like its owner. What they may is told by their groups there, anew at each sign-in.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeAlias

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.roles import Role
from muster.domain.sign_in_limits import Way
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.limit_sign_ins import count_address, forgive_address
from muster.operations.set_up_sign_in import state_row
from muster.operations.sign_in import Session, Visit, begin_session
from muster.storage import people, sign_in_ways
from muster.storage.engine import Transaction
from muster.storage.people import Administrator

LIFETIME: Final = timedelta(minutes=10)
"""From leaving for the provider to coming back: people look for their second factor there."""
MAXIMUM_NAME: Final = 64
"""Characters of a name; what a provider says beyond is cut off."""
MAXIMUM_SUBJECT: Final = 255
"""OpenID Connect Core 1.0, section 2."""
_KIND: Final = "provider"


@dataclass(frozen=True, slots=True)
class Departure:
    """What goes to the provider, and what stays with the browser: *state*, in a cookie of its own as well."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    challenge: str
    """Of the verifier, by S256."""


@dataclass(frozen=True, slots=True)
class Return:
    """What is held against the provider's answer."""

    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom the provider knows somebody to be. *role*: absent where none of their groups has one."""

    issuer: str
    subject: str
    name: str
    role: Role | None
    visit: Visit


DepartureOutcome: TypeAlias = Departure | Refusal
SignInOutcome: TypeAlias = Session | Refusal


def leave_for_provider(tx: Transaction, sources: Sequence[str], ctx: Context) -> list[DepartureOutcome]:
    """Begin a sign-in from each address; counted as a try of it until it was right."""
    return [_leave(tx, source, ctx) for source in sources]


def _leave(tx: Transaction, source: str, ctx: Context) -> DepartureOutcome:
    refusal = count_address(tx, Way.PROVIDER, source, ctx)
    if refusal is not None:
        return refusal
    state, nonce, verifier = random_secret(ctx), random_secret(ctx), random_secret(ctx) + random_secret(ctx)
    kept = json.dumps([nonce, verifier]).encode()
    sign_in_ways.add_state(
        tx,
        token_hash=hash_secret(state),
        kind=_KIND,
        administrator_id=None,
        sealed=ctx.seal(kept, table="sign_in_states", column="sealed", row=state_row(state)),
        at=ctx.now,
        expires_at=ctx.now + LIFETIME,
    )
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return Departure(state, nonce, challenge)


def return_from_provider(tx: Transaction, states: Sequence[str], ctx: Context) -> list[Return | None]:
    """Take what was kept for each state, which is good once; None for one that is unknown or over."""
    return [_return(tx, state, ctx) for state in states]


def _return(tx: Transaction, state: str, ctx: Context) -> Return | None:
    sealed = sign_in_ways.take_state(tx, hash_secret(state), _KIND, None, ctx.now)
    if sealed is None:
        return None
    nonce, verifier = json.loads(ctx.open(sealed, table="sign_in_states", column="sealed", row=state_row(state)))
    return Return(nonce, verifier)


def sign_in_by_provider(tx: Transaction, identified: Sequence[Identified], ctx: Context) -> list[SignInOutcome]:
    """Open a session for each person whose groups have a role; who is new here is added, an act of the audit log.

    Refused without a role, which ends what sessions they have, for who is shut out here, and for a subject that is too
    long (MAXIMUM_SUBJECT) or can't be printed.
    """
    return [_sign_in(tx, one, ctx) for one in identified]


def _sign_in(tx: Transaction, one: Identified, ctx: Context) -> SignInOutcome:
    if len(one.subject) > MAXIMUM_SUBJECT or not one.subject.isprintable():
        return _UNFIT_SUBJECT  # never cut: others may begin alike
    tx.lock_name("roles")
    external_id = f"{one.issuer} {one.subject}"
    known = sign_in_ways.of_external(tx, external_id)
    if one.role is None:
        if known is not None:
            people.end_sessions(tx, known.id)
        return Refusal(
            RefusalCode.ROLE_MISSING,
            "none of your groups at the identity provider has a role here",
            "Ask an owner: the setting oidc_roles says which groups have one.",
        )
    if known is not None and known.disabled_at is not None:
        return Refusal(RefusalCode.SIGN_IN_WRONG, "you are shut out here", "Ask an owner.")
    forgive_address(tx, Way.PROVIDER, one.visit.source)
    administrator = (
        _add(tx, one, external_id, one.role, ctx) if known is None else _follow(tx, known, one, one.role, ctx)
    )
    return begin_session(tx, administrator, one.visit, Way.PROVIDER, ctx)


_UNFIT_SUBJECT: Final = Refusal(
    RefusalCode.SIGN_IN_WRONG,
    f"the identity provider names you by more than {MAXIMUM_SUBJECT} characters, or by some that can't be printed",
    "Ask an owner: the claim sub of its ID tokens has to be a plain name.",
)


def _add(tx: Transaction, one: Identified, external_id: str, role: Role, ctx: Context) -> Administrator:
    name = "".join(each for each in one.name if each.isprintable()).strip()[:MAXIMUM_NAME] or "somebody"
    if people.find_administrator(tx, name) is not None:
        mark = hashlib.sha256(external_id.encode()).hexdigest()[:8]
        name = f"{name[: MAXIMUM_NAME - 11]} ({mark})"
    administrator = Administrator(ctx.new_id(), name, role)
    people.add_administrator(tx, administrator, ctx.now)
    sign_in_ways.set_external(tx, administrator.id, external_id)
    actor = Actor(ActorKind.ADMINISTRATOR, name, role, one.visit.source)
    detail: people.AuditDetail = {"role": role.value, "issuer": one.issuer}
    people.record_act(tx, actor, "administrator.add", name, detail, ctx.now)
    return administrator


def _follow(tx: Transaction, known: Administrator, one: Identified, role: Role, ctx: Context) -> Administrator:
    """Give somebody the role that their groups have now; an owner has the whole fleet."""
    if known.role is role:
        return known
    groups = None if role is Role.OWNER else known.groups
    people.set_role(tx, known.id, role, groups)
    actor = Actor(ActorKind.ADMINISTRATOR, known.name, role, one.visit.source)
    detail: people.AuditDetail = {"role": role.value, "former": known.role.value, "issuer": one.issuer}
    people.record_act(tx, actor, "administrator.role", known.name, detail, ctx.now)
    return Administrator(known.id, known.name, role, groups)
