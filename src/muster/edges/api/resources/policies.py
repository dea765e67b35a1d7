"""Policies: what holds for everybody from the moment it is set."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.edges.api.problems import of_refusal
from muster.operations.context import Reading
from muster.operations.control_policies import BlastRadius, Stored, radius_of
from muster.operations.permit import of_devices, of_fleet
from muster.operations.set_control_policies import (
    ControlPolicyOrder,
    order_control_policies,
    planned_policies,
    set_control_policies,
)
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.views.control_policies import (
    ChannelLimits,
    ControlPolicyChanged,
    ControlPolicyRow,
    PolicyPreview,
    StateChange,
    list_control_policies,
    policy_of_channel,
)
from muster.operations.views.policies import PolicyStanding, list_standing_policies
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction


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
    is_word = isinstance(body.value, str) and not body.value.lstrip().startswith(("{", "[", '"'))
    done = await call.do(set_policies, PolicyOrder(name, str(body.value) if is_word else json.dumps(body.value)))
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


@endpoint("PUT", "/control-policies", needs=Permission.POLICIES, refuses=(404, 409))
async def set_control_policy(call: Call, body: ControlPolicyBody) -> ControlPolicyChanged:
    """Set by which windows the fleet, or a group, is judged."""
    order = ControlPolicyOrder(body.group, body.settings or {}, body.unset, body.unset_all)
    done = await call.do(set_control_policies, order)
    return ControlPolicyChanged(done.group, done.settings, done.former)


@endpoint("POST", "/control-policies/preview", needs=Permission.POLICIES, refuses=(404, 409))
async def preview_control_policy(call: Call, body: ControlPolicyBody) -> PolicyPreview:
    """Tell who would change their state if limits were set so; nothing is set."""
    order = ControlPolicyOrder(body.group, body.settings or {}, body.unset, body.unset_all)
    reading = Reading(call.runner.now(), call.site.policy)
    stored = await call.see(of_fleet(lambda tx: planned_policies(tx, order, reading), Permission.POLICIES))
    if isinstance(stored, Refusal):
        raise of_refusal(stored)
    radius, after = BlastRadius(), None
    while True:  # in parts, so that no transaction lasts long
        after = await call.see(of_fleet(_part(after, stored, reading, radius), Permission.POLICIES))
        if after is None:
            break
    changes = (StateChange(was, is_, count) for (was, is_), count in sorted(radius.changes.items()))
    return PolicyPreview(radius.channels, tuple(changes))


def _part(
    after: ChannelId | None, stored: Stored, reading: Reading, radius: BlastRadius
) -> Callable[[Transaction], ChannelId | None]:
    return lambda tx: radius_of(tx, after, stored, reading, radius)


@dataclass(frozen=True, slots=True)
class OrderBody:
    """The names of all groups that have limits, the first one decides."""

    groups: Annotated[tuple[Annotated[str, Limits("", 1, 100)], ...], Limits("", 1, 1000)]


@endpoint("PUT", "/control-policies/order", needs=Permission.POLICIES, refuses=(404, 409))
async def set_control_policy_order(call: Call, body: OrderBody) -> tuple[str, ...]:
    """Say which group decides where a device is in several."""
    return await call.do(order_control_policies, body.groups)


@endpoint("GET", "/devices/{channel_id}/control-policy", refuses=(404,))
async def show_channel_limits(call: Call, channel_id: str) -> ChannelLimits:
    """Show by which limits a channel is judged."""
    channel, reading = ChannelId(channel_id), Reading(call.runner.now(), call.site.policy)
    found = await call.see(of_devices([channel], lambda tx: policy_of_channel(tx, channel, reading)))
    return ChannelLimits(nothing_known(found, "device", channel_id))


ENDPOINTS = (
    list_policies,
    set_policy,
    list_all_control_policies,
    set_control_policy,
    preview_control_policy,
    set_control_policy_order,
    show_channel_limits,
)
