"""Administrators, their roles and scopes, and tokens for programs."""

from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Annotated

from muster.domain.permissions import Permission
from muster.domain.principals import MAXIMUM_SCOPE_GROUPS
from muster.domain.roles import Role
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.end_sessions import end_sessions
from muster.operations.manage_tokens import LONGEST_LIFETIME, MAXIMUM_NAME, TokenOrder, create_tokens, revoke_tokens
from muster.operations.permit import of_no_device
from muster.operations.set_roles import AccessOrder, RoleOrder, set_access, set_roles
from muster.operations.set_up_sign_in import reset_ways
from muster.operations.sign_in import create_sign_in_links
from muster.operations.views.people import (
    AdministratorRow,
    Invitation,
    MadeToken,
    SessionRow,
    TokenRow,
    invitation,
    list_administrators,
    list_tokens,
    made_token,
    sessions_of,
)

GroupNames = Annotated[
    tuple[Annotated[str, Limits("", 1, 100)], ...], Limits("Names of groups.", 0, MAXIMUM_SCOPE_GROUPS)
]


@dataclass(frozen=True, slots=True)
class Myself:
    """Who asks: the name of the token, what it may, and the ids of the groups that it is limited to; null: it sees all.

    *permissions*: all that its role has; *version*: Muster's own, at this node.
    """

    name: str
    role: Role
    groups: tuple[str, ...] | None
    permissions: tuple[Permission, ...]
    version: str


@endpoint("GET", "/me")
async def tell_who_asks(call: Call) -> Myself:
    """Tell who asks, and what they may."""
    principal = call.principal
    groups = None if principal.groups is None else tuple(sorted(principal.groups))
    allowed = tuple(one for one in Permission if principal.may(one))
    return Myself(principal.actor.name, principal.role, groups, allowed, version("muster-mdm"))


@endpoint("GET", "/administrators", needs=Permission.PEOPLE)
async def list_all_administrators(call: Call) -> tuple[AdministratorRow, ...]:
    """List the people who may sign in, with their roles and the groups that they are limited to."""
    return await call.see(of_no_device(list_administrators, Permission.PEOPLE))


@dataclass(frozen=True, slots=True)
class InvitationBody:
    """Who is to sign in; a name that nobody has makes a new administrator, a viewer."""

    name: Annotated[str, Limits("Their name.", 1, MAXIMUM_NAME, is_plain=True)]


@endpoint("POST", "/administrators", needs=Permission.PEOPLE, status=201, refuses=(404, 409))
async def invite_administrator(call: Call, body: InvitationBody) -> Invitation:
    """Make a link by which an administrator signs in, once."""
    made = await call.do(create_sign_in_links, body.name)
    return invitation(made, call.site.public_url)


@endpoint("GET", "/administrators/{name}/sessions", needs=Permission.PEOPLE)
async def list_administrator_sessions(call: Call, name: str) -> tuple[SessionRow, ...]:
    """List somebody's sessions: by what they signed in, from where, and when each was used last."""
    now = call.runner.now()
    return await call.see(of_no_device(lambda tx: sessions_of(tx, name, now), Permission.PEOPLE))


@endpoint("DELETE", "/administrators/{name}/ways", needs=Permission.PEOPLE, refuses=(404,), status=204)
async def reset_administrator(call: Call, name: str) -> None:
    """Forget somebody's password, codes and passkeys, and end every session: for a telephone that was stolen."""
    await call.do(reset_ways, name)


@endpoint("DELETE", "/administrators/{name}/sessions", needs=Permission.PEOPLE, refuses=(404,), status=204)
async def end_administrator_sessions(call: Call, name: str) -> None:
    """End all sessions of an administrator."""
    await call.do(end_sessions, name)


@dataclass(frozen=True, slots=True)
class AccessBody:
    """What is to be otherwise; null: as it is. *groups*: to which somebody is limited, none for the whole fleet."""

    role: Role | None = None
    groups: GroupNames | None = None
    is_disabled: bool | None = None


@endpoint("PUT", "/administrators/{name}/access", needs=Permission.PEOPLE, refuses=(404, 409), status=204)
async def set_administrator_access(call: Call, name: str, body: AccessBody) -> None:
    """Give an administrator a role or a scope, shut them out, or let them in again. It holds at once."""
    if body.role is not None or body.groups is not None:
        await call.do(set_roles, RoleOrder(name, body.role, body.groups))
    if body.is_disabled is not None:
        await call.do(set_access, AccessOrder(name, body.is_disabled))


@endpoint("GET", "/tokens", needs=Permission.PEOPLE)
async def list_all_tokens(call: Call) -> tuple[TokenRow, ...]:
    """List the tokens, without their secrets."""
    return await call.see(of_no_device(list_tokens, Permission.PEOPLE))


@dataclass(frozen=True, slots=True)
class TokenBody:
    """A token to make. *groups*: names of those that it is limited to, none for the whole fleet."""

    name: Annotated[str, Limits("As it stands in the audit log.", 1, MAXIMUM_NAME)]
    role: Role
    lifetime_seconds: Annotated[int, Limits("How long it is good for.", 60, int(LONGEST_LIFETIME.total_seconds()))]
    groups: GroupNames = ()


@endpoint("POST", "/tokens", needs=Permission.PEOPLE, status=201, refuses=(404, 409))
async def create_token(call: Call, body: TokenBody) -> MadeToken:
    """Make a token for a program."""
    lifetime = timedelta(seconds=body.lifetime_seconds)
    made = await call.do(create_tokens, TokenOrder(body.name, body.role, lifetime, body.groups))
    return made_token(made)


@endpoint("DELETE", "/tokens/{name}", needs=Permission.PEOPLE, refuses=(404,), status=204)
async def revoke_token(call: Call, name: str) -> None:
    """Have a token be good no more, from now on."""
    await call.do(revoke_tokens, name)


ENDPOINTS = (
    tell_who_asks,
    list_all_administrators,
    invite_administrator,
    list_administrator_sessions,
    reset_administrator,
    end_administrator_sessions,
    set_administrator_access,
    list_all_tokens,
    create_token,
    revoke_token,
)
