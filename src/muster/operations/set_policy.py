"""An administrator sets a policy; the audit log keeps what it was and what it is."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from muster.domain.access import LinkKind, may_use_link
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.standing_policies import KINDS, NO_LINK, PolicyName, PolicyValue, read_policy
from muster.operations.context import Context
from muster.operations.permit import act
from muster.operations.signal_devices import bring_all_up_to_date
from muster.storage import identities, people, policies
from muster.storage.engine import Transaction

MAXIMUM_AUDITED_CHARACTERS = 200
"""A longer value stands in the audit log as its hash: it may hold a profile, and what a profile holds is secret."""


@dataclass(frozen=True, slots=True)
class PolicyOrder:
    """A policy to set, as somebody typed it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A policy as it stands now, and what it was before."""

    name: PolicyName
    value: PolicyValue
    former: PolicyValue


PolicyOutcome: TypeAlias = PolicySet | Refusal


@act(Permission.POLICIES)
def set_policies(tx: Transaction, orders: Sequence[PolicyOrder], ctx: Context) -> list[PolicyOutcome]:
    """Set each of *orders*, an act of the audit log each; refused where name or value are none.

    A link that a policy names has to open, and to be of the way in that the policy is about.
    """
    return [_set(tx, order, ctx) for order in orders]


def _set(tx: Transaction, order: PolicyOrder, ctx: Context) -> PolicyOutcome:
    read = read_policy(order.name, order.text)
    if isinstance(read, Refusal):
        return read
    name, value = read
    unfit = _unfit_link(tx, name, value, ctx)
    if unfit is not None:
        return unfit
    former = {one.name: one.value for one in policies.stored(tx)}.get(name, KINDS[name].default)
    policies.write(tx, name, value, at=ctx.now, by=ctx.actor.name)
    if name is PolicyName.NONCOMPLIANT_STATES:
        bring_all_up_to_date(tx, ctx)
    detail = {"value": _audited(value), "former": _audited(former)}
    people.record_act(tx, ctx.actor, "policy.set", name.value, detail, ctx.now)
    return PolicySet(name, value, former)


_BY_ACCOUNT = frozenset({LinkKind.ACCOUNT_USER, LinkKind.ACCOUNT_DEVICE})


def _unfit_link(tx: Transaction, name: PolicyName, value: PolicyValue, ctx: Context) -> Refusal | None:
    """Tell which link in *value* the policy can't be about, or None; most policies name no link."""
    links: Collection[PolicyValue]
    match name:
        case PolicyName.ADE_LINK:
            links, kinds = [value] if value != NO_LINK else [], frozenset({LinkKind.ADE})
        case PolicyName.ACCOUNT_DRIVEN:
            links, kinds = value.values() if isinstance(value, dict) else [], _BY_ACCOUNT
        case (
            PolicyName.ON_ENROLL
            | PolicyName.ON_RESTORE
            | PolicyName.NETWORK_USERS
            | PolicyName.ROTATE_ON_REVEAL
            | PolicyName.MASS_FLIP_SHARE
            | PolicyName.NONCOMPLIANT_STATES
        ):
            return None
        case _:
            assert_never(name)
    return next((fault for link in links if (fault := _link_fault(tx, str(link), kinds, ctx)) is not None), None)


def _link_fault(tx: Transaction, link_id: str, kinds: Collection[LinkKind], ctx: Context) -> Refusal | None:
    link = identities.link_by_id(tx, link_id)
    if link is None:
        return Refusal(RefusalCode.NOT_FOUND, f"there is no link {link_id[:80]}", _LISTED)
    if link.kind not in kinds:
        wanted = " or ".join(sorted(kind.value for kind in kinds))
        return Refusal(
            RefusalCode.POLICY_UNFIT, f"link {link.id} is of kind {link.kind.value}, and this takes {wanted}", _LISTED
        )
    refusal = may_use_link(link, ctx.now)
    return None if refusal is None else Refusal(RefusalCode.POLICY_UNFIT, refusal.message, _LISTED)


_LISTED = "`muster enroll links` lists them."


def _audited(value: PolicyValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= MAXIMUM_AUDITED_CHARACTERS:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
