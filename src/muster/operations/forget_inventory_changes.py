"""The history of inventory is kept for a bit more than a year, and no longer."""

from collections.abc import Sequence

from muster.operations.context import Context
from muster.storage import inventory
from muster.storage.engine import Transaction


def forget_inventory_changes(tx: Transaction, items: Sequence[None], ctx: Context) -> list[bool]:
    """Forget changes that are too old, a bounded part for each of *items*; tells whether there are more."""
    return [inventory.forget_changes(tx, ctx.now) for _ in items]
