"""Policies: what holds for everybody from the moment it is set."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.permit import of_fleet
from muster.operations.set_control_policies import ControlPolicyOrder, set_control_policies
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.views.control_policies import ControlPolicyRow, list_control_policies
from muster.operations.views.policies import PolicyStanding, list_standing_policies


@endpoint("GET", "/policies")
async def list_policies(call: Call) -> tuple[PolicyStanding, ...]:
    """List every policy as it stands."""
    return await call.see(of_fleet(list_standing_policies))


@dataclass(frozen=True, slots=True)
class PolicyBody:
    """What a policy is to be."""

    value: object


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """A policy as it stands now, and what it was before."""

    name: str
    value: object
    former: object


@endpoint("PUT", "/policies/{name}", needs=Permission.POLICIES, refuses=(404, 409))
async def set_policy(call: Call, name: str, body: PolicyBody) -> PolicyChanged:
    """Set a policy; it holds at once, on every node."""
    done = await call.do(set_policies, PolicyOrder(name, json.dumps(body.value)))
    return PolicyChanged(done.name.value, done.value, done.former)


@endpoint("GET", "/control-policies")
async def list_all_control_policies(call: Call) -> tuple[ControlPolicyRow, ...]:
    """List by which windows the fleet and its groups are judged, in the order in which they count."""
    return await call.see(of_fleet(list_control_policies))


@dataclass(frozen=True, slots=True)
class ControlPolicyBody:
    """What is to be otherwise. *group*: for whose devices; null: for all. *settings*: by name, as in the manual's page
    on control policies; *unset*: names of those that are to be as they come."""

    group: Annotated[str | None, Limits("A group's name.", 1, 100)] = None
    settings: Mapping[str, str] | None = None
    unset: Annotated[tuple[Annotated[str, Limits("", 1, 100)], ...], Limits("", 0, 100)] = ()
    unset_all: bool = False


@dataclass(frozen=True, slots=True)
class ControlPolicyChanged:
    """A group's settings as they are now, and as they were."""

    group: str | None
    settings: Mapping[str, str]
    former: Mapping[str, str]


@endpoint("PUT", "/control-policies", needs=Permission.POLICIES, refuses=(404, 409))
async def set_control_policy(call: Call, body: ControlPolicyBody) -> ControlPolicyChanged:
    """Set by which windows the fleet, or a group, is judged."""
    order = ControlPolicyOrder(body.group, body.settings or {}, body.unset, body.unset_all)
    done = await call.do(set_control_policies, order)
    return ControlPolicyChanged(done.group, done.settings, done.former)


ENDPOINTS = (list_policies, set_policy, list_all_control_policies, set_control_policy)
