"""The policies that administrators set while the server runs."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.standing_policies import PolicyName, PolicyValue, StandingPolicies, standing_policies
from muster.storage.engine import Transaction
from muster.storage.schema import policies

_STORED = sa.select(policies).order_by(policies.c.name)


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy that was set, by whom and when."""

    name: str
    value: PolicyValue
    changed_at: datetime
    changed_by: str


def read(tx: Transaction) -> StandingPolicies:
    """Read the policies as they stand; those never set have their defaults."""
    return standing_policies({one.name: one.value for one in stored(tx)})


def stored(tx: Transaction) -> tuple[StoredPolicy, ...]:
    """Read the policies that were set, by name."""
    rows = tx.connection.execute(_STORED)
    return tuple(StoredPolicy(row.name, row.value, row.changed_at, row.changed_by) for row in rows)


def write(tx: Transaction, name: PolicyName, value: PolicyValue, *, at: datetime, by: str) -> None:
    """Set a policy. Not checked here: that *value* is one that it may have."""
    changed = {"value": value, "changed_at": at, "changed_by": by}
    insert = tx.insert(policies).values(name=name.value, **changed)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=changed))
