"""Administrators are given roles; at least one of them stays an owner."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.roles import Role
from muster.operations.context import Context
from muster.storage import people
from muster.storage.engine import Transaction
from muster.storage.people import Administrator


@dataclass(frozen=True, slots=True)
class RoleOrder:
    """Who is to have which role."""

    name: str
    role: Role


RoleOutcome: TypeAlias = Administrator | Refusal


def set_roles(tx: Transaction, orders: Sequence[RoleOrder], ctx: Context) -> list[RoleOutcome]:
    """Give each named administrator a role, an act of the audit log each.

    Refused unless whoever asks is an owner, for a name that there is not, and where no owner would be left.
    """
    tx.lock_name("roles")
    return [_set(tx, order, ctx) for order in orders]


def _set(tx: Transaction, order: RoleOrder, ctx: Context) -> RoleOutcome:
    if ctx.actor.role is not Role.OWNER:
        return Refusal(RefusalCode.ROLE_MISSING, f"only an owner gives roles, and you are {ctx.actor.role.value}")
    known = people.find_administrator(tx, order.name)
    if known is None:
        return Refusal(
            RefusalCode.NOT_FOUND, f"there is no administrator {order.name}", "`muster admins link NAME` adds one."
        )
    owners = [one for one in people.all_administrators(tx) if one.role is Role.OWNER]
    if owners == [known] and order.role is not Role.OWNER:
        return Refusal(RefusalCode.CONFLICT, f"{order.name} is the last owner", "Make somebody else an owner first.")
    people.set_role(tx, known.id, order.role)
    detail: people.AuditDetail = {"role": order.role.value, "former": known.role.value}
    people.record_act(tx, ctx.actor, "administrator.role", order.name, detail, ctx.now)
    return replace(known, role=order.role)
