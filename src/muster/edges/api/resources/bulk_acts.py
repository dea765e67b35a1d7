"""What is done at once to everyone whom a query finds: looked at, ordered, and how far it is."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.bulk_acts import BulkKind
from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.domain.queries.groups import MAXIMUM_NAME
from muster.edges.api.endpoints import Call, Written, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits, QueryText
from muster.edges.api.problems import FaultyMember, malformed, of_refusal
from muster.operations.act_by_query import BulkOrder, order_bulk_acts
from muster.operations.permit import of_no_device
from muster.operations.views.bulk_acts import BulkPreview, list_bulk_acts, preview_bulk_act, show_bulk_act
from muster.storage.bulk_acts import BulkAct


@dataclass(frozen=True, slots=True)
class BulkBody:
    """What is done to everyone who is enrolled and whom `where` finds; anybody at all is put into a group.

    *kind*: `push` has them connect, `ask` asks for their inventory, `recover` does the next step of each recovery that
    needs no go-ahead, `group` puts them into *group*, which is one of devices that are put in.
    """

    kind: BulkKind
    where: QueryText
    group: Annotated[str | None, Limits("With group: its name.", 1, MAXIMUM_NAME)] = None


@endpoint("POST", "/bulk-acts", needs=Permission.WAKE, refuses=(404,), gives=BulkAct, is_once=True)
async def order_bulk_act(call: Call, body: BulkBody) -> Written:
    """Have something done to everyone whom a query finds, to each as it is done to one.

    It goes on part by part, in the background; `GET /bulk-acts/{act_id}` says how far it is. Putting devices into a
    group takes the role operator, and the whole fleet.
    """
    return await call.do_once(order_bulk_acts, _order(body), lambda act: act)


@endpoint("POST", "/bulk-acts/preview", needs=Permission.WAKE, refuses=(404, 422))
async def preview_bulk_act_order(call: Call, body: BulkBody) -> BulkPreview:
    """Tell to how many it would be done, and name some of them; nothing is done."""
    now = call.runner.now()
    found = await call.foresee(order_bulk_acts, _order(body), lambda tx, order: preview_bulk_act(tx, order, now))
    if isinstance(found, Refusal):
        raise of_refusal(found)
    return found


def _order(body: BulkBody) -> BulkOrder:
    """Read an order. Raises Problem where a group is named for another kind, or none for that of groups."""
    if (body.kind is BulkKind.GROUP) is (body.group is None):
        raise malformed(FaultyMember("body.group", "name the group with the kind group, and with no other"))
    return BulkOrder(body.where, body.kind, body.group or "")


@endpoint("GET", "/bulk-acts")
async def list_acts_on_many(call: Call) -> tuple[BulkAct, ...]:
    """List what was done to many, the latest first, and how far each is.

    Whoever is limited to groups sees what they ordered themselves.
    """
    return await call.see(of_no_device(lambda tx: list_bulk_acts(tx, call.principal)))


@endpoint("GET", "/bulk-acts/{act_id}", refuses=(404,))
async def get_bulk_act(call: Call, act_id: str) -> BulkAct:
    """Show how far one of them is, who was left out, and why."""
    found = await call.see(of_no_device(lambda tx: show_bulk_act(tx, act_id, call.principal)))
    return nothing_known(found, "act", act_id)


ENDPOINTS = (order_bulk_act, preview_bulk_act_order, list_acts_on_many, get_bulk_act)
