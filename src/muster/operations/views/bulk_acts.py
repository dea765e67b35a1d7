"""What is done to everyone whom a query finds: what it would be before it is ordered, and how far each order is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.domain.errors import Refusal
from muster.domain.principals import Principal
from muster.operations.act_by_query import BulkOrder, count_meant, meant_by
from muster.operations.views.device_lists import DeviceRow, find_devices_after
from muster.storage import bulk_acts
from muster.storage.bulk_acts import BulkAct
from muster.storage.engine import Transaction
from muster.storage.sends import Send

NAMED: Final = 10
"""Devices that are named before something is done to all of them."""


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """What would be done now. *matched*: to how many; *first*: some of them, by their ids."""

    order: BulkOrder
    matched: int
    first: tuple[DeviceRow, ...]


def preview_bulk_act(tx: Transaction, order: BulkOrder, now: datetime) -> BulkPreview | Refusal:
    """Tell to whom *order* would be done at *now*; a refusal where it would be refused."""
    matched = count_meant(tx, order, now)
    if isinstance(matched, Refusal):
        return matched
    query = meant_by(tx, order.kind, order.query)
    assert not isinstance(query, Refusal), "it was counted"
    return BulkPreview(order, matched, find_devices_after(tx, query, now, None)[:NAMED])


def show_bulk_act(tx: Transaction, act_id: str, principal: Principal) -> BulkAct | None:
    """Show how far an act is; None where *principal* may see none of this id."""
    found = bulk_acts.read(tx, act_id) if act_id.isprintable() else None
    return found if found is not None and is_theirs(found, principal) else None


def list_bulk_acts(tx: Transaction, principal: Principal) -> tuple[BulkAct, ...]:
    """List the latest acts that *principal* may see, the newest first."""
    return tuple(one for one in bulk_acts.latest(tx) if is_theirs(one, principal))


def is_theirs(order: Send | BulkAct, principal: Principal) -> bool:
    """Tell whether *principal* may see what became of an order: whoever is limited sees their own."""
    return principal.groups is None or order.actor.name == principal.actor.name
