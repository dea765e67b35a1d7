"""The log of pushes is kept for a quarter of a year, and no longer."""

from collections.abc import Sequence

from muster.operations.context import Context
from muster.storage import pushes
from muster.storage.engine import Transaction


def forget_pushes(tx: Transaction, items: Sequence[None], ctx: Context) -> list[bool]:
    """Forget outcomes that are too old, a bounded part for each of *items*; tells whether there are more."""
    return [pushes.forget(tx, ctx.now) for _ in items]
