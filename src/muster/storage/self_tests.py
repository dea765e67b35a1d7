"""What each node met at our public address when it looked last."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction
from muster.storage.schema import channels, self_tests


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One node's last look. *changed_at*: when it met another *fingerprint* than before; absent: never since it first
    looked. *failing_since*: the first of the looks in a row that had no answer; absent: the last one had."""

    node: str
    tested_at: datetime
    fingerprint: bytes | None
    changed_at: datetime | None
    not_after: datetime | None
    failing_since: datetime | None
    failure: str


def read(tx: Transaction, node: str) -> SelfTest | None:
    """Read what *node* met last; None when it never looked."""
    row = tx.connection.execute(sa.select(self_tests).where(self_tests.c.node == node)).one_or_none()
    return None if row is None else SelfTest(*row)


def store(tx: Transaction, test: SelfTest) -> None:
    """Store what a node met."""
    values = {
        "tested_at": test.tested_at,
        "fingerprint": test.fingerprint,
        "changed_at": test.changed_at,
        "not_after": test.not_after,
        "failing_since": test.failing_since,
        "failure": test.failure,
    }
    insert = tx.insert(self_tests).values(node=test.node, **values)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["node"], set_=values))


def count_heard(tx: Transaction, after: datetime, until: datetime | None = None) -> int:
    """Count the enrolled devices whose last contact was after *after*, and by *until*."""
    select = (
        sa.select(sa.func.count())
        .select_from(channels)
        .where(
            are_devices(),
            channels.c.state == EnrollmentState.ENROLLED.value,
            channels.c.last_contact_at > after,
        )
    )
    if until is not None:
        select = select.where(channels.c.last_contact_at <= until)
    return tx.connection.execute(select).scalar_one()
