"""Administrators say which people may enroll devices, and give them passwords."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from muster.crypto.passwords import SALT_BYTES, hash_password
from muster.domain.enrollment_users import (
    EnrollmentUser,
    check_password,
    check_user_name,
    normalise_password,
    normalise_user_name,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import enrollment_users, people
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class UserOrder:
    """A user to add, or one whose password is replaced; both as typed."""

    user_name: str
    password: str = field(repr=False)


UserOutcome: TypeAlias = EnrollmentUser | Refusal


@act(Permission.ENROLL)
def add_enrollment_users(tx: Transaction, orders: Sequence[UserOrder], ctx: Context) -> list[UserOutcome]:
    """Add users, or refuse: a name or password that is unfit, a name that is taken (CONFLICT)."""
    return [_add(tx, order, ctx) for order in orders]


def _add(tx: Transaction, order: UserOrder, ctx: Context) -> UserOutcome:
    name, password = normalise_user_name(order.user_name), normalise_password(order.password)
    refusal = check_user_name(name) or check_password(password)
    if refusal is not None:
        return refusal
    user = EnrollmentUser(name, ctx.now)
    if not enrollment_users.add(tx, user, hash_password(password, ctx.random_bytes(SALT_BYTES))):
        return Refusal(
            RefusalCode.CONFLICT,
            f"there is a user {name} already",
            f"Give another password with `muster users set-password {name}`.",
        )
    people.record_act(tx, ctx.actor, "enrollment_user.add", name, {}, ctx.now)
    return user


@act(Permission.ENROLL)
def set_passwords(tx: Transaction, orders: Sequence[UserOrder], ctx: Context) -> list[UserOutcome]:
    """Replace users' passwords, which ends their sessions and lets disabled ones sign in again; or refuse."""
    return [_set_password(tx, order, ctx) for order in orders]


def _set_password(tx: Transaction, order: UserOrder, ctx: Context) -> UserOutcome:
    password = normalise_password(order.password)
    user = _known(tx, order.user_name)
    if isinstance(user, Refusal):
        return user
    refusal = check_password(password)
    if refusal is not None:
        return refusal
    enrollment_users.set_password(tx, user.user_name, hash_password(password, ctx.random_bytes(SALT_BYTES)))
    people.record_act(tx, ctx.actor, "enrollment_user.set_password", user.user_name, {}, ctx.now)
    return replace(user, disabled_at=None)


@act(Permission.ENROLL)
def disable_users(tx: Transaction, user_names: Sequence[str], ctx: Context) -> list[UserOutcome]:
    """Let users sign in no more; what they enrolled stays. One that is disabled already stays so."""
    outcomes: list[UserOutcome] = []
    for user_name in user_names:
        user = _known(tx, user_name)
        if isinstance(user, EnrollmentUser) and user.disabled_at is None:
            enrollment_users.disable(tx, user.user_name, ctx.now)
            people.record_act(tx, ctx.actor, "enrollment_user.disable", user.user_name, {}, ctx.now)
            user = replace(user, disabled_at=ctx.now)
        outcomes.append(user)
    return outcomes


def _known(tx: Transaction, user_name: str) -> UserOutcome:
    name = normalise_user_name(user_name)
    stored = enrollment_users.find(tx, name)
    if stored is None:
        return Refusal(RefusalCode.NOT_FOUND, f"there is no user {name}", "`muster users list` shows those there are.")
    return stored.user
