"""An administrator makes groups of devices, and changes them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.queries.groups import GroupDefinition, name_key, names_of, unfit_name
from muster.domain.queries.parser import parse_query
from muster.domain.queries.saved import SAVED, is_saved
from muster.operations.context import Context
from muster.operations.control_policies import policy_ids, query_of
from muster.operations.permit import act
from muster.operations.read_query import read_query
from muster.protocol.identifiers import DeviceId
from muster.storage import bulk_acts, groups, people, reviews, sends
from muster.storage.engine import Transaction

MAXIMUM_GROUPS = 1000
"""All of them are read where a query names one; an organization that has more has another tool for them."""
NAMED_IN_REFUSALS = 5
"""Ids that a refusal names, of perhaps thousands."""


@dataclass(frozen=True, slots=True)
class GroupOrder:
    """A group to make, or to give another query: by *query*, or, without one, of devices that are put in."""

    name: str
    query: str | None = None


@dataclass(frozen=True, slots=True)
class RenameOrder:
    """A group to give another name."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class MembersOrder:
    """Devices to put into a group, or to take out of it."""

    name: str
    device_ids: tuple[DeviceId, ...]


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """How many devices were put in or taken out, for whom that is news, and how many there are now."""

    changed: int
    members: int


GroupOutcome: TypeAlias = GroupDefinition | Refusal


@act(Permission.GROUPS)
def create_groups(tx: Transaction, orders: Sequence[GroupOrder], ctx: Context) -> list[GroupOutcome]:
    """Make groups. Refused where the name is taken or unfit, or the query can't be read."""
    return [_create(tx, order, ctx) for order in orders]


def _create(tx: Transaction, order: GroupOrder, ctx: Context) -> GroupOutcome:
    groups.lock(tx)
    stored = groups.read_all(tx)
    refusal = _unfit(order.name, stored) or _unreadable(tx, order)
    if refusal is None and len(stored) >= MAXIMUM_GROUPS + len(SAVED):
        refusal = Refusal(RefusalCode.CONFLICT, f"there are {MAXIMUM_GROUPS:,} groups already, and no more can be")
    if refusal is not None:
        return refusal
    group = GroupDefinition(ctx.new_id(), order.name, order.query)
    groups.add(tx, group, at=ctx.now, by=ctx.actor.name)
    people.record_act(tx, ctx.actor, "group.create", order.name, {"query": order.query}, ctx.now)
    return group


@act(Permission.GROUPS)
def change_queries(tx: Transaction, orders: Sequence[GroupOrder], ctx: Context) -> list[GroupOutcome]:
    """Give groups other queries. Refused where one can't be read, would have the group in itself, or isn't for it."""
    return [_change_query(tx, order, ctx) for order in orders]


def _change_query(tx: Transaction, order: GroupOrder, ctx: Context) -> GroupOutcome:
    groups.lock(tx)
    group = _find_own(tx, order.name)
    if isinstance(group, Refusal):
        return group
    if group.query is None or order.query is None:
        return Refusal(
            RefusalCode.CONFLICT,
            f"{group.name} is a group of devices that were put in, and has no query",
            "Make another group with this query.",
        )
    refusal = _unreadable(tx, order)
    changed = GroupDefinition(group.id, group.name, order.query)
    has_policy = group.id in policy_ids(tx)
    if refusal is None and has_policy:
        query = query_of(tx, changed)
        refusal = query if isinstance(query, Refusal) else None
    if refusal is not None:
        return refusal
    if has_policy:
        reviews.bring_forward(tx, None, ctx.now)
    groups.set_query(tx, group.id, order.query)
    detail = {"query": order.query, "former_query": group.query}
    people.record_act(tx, ctx.actor, "group.change_query", group.name, detail, ctx.now)
    return changed


@act(Permission.GROUPS)
def rename_groups(tx: Transaction, orders: Sequence[RenameOrder], ctx: Context) -> list[GroupOutcome]:
    """Give groups other names. Refused while queries name the former one."""
    return [_rename(tx, order, ctx) for order in orders]


def _rename(tx: Transaction, order: RenameOrder, ctx: Context) -> GroupOutcome:
    groups.lock(tx)
    group = _find_own(tx, order.name)
    if isinstance(group, Refusal):
        return group
    is_same = name_key(order.name) == name_key(order.new_name)
    refusal = None if is_same else _unfit(order.new_name, groups.read_all(tx)) or _in_use(tx, group)
    refusal = refusal or unfit_name(order.new_name)
    if refusal is not None:
        return refusal
    groups.rename(tx, group.id, order.new_name)
    people.record_act(tx, ctx.actor, "group.rename", group.name, {"new_name": order.new_name}, ctx.now)
    return GroupDefinition(group.id, order.new_name, group.query)


@act(Permission.GROUPS)
def delete_groups(tx: Transaction, names: Sequence[str], ctx: Context) -> list[GroupOutcome]:
    """Delete groups; their devices stay what they are. Refused while queries name them or policies are set for them."""
    outcomes: list[GroupOutcome] = []
    for name in names:
        groups.lock(tx)
        group = _find_own(tx, name)
        refusal = group if isinstance(group, Refusal) else _in_use(tx, group) or _has_policy(tx, group)
        if isinstance(group, GroupDefinition) and refusal is None:
            groups.remove(tx, group.id)
            people.record_act(tx, ctx.actor, "group.delete", group.name, {"query": group.query}, ctx.now)
        outcomes.append(group if refusal is None else refusal)
    return outcomes


