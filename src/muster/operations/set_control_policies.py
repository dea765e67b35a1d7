"""An administrator sets limits by which control is judged; those whom that touches are judged anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.policy_settings import SETTINGS, fault_of, inconsistency, merged_policy
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.queries.groups import GroupDefinition, name_key
from muster.domain.queries.saved import is_saved
from muster.operations.context import Context, Present
from muster.operations.control_policies import Stored, query_of
from muster.operations.permit import act
from muster.storage import control_policies, groups, people, queries, reviews, witnesses
from muster.storage.control_policies import OF_ALL, StoredControlPolicy
from muster.storage.engine import Transaction

MAXIMUM_GROUPS: Final = 50
"""For which a policy is set: each is looked up for every batch of reviews."""


@dataclass(frozen=True, slots=True)
class ControlPolicyOrder:
    """What to set for the *group* of that name, or for all (None), and what to unset; *unset_all*: everything.

    *settings* are as `read_settings` returned them.
    """

    group: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    unset: Sequence[str] = ()
    unset_all: bool = False


@dataclass(frozen=True, slots=True)
class ControlPolicySet:
    """What is set for a group, or for all (None), from now on, what was, and the policy that its devices have then
    where no other group decides."""

    group: str | None
    settings: Mapping[str, str]
    former: Mapping[str, str]
    policy: ControlPolicy


@dataclass(frozen=True, slots=True)
class _Planned:
    group: GroupDefinition | None
    former: StoredControlPolicy
    after: StoredControlPolicy
    stored: Stored
    policy: ControlPolicy


@act(Permission.POLICIES)
def set_control_policies(
    tx: Transaction, orders: Sequence[ControlPolicyOrder], ctx: Context
) -> list[ControlPolicySet | Refusal]:
    """Set and unset, an act of the audit log each; the channels that it touches are judged anew.

    Refused where a group isn't known, depends on verdicts or is a saved query, a setting is none or doesn't fit, limits
    contradict each other, an agent is no witness, or MAXIMUM_GROUPS have a policy already.
    """
    return [_set(tx, order, ctx) for order in orders]


def _set(tx: Transaction, order: ControlPolicyOrder, ctx: Context) -> ControlPolicySet | Refusal:
    control_policies.lock(tx)
    planned = _plan(tx, order, ctx, by=ctx.actor.name)
    if isinstance(planned, Refusal):
        return planned
    settings, former = planned.after.settings, planned.former.settings
    if settings:
        control_policies.put(tx, planned.after)
    else:
        control_policies.remove(tx, planned.after.group_id)
    name = None if planned.group is None else planned.group.name
    changed = sorted(key for key in {*settings, *former} if settings.get(key) != former.get(key))
    if changed:
        detail: dict[str, str | int | bool | None] = {key: settings.get(key) for key in changed}
        detail |= {f"former_{key}": former.get(key) for key in changed}
        people.record_act(tx, ctx.actor, "control_policy.set", name or "all", detail, ctx.now)
        _judge_anew(tx, planned.group, ctx)
    return ControlPolicySet(name, settings, former, planned.policy)


def planned_policies(tx: Transaction, order: ControlPolicyOrder, ctx: Present) -> Stored | Refusal:
    """Return all that would be set after *order*, and change nothing; refused as the order itself."""
    planned = _plan(tx, order, ctx, by="")
    return planned if isinstance(planned, Refusal) else planned.stored


def _plan(tx: Transaction, order: ControlPolicyOrder, ctx: Present, *, by: str) -> _Planned | Refusal:
    group = None if order.group is None else find_own_group(tx, order.group)
    if isinstance(group, Refusal):
        return group
    unfit = _unfit(tx, order)
    if unfit is not None:
        return unfit
    stored = control_policies.read(tx)
    group_id = OF_ALL if group is None else group.id
    others = [one for one in stored if one.group_id != group_id]
    ranks = [one.rank for one in others]
    nothing = StoredControlPolicy(group_id, 0 if group is None else max(ranks, default=0) + 1, {}, ctx.now, "")
    former = next((one for one in stored if one.group_id == group_id), nothing)
    kept = {} if order.unset_all else {key: one for key, one in former.settings.items() if key not in order.unset}
    after = replace(former, settings={**kept, **order.settings}, changed_at=ctx.now, changed_by=by)
    if group is not None and after.settings:
        query = query_of(tx, group)
        if isinstance(query, Refusal):
            return query
    all_after = sorted([*others, *([after] if after.settings else [])], key=lambda one: (one.rank, one.group_id))
    if sum(one.group_id != OF_ALL for one in all_after) > MAXIMUM_GROUPS:
        message = f"a policy is set for {MAXIMUM_GROUPS} groups already, and no more can be"
        return Refusal(RefusalCode.CONFLICT, message, "Unset one with `muster policy control unset --group NAME`.")
    policy = _alone(all_after, group_id)
    wrong = next((fault for one in all_after if (fault := inconsistency(_alone(all_after, one.group_id)))), None)
    if wrong is not None:
        return Refusal(RefusalCode.POLICY_UNFIT, wrong, "`muster policy control show` tells what is set.")
    return _Planned(group, former, after, tuple(all_after), policy)


def _alone(stored: Stored, group_id: str) -> ControlPolicy:
    """Return the policy of devices that are in this group and in no other that has one."""
    of_all = [one.settings for one in stored if one.group_id == OF_ALL]
    of_group = [one.settings for one in stored if one.group_id == group_id != OF_ALL]
    return merged_policy([*of_all, *of_group])


def _unfit(tx: Transaction, order: ControlPolicyOrder) -> Refusal | None:
    for name in (*order.settings, *order.unset):
        if name not in SETTINGS:
            message = f"there is no setting {name[:80]!r}"
            return Refusal(RefusalCode.POLICY_UNFIT, message, f"There are {', '.join(SETTINGS)}.")
    for name, text in order.settings.items():
        fault = fault_of(name, text)
        if fault is not None:
            return Refusal(RefusalCode.POLICY_UNFIT, f"{name} can't be {text[:80]!r}: {fault}")
    agent = order.settings.get("agent", "none")
    if agent != "none" and agent not in {one.name for one in witnesses.all_witnesses(tx)}:
        return Refusal(RefusalCode.NOT_FOUND, f"there is no witness {agent}", "`muster witnesses add` makes one.")
    return None


def find_own_group(tx: Transaction, name: str) -> GroupDefinition | Refusal:
    """Find a group that administrators made, by its name."""
    group = groups.read_all(tx).get(name_key(name))
    if group is None:
        return Refusal(RefusalCode.NOT_FOUND, f"there is no group {name}", "See `muster groups list`.")
    if is_saved(group):
        message = f"{group.name} is a query that comes with Muster, and no policy can be set for it"
        return Refusal(RefusalCode.POLICY_UNFIT, message, "Make a group of your own with `muster groups create`.")
    return group


def _judge_anew(tx: Transaction, group: GroupDefinition | None, ctx: Context) -> None:
    if group is None:
        reviews.bring_forward(tx, None, ctx.now)
        return
    query = query_of(tx, group)
    if not isinstance(query, Refusal):
        reviews.bring_forward(tx, queries.found_by(tx, query, ctx.now, users=None), ctx.now)


# --- the order of groups ----------------------------------------------------------------------------------------------


@act(Permission.POLICIES)
def order_control_policies(
    tx: Transaction, orders: Sequence[Sequence[str]], ctx: Context
) -> list[tuple[str, ...] | Refusal]:
    """Give the groups that have a policy their order, each time by naming all of them, the first decides.

    Refused where one is missing, there twice, or has none. Everybody is judged anew.
    """
    return [_order(tx, names, ctx) for names in orders]


def _order(tx: Transaction, names: Sequence[str], ctx: Context) -> tuple[str, ...] | Refusal:
    control_policies.lock(tx)
    by_id = {group.id: group.name for group in groups.read_all(tx).values()}
    ranked = [one.group_id for one in control_policies.read(tx) if one.group_id != OF_ALL]
    ids = {name_key(by_id[id_]): id_ for id_ in ranked if id_ in by_id}
    if sorted(map(name_key, names)) != sorted(ids):
        wanted = ", ".join(by_id[id_] for id_ in ids.values()) or "none"
        message = f"the order has to name each group that has a policy, once: {wanted}"
        return Refusal(RefusalCode.POLICY_UNFIT, message)
    control_policies.rank(tx, [ids[name_key(name)] for name in names])
    told = tuple(by_id[ids[name_key(name)]] for name in names)
    people.record_act(tx, ctx.actor, "control_policy.order", "groups", {"order": ", ".join(told)}, ctx.now)
    reviews.bring_forward(tx, None, ctx.now)
    return told
