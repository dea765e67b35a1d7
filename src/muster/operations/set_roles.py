"""Administrators are given roles and scopes, and shut out; at least one of them stays an owner who may sign in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.principals import MAXIMUM_SCOPE_GROUPS
from muster.domain.queries.groups import name_key
from muster.domain.roles import Role
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import groups, people
from muster.storage.engine import Transaction
from muster.storage.people import Administrator


@dataclass(frozen=True, slots=True)
class RoleOrder:
    """Who is to have which role, and which scope: names of groups, none for the whole fleet. Absent: as it is."""

    name: str
    role: Role | None = None
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AccessOrder:
    """Whether an administrator may sign in."""

    name: str
    is_disabled: bool


RoleOutcome: TypeAlias = Administrator | Refusal


@act(Permission.PEOPLE)
def set_roles(tx: Transaction, orders: Sequence[RoleOrder], ctx: Context) -> list[RoleOutcome]:
    """Give each named administrator a role and a scope, an act of the audit log each. It holds at once.

    Refused unless whoever asks is an owner, for a name or a group that there is not, for an owner with less than the
    whole fleet, and where no owner would be left.
    """
    tx.lock_name("roles")
    return [_set(tx, order, ctx) for order in orders]


def _set(tx: Transaction, order: RoleOrder, ctx: Context) -> RoleOutcome:
    if ctx.actor.role is not Role.OWNER:
        return Refusal(RefusalCode.ROLE_MISSING, f"only an owner gives roles, and you are {ctx.actor.role.value}")
    known = people.find_administrator(tx, order.name)
    if known is None:
        return _nobody(order.name)
    scope = known.groups if order.groups is None else read_scope(tx, order.groups)
    if isinstance(scope, Refusal):
        return scope
    changed = replace(known, role=order.role or known.role, groups=scope)
    refusal = unfit_scope(changed.role, scope) or _last_owner(tx, known, changed)
    if refusal is not None:
        return refusal
    people.set_role(tx, known.id, changed.role, scope)
    detail: people.AuditDetail = {"role": changed.role.value, "former": known.role.value, "groups": _said(order.groups)}
    people.record_act(tx, ctx.actor, "administrator.role", order.name, detail, ctx.now)
    return changed


@act(Permission.PEOPLE)
def set_access(tx: Transaction, orders: Sequence[AccessOrder], ctx: Context) -> list[RoleOutcome]:
    """Shut administrators out, which ends their sessions, or let them in again; an act of the audit log each.

    Their names stay in the log. Refused as roles are.
    """
    tx.lock_name("roles")
    return [_set_access(tx, order, ctx) for order in orders]


def _set_access(tx: Transaction, order: AccessOrder, ctx: Context) -> RoleOutcome:
    known = people.find_administrator(tx, order.name)
    if known is None:
        return _nobody(order.name)
    changed = replace(known, disabled_at=ctx.now if order.is_disabled else None)
    refusal = _last_owner(tx, known, changed)
    if refusal is not None:
        return refusal
    people.set_disabled(tx, known.id, changed.disabled_at)
    if order.is_disabled:
        people.end_sessions(tx, known.id)
    act_name = "administrator.disable" if order.is_disabled else "administrator.enable"
    people.record_act(tx, ctx.actor, act_name, order.name, {}, ctx.now)
    return changed


def read_scope(tx: Transaction, names: Sequence[str]) -> frozenset[str] | Refusal | None:
    """Return the ids of the groups of these names; None, the whole fleet, for no names."""
    if len(names) > MAXIMUM_SCOPE_GROUPS:
        return Refusal(RefusalCode.CONFLICT, f"a scope has {MAXIMUM_SCOPE_GROUPS} groups at most")
    known = groups.read_all(tx)
    for name in names:
        if name_key(name) not in known:
            return Refusal(RefusalCode.NOT_FOUND, f"there is no group {name}", "See `muster groups list`.")
    return frozenset(known[name_key(name)].id for name in names) or None


def unfit_scope(role: Role, scope: frozenset[str] | None) -> Refusal | None:
    """Tell why *role* can't be limited so, or None: who makes people and tokens could have any scope."""
    if role is not Role.OWNER or scope is None:
        return None
    return Refusal(RefusalCode.CONFLICT, "an owner has the whole fleet", "Give another role with these groups.")


def _last_owner(tx: Transaction, known: Administrator, changed: Administrator) -> Refusal | None:
    if changed.role is Role.OWNER and changed.disabled_at is None:
        return None
    owners = [one for one in people.all_administrators(tx) if one.role is Role.OWNER and one.disabled_at is None]
    if owners != [known]:
        return None
    return Refusal(RefusalCode.CONFLICT, f"{known.name} is the last owner", "Make somebody else an owner first.")


def _nobody(name: str) -> Refusal:
    return Refusal(RefusalCode.NOT_FOUND, f"there is no administrator {name}", "`muster admins link NAME` adds one.")


def _said(names: Sequence[str] | None) -> str | None:
    return None if names is None else ", ".join(names) or "the whole fleet"
