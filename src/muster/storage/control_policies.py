"""The limits by which control is judged, as administrators set them: for all, and for groups in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import control_policies

OF_ALL: Final = ""
"""In place of a group's id."""

_READ = sa.select(control_policies).order_by(control_policies.c.rank, control_policies.c.group_id)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class StoredControlPolicy:
    """What is set for the group *group_id*, or for all. *rank*: its place among groups, the first decides."""

    group_id: str
    rank: int
    settings: Mapping[str, str]
    changed_at: datetime
    changed_by: str


def read(tx: Transaction) -> tuple[StoredControlPolicy, ...]:
    """Read all that is set, groups in their order; what is for all among them."""
    rows = tx.connection.execute(_READ)
    return tuple(
        StoredControlPolicy(row.group_id, row.rank, row.settings, row.changed_at, row.changed_by) for row in rows
    )


def lock(tx: Transaction) -> None:
    """Let one transaction at a time change them."""
    tx.lock_name("control_policies")


def put(tx: Transaction, policy: StoredControlPolicy) -> None:
    """Store what is set for one group, or for all."""
    changed = {
        "rank": policy.rank,
        "settings": dict(policy.settings),
        "changed_at": policy.changed_at,
        "changed_by": policy.changed_by,
    }
    insert = tx.insert(control_policies).values(group_id=policy.group_id, **changed)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["group_id"], set_=changed))


def remove(tx: Transaction, group_id: str) -> None:
    """Forget what is set for one group, or for all."""
    tx.connection.execute(sa.delete(control_policies).where(control_policies.c.group_id == group_id))


def rank(tx: Transaction, group_ids: Sequence[str]) -> None:
    """Give groups their places, in the order given."""
    for number, group_id in enumerate(group_ids, 1):
        changed = sa.update(control_policies).where(control_policies.c.group_id == group_id).values(rank=number)
        tx.connection.execute(changed)
