"""An administrator sets a policy; the audit log keeps what it was and what it is."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.errors import Refusal
from muster.domain.standing_policies import KINDS, PolicyName, PolicyValue, read_policy
from muster.operations.context import Context
from muster.storage import people, policies
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


def set_policies(tx: Transaction, orders: Sequence[PolicyOrder], ctx: Context) -> list[PolicyOutcome]:
    """Set each of *orders*, an act of the audit log each; refused where name or value are none."""
    return [_set(tx, order, ctx) for order in orders]


def _set(tx: Transaction, order: PolicyOrder, ctx: Context) -> PolicyOutcome:
    read = read_policy(order.name, order.text)
    if isinstance(read, Refusal):
        return read
    name, value = read
    former = {one.name: one.value for one in policies.stored(tx)}.get(name, KINDS[name].default)
    policies.write(tx, name, value, at=ctx.now, by=ctx.actor.name)
    detail = {"value": _audited(value), "former": _audited(former)}
    people.record_act(tx, ctx.actor, "policy.set", name.value, detail, ctx.now)
    return PolicySet(name, value, former)


def _audited(value: PolicyValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= MAXIMUM_AUDITED_CHARACTERS:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
