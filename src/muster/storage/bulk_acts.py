"""What is done to everyone whom a query finds, a part in each transaction, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from muster.domain.access import Actor, ActorKind
from muster.domain.bulk_acts import BulkKind
from muster.domain.roles import Role
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import bulk_acts
from muster.storage.sends import LeftOut

LIST_LIMIT = 100


@dataclass(frozen=True, slots=True)
class BulkAct:
    """An act on its way to everyone whom *query* finds."""

    id: str
    kind: BulkKind
    group_name: str
    """The group that they are put into; empty for other acts."""
    query: str
    matched: int
    """How many the query found when it was ordered."""
    ordered_at: datetime
    actor: Actor
    cursor: ChannelId | None = None
    """The last device that was looked at; None before the first."""
    done: int = 0
    refused: Mapping[str, LeftOut] = field(default_factory=dict)
    """Who was left out, by why (words of RefusalCode)."""
    finished_at: datetime | None = None
    stopped_because: str | None = None

    @property
    def reached(self) -> int:
        """How many devices were looked at."""
        return self.done + sum(one.count for one in self.refused.values())


def add(tx: Transaction, act: BulkAct) -> None:
    """Store an act that was not begun."""
    tx.connection.execute(
        sa.insert(bulk_acts).values(
            id=act.id,
            kind=act.kind.value,
            group_name=act.group_name,
            query=act.query,
            matched=act.matched,
            ordered_at=act.ordered_at,
            actor_kind=act.actor.kind.value,
            actor_name=act.actor.name,
            actor_role=act.actor.role.value,
            actor_source=act.actor.source,
            **_progress(act),
        )
    )


def claim(tx: Transaction, act_id: str | None = None) -> BulkAct | None:
    """Hold the unfinished act of that id, or the oldest one that no other transaction holds; None: there is none."""
    select = sa.select(bulk_acts).where(bulk_acts.c.finished_at.is_(None)).order_by(bulk_acts.c.id).limit(1)
    if act_id is not None:
        select = select.where(bulk_acts.c.id == act_id)
    row = tx.connection.execute(tx.claim(select)).one_or_none()
    return None if row is None else _act(row)


def is_any_unfinished(tx: Transaction) -> bool:
    """Tell whether an act is under way."""
    select = sa.select(bulk_acts.c.id).where(bulk_acts.c.finished_at.is_(None)).limit(1)
    return tx.connection.execute(select).first() is not None


def store_progress(tx: Transaction, act: BulkAct) -> None:
    """Store how far an act is."""
    tx.connection.execute(sa.update(bulk_acts).where(bulk_acts.c.id == act.id).values(**_progress(act)))


def read(tx: Transaction, act_id: str) -> BulkAct | None:
    """Read one act; None when there is none of this id."""
    row = tx.connection.execute(sa.select(bulk_acts).where(bulk_acts.c.id == act_id)).one_or_none()
    return None if row is None else _act(row)


def latest(tx: Transaction) -> tuple[BulkAct, ...]:
    """Read the acts, the newest first; at most LIST_LIMIT."""
    rows = tx.connection.execute(sa.select(bulk_acts).order_by(bulk_acts.c.id.desc()).limit(LIST_LIMIT))
    return tuple(_act(row) for row in rows)


def unfinished_queries(tx: Transaction) -> tuple[str, ...]:
    """Read the queries of the acts that are under way."""
    return tuple(tx.connection.scalars(sa.select(bulk_acts.c.query).where(bulk_acts.c.finished_at.is_(None))))


def _progress(act: BulkAct) -> dict[str, object]:
    return {
        "cursor": act.cursor,
        "done": act.done,
        "refused": {code: [one.count, one.example] for code, one in act.refused.items()},
        "finished_at": act.finished_at,
        "stopped_because": act.stopped_because,
    }


def _act(row: "sa.Row[tuple[object, ...]]") -> BulkAct:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row by names
    kind, role = ActorKind(values.pop("actor_kind")), Role(values.pop("actor_role"))
    actor = Actor(kind, values.pop("actor_name"), role, values.pop("actor_source"))
    refused = {code: LeftOut(*one) for code, one in values.pop("refused").items()}
    return BulkAct(**{**values, "kind": BulkKind(values["kind"])}, actor=actor, refused=refused)
