"""Administrators come in: a one-time link makes a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.roles import Role
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.storage import people
from muster.storage.engine import Transaction
from muster.storage.people import Administrator


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A way in for *administrator*. *token* is its secret: shown once, good once, until *expires_at*."""

    administrator: Administrator
    token: str
    expires_at: datetime


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
class Session:
    """A session of the console. *token* goes into the cookie; only its hash is kept."""

    administrator: Administrator
    token: str
    expires_at: datetime


SignInOutcome: TypeAlias = Session | Refusal


def sign_in(tx: Transaction, tokens: Sequence[str], ctx: Context) -> list[SignInOutcome]:
    """Use sign-in links up and open a session for each, or refuse."""
    outcomes: list[SignInOutcome] = []
    for link_token in tokens:
        administrator = people.use_sign_in_link(tx, hash_secret(link_token), ctx.now)
        if administrator is None:
            outcomes.append(
                Refusal(
                    RefusalCode.SIGN_IN_UNKNOWN,
                    "this sign-in link is unknown, used or expired",
                    "Print another with `muster admins link`.",
                )
            )
            continue
        token = random_secret(ctx)
        expires_at = ctx.now + ctx.policy.session_lifetime
        people.add_session(
            tx, token_hash=hash_secret(token), administrator_id=administrator.id, at=ctx.now, expires_at=expires_at
        )
        actor = Actor(ActorKind.ADMINISTRATOR, administrator.name, administrator.role)
        people.record_act(tx, actor, "administrator.sign_in", administrator.name, {}, ctx.now)
        outcomes.append(Session(administrator, token, expires_at))
    return outcomes


def sign_out(tx: Transaction, tokens: Sequence[str], ctx: Context) -> list[None]:  # noqa: ARG001 - the shape of operations
    """End sessions; one None for each."""
    for token in tokens:
        people.end_session(tx, hash_secret(token))
    return [None] * len(tokens)


def find_session(tx: Transaction, token: str, now: datetime) -> Administrator | None:
    """Tell whose session *token* is; None when it is unknown or over."""
    return people.session(tx, hash_secret(token), now)