# --- members ----------------------------------------------------------------------------------------------------------


@act(Permission.GROUPS)
def add_members(tx: Transaction, orders: Sequence[MembersOrder], ctx: Context) -> list[MembersChanged | Refusal]:
    """Put devices into groups. Refused as a whole where one isn't known, and where the group has a query."""
    outcomes: list[MembersChanged | Refusal] = []
    for order in orders:
        group = _static(tx, order.name)
        if isinstance(group, Refusal):
            outcomes.append(group)
            continue
        unknown = sorted(set(order.device_ids) - groups.known_devices(tx, order.device_ids))
        if unknown:
            named = ", ".join(unknown[:NAMED_IN_REFUSALS]) + (", ..." if len(unknown) > NAMED_IN_REFUSALS else "")
            message = f"no device {named} is known; nothing was changed"
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, message, "See `muster devices list`."))
            continue
        changed = groups.add_members(tx, group.id, order.device_ids, ctx.now)
        outcomes.append(_changed(tx, group, "group.add", changed, ctx))
    return outcomes


@act(Permission.GROUPS)
def remove_members(tx: Transaction, orders: Sequence[MembersOrder], ctx: Context) -> list[MembersChanged | Refusal]:
    """Take devices out of groups; those that aren't in are passed over. Refused where the group has a query."""
    outcomes: list[MembersChanged | Refusal] = []
    for order in orders:
        group = _static(tx, order.name)
        if isinstance(group, Refusal):
            outcomes.append(group)
            continue
        changed = groups.remove_members(tx, group.id, order.device_ids)
        outcomes.append(_changed(tx, group, "group.remove", changed, ctx))
    return outcomes


def _changed(tx: Transaction, group: GroupDefinition, act: str, changed: int, ctx: Context) -> MembersChanged:
    members = groups.count_members(tx, group.id)
    if group.id in policy_ids(tx):
        reviews.bring_forward(tx, None, ctx.now)  # who was taken out is found by nothing any more
    people.record_act(tx, ctx.actor, act, group.name, {"devices": changed, "members": members}, ctx.now)
    return MembersChanged(changed, members)


def _static(tx: Transaction, name: str) -> GroupOutcome:
    groups.lock(tx)
    group = _find(tx, name)
    if isinstance(group, GroupDefinition) and group.query is not None:
        return Refusal(
            RefusalCode.CONFLICT,
            f"who is in {group.name} is told by its query, {group.query}",
            "Change that with `muster groups query`.",
        )
    return group


# --- what is in the way -----------------------------------------------------------------------------------------------


def _find(tx: Transaction, name: str) -> GroupOutcome:
    group = groups.read_all(tx).get(name_key(name))
    return group or Refusal(RefusalCode.NOT_FOUND, f"there is no group {name}", "See `muster groups list`.")


def _find_own(tx: Transaction, name: str) -> GroupOutcome:
    """Find a group that administrators made: the saved queries are nobody's to change."""
    group = _find(tx, name)
    if isinstance(group, GroupDefinition) and is_saved(group):
        remedy = "Make a group of your own with `muster groups create`; its query may name this one."
        return Refusal(RefusalCode.CONFLICT, f"{group.name} is a query that comes with Muster", remedy)
    return group


def _unfit(name: str, stored: Collection[str]) -> Refusal | None:
    refusal = unfit_name(name)
    if refusal is None and name_key(name) in stored:
        return Refusal(RefusalCode.CONFLICT, f"there is a group {name} already", "Give this one another name.")
    return refusal


def _unreadable(tx: Transaction, order: GroupOrder) -> Refusal | None:
    query = None if order.query is None else read_query(tx, order.query, within=(order.name,))
    return query if isinstance(query, Refusal) else None


def _in_use(tx: Transaction, group: GroupDefinition) -> Refusal | None:
    """Tell which queries name *group*; None where none does."""
    key = name_key(group.name)
    others = [one.name for one in groups.read_all(tx).values() if one.query and key in names_of(parse_query(one.query))]
    if others:
        message = f"{group.name} is named by the query of {', '.join(others[:NAMED_IN_REFUSALS])}"
        return Refusal(RefusalCode.CONFLICT, message, "Change that first, with `muster groups query`.")
    if any(key in names_of(parse_query(query)) for query in sends.unfinished_queries(tx)):
        message = f"a command is being sent to those of {group.name}"
        return Refusal(RefusalCode.CONFLICT, message, "See `muster commands sends`, and wait for its end.")
    if any(key in names_of(parse_query(query)) for query in bulk_acts.unfinished_queries(tx)):
        message = f"something is being done to those of {group.name}"
        return Refusal(RefusalCode.CONFLICT, message, "See `muster act list`, and wait for its end.")
    return None


def _has_policy(tx: Transaction, group: GroupDefinition) -> Refusal | None:
    """Tell that devices are judged by what is set for *group*; None where nothing is."""
    if group.id not in policy_ids(tx):
        return None
    message = f"a policy of control is set for {group.name}"
    return Refusal(RefusalCode.CONFLICT, message, "Unset it with `muster policy control unset --group NAME`.")
