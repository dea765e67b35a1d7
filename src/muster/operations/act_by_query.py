"""An administrator has something done to everyone whom a query finds: recorded in one act, done part by part.

It is done to each as it is to one alone, by the same operations, refused and audited alike. Like a command to many, the
order is a row that says how far it is, and any node goes on with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from muster.domain.bulk_acts import IN_PART, PERMISSIONS, BulkKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.queries.groups import name_key
from muster.domain.queries.syntax import Query
from muster.operations.ask_for_inventory import InventoryOrder, ask_now
from muster.operations.ask_for_push import ask_for_push
from muster.operations.context import Context
from muster.operations.manage_groups import MembersOrder, add_members
from muster.operations.permit import act, nobody
from muster.operations.read_query import read_query
from muster.operations.recover_by_hand import recover_now
from muster.operations.send_by_query import reachable, with_refusals
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import bulk_acts, groups, people, queries
from muster.storage.bulk_acts import BulkAct
from muster.storage.engine import Transaction, Work

BulkOutcome: TypeAlias = BulkAct | Refusal


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """Something to be done to everyone whom *query* finds and who is enrolled; anybody at all is put into a group."""

    query: str
    kind: BulkKind
    group_name: str = ""
    """Where they are put into a group: which one."""


def _narrowed(order: BulkOrder, narrow: Callable[[str], str | Refusal]) -> BulkOrder | Refusal:
    """Return the order for those alone whom *narrow* lets through; groups are everybody's."""
    if order.kind is BulkKind.GROUP:
        return Refusal(
            RefusalCode.SCOPE_EXCEEDED,
            "groups tell who may see whom, and you are limited to the devices of some",
            "Ask somebody who has the whole fleet.",
        )
    query = narrow(order.query)
    return query if isinstance(query, Refusal) else replace(order, query=query)


@act(lambda order: PERMISSIONS[order.kind], narrow=_narrowed)
def order_bulk_acts(tx: Transaction, orders: Sequence[BulkOrder], ctx: Context) -> list[BulkOutcome]:
    """Record each of *orders*, an act of the audit log each; `continue_bulk_acts` does them.

    Refused where the query can't be read or finds nobody, and where the group isn't one of devices that are put in.
    """
    return [_order(tx, order, ctx) for order in orders]


def _order(tx: Transaction, order: BulkOrder, ctx: Context) -> BulkOutcome:
    matched = count_meant(tx, order, ctx.now)
    if isinstance(matched, Refusal):
        return matched
    ordered = BulkAct(ctx.new_id(), order.kind, order.group_name, order.query, matched, ctx.now, ctx.actor)
    bulk_acts.add(tx, ordered)
    tx.made_due(Work.SENDS, ctx.now)
    detail: people.AuditDetail = {"kind": order.kind.value, "query": order.query, "matched": matched}
    if order.group_name:
        detail = {**detail, "group": order.group_name}
    people.record_act(tx, ctx.actor, "bulk.order", ordered.id, detail, ctx.now)
    return ordered


def count_meant(tx: Transaction, order: BulkOrder, now: datetime) -> int | Refusal:
    """Count the devices that *order* is about at *now*; a refusal where it can't be done to anybody."""
    query = meant_by(tx, order.kind, order.query)
    if isinstance(query, Refusal):
        return query
    if order.kind is BulkKind.GROUP:
        group = groups.read_all(tx).get(name_key(order.group_name))
        if group is None or group.query is not None:
            return Refusal(
                RefusalCode.NOT_FOUND,
                f"there is no group {order.group_name} into which devices are put",
                "Make it without a query, by `muster groups create` or on the page of groups.",
            )
    matched = queries.count(tx, query, now)
    if matched == 0:
        who = "nobody" if order.kind is BulkKind.GROUP else "nobody who is enrolled"
        return Refusal(RefusalCode.NOT_FOUND, f"the query finds {who}; nothing was done", "Look at the list again.")
    return matched


def meant_by(tx: Transaction, kind: BulkKind, query: str) -> Query | Refusal:
    """Read *query* for those whom an act of *kind* can be done to."""
    return read_query(tx, query) if kind is BulkKind.GROUP else reachable(tx, query)


# --- part by part -----------------------------------------------------------------------------------------------------


@act(Permission.WAKE, about=nobody)
def continue_bulk_acts(tx: Transaction, act_ids: Sequence[str | None], ctx: Context) -> list[BulkAct | None]:
    """Do the next part of each act, of the oldest unfinished one where the id is None; returns how far it is.

    None: there is no such act that is unfinished, or another node is at it.
    """
    return [_continue(tx, act_id, ctx) for act_id in act_ids]


def _continue(tx: Transaction, act_id: str | None, ctx: Context) -> BulkAct | None:
    ordered = bulk_acts.claim(tx, act_id)
    if ordered is None:
        return None
    query = meant_by(tx, ordered.kind, ordered.query)
    if isinstance(query, Refusal):
        after = replace(ordered, finished_at=ctx.now, stopped_because=query.message)
    else:
        limit = IN_PART[ordered.kind]
        found = queries.find(tx, query, ctx.now, after=ordered.cursor, limit=limit)
        after = _done(tx, ordered, found, replace(ctx, actor=ordered.actor)) if found else ordered
        if after.finished_at is None and len(found) < limit:
            after = replace(after, finished_at=ctx.now)
    bulk_acts.store_progress(tx, after)
    if after.finished_at is None:
        tx.made_due(Work.SENDS, ctx.now)
    return after


def _done(tx: Transaction, ordered: BulkAct, found: Sequence[ChannelId], ctx: Context) -> BulkAct:
    """Do it to *found*."""
    outcomes: Sequence[object]
    match ordered.kind:
        case BulkKind.PUSH:
            outcomes = ask_for_push(tx, found, ctx)
        case BulkKind.ASK:
            outcomes = ask_now(tx, [InventoryOrder(one) for one in found], ctx)
        case BulkKind.RECOVER:
            outcomes = recover_now(tx, found, ctx)
        case BulkKind.GROUP:
            order = MembersOrder(ordered.group_name, tuple(DeviceId(one) for one in found))
            [outcome] = add_members(tx, [order], ctx)
            if isinstance(outcome, Refusal):
                return replace(ordered, finished_at=ctx.now, stopped_because=outcome.message)
            outcomes = found
    refused = [one for one in outcomes if isinstance(one, Refusal)]
    return replace(
        ordered,
        cursor=found[-1],
        done=ordered.done + len(found) - len(refused),
        refused=with_refusals(ordered.refused, refused),
    )


@dataclass(frozen=True, slots=True)
class FailedAct:
    """An act that a fault of ours keeps from going on."""

    act_id: str | None
    error: str


def stop_bulk_acts(tx: Transaction, failed: Sequence[FailedAct], ctx: Context) -> list[BulkAct | None]:
    """End acts that can't go on, so that others can; what was done stays done."""
    stopped: list[BulkAct | None] = []
    for one in failed:
        ordered = bulk_acts.claim(tx, one.act_id)
        if ordered is not None:
            because = f"a fault of the server's: {one.error}"[:500]
            ordered = replace(ordered, finished_at=ctx.now, stopped_because=because)
            bulk_acts.store_progress(tx, ordered)
        stopped.append(ordered)
    return stopped
