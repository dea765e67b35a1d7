"""Commands that go to everyone whom a query finds, a part in each transaction, and how far they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from muster.domain.access import Actor, ActorKind
from muster.domain.roles import Role
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import sends

LIST_LIMIT = 100


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many channels were left out for one reason, and what was said to one of them."""

    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Send:
    """A command on its way to everyone whom *query* finds."""

    id: str
    command_uuid: CommandUUID
    request_type: str
    query: str
    to_users: bool
    """To the users' channels of who is found, in place of the devices'."""
    priority: int
    is_anyway: bool
    named_count: int | None
    """How many they are, as who ordered it said; no more are ever reached."""
    matched: int
    """How many the query found when it was ordered."""
    ordered_at: datetime
    actor: Actor
    cursor: ChannelId | None = None
    """The last channel that was looked at; None before the first."""
    queued: int = 0
    refused: Mapping[str, LeftOut] = field(default_factory=dict)
    """Who was left out, by why (words of RefusalCode)."""
    finished_at: datetime | None = None
    stopped_because: str | None = None
    after_uuid: CommandUUID | None = None
    """A command that has to be acknowledged first on each channel; who never had it is left out."""
    follows_any: bool = False
    """It goes out also when that one fails."""
    expires_at: datetime | None = None
    retries: int = 0
    """How often it is tried again after an error."""

    @property
    def reached(self) -> int:
        """How many channels were looked at."""
        return self.queued + sum(one.count for one in self.refused.values())


def add(tx: Transaction, send: Send) -> None:
    """Store an order that was not begun; its command is stored."""
    tx.connection.execute(
        sa.insert(sends).values(
            id=send.id,
            command_uuid=send.command_uuid,
            request_type=send.request_type,
            query=send.query,
            to_users=send.to_users,
            priority=send.priority,
            is_anyway=send.is_anyway,
            named_count=send.named_count,
            matched=send.matched,
            after_uuid=send.after_uuid,
            follows_any=send.follows_any,
            expires_at=send.expires_at,
            retries=send.retries,
            ordered_at=send.ordered_at,
            actor_kind=send.actor.kind.value,
            actor_name=send.actor.name,
            actor_role=send.actor.role.value,
            actor_source=send.actor.source,
            **_progress(send),
        )
    )


def claim(tx: Transaction, send_id: str | None = None) -> Send | None:
    """Hold the unfinished order of that id, or the oldest one that no other transaction holds; None: there is none."""
    select = sa.select(sends).where(sends.c.finished_at.is_(None)).order_by(sends.c.id).limit(1)
    if send_id is not None:
        select = select.where(sends.c.id == send_id)
    row = tx.connection.execute(tx.claim(select)).one_or_none()
    return None if row is None else _send(row)


def is_any_unfinished(tx: Transaction) -> bool:
    """Tell whether an order is under way."""
    return (
        tx.connection.execute(sa.select(sends.c.id).where(sends.c.finished_at.is_(None)).limit(1)).first() is not None
    )


def store_progress(tx: Transaction, send: Send) -> None:
    """Store how far an order is."""
    tx.connection.execute(sa.update(sends).where(sends.c.id == send.id).values(**_progress(send)))


def read(tx: Transaction, send_id: str) -> Send | None:
    """Read one order; None when there is none of this id."""
    row = tx.connection.execute(sa.select(sends).where(sends.c.id == send_id)).one_or_none()
    return None if row is None else _send(row)


def latest(tx: Transaction) -> tuple[Send, ...]:
    """Read the orders, the newest first; at most LIST_LIMIT."""
    return tuple(
        _send(row) for row in tx.connection.execute(sa.select(sends).order_by(sends.c.id.desc()).limit(LIST_LIMIT))
    )


def of_command(tx: Transaction, command_uuid: CommandUUID) -> Send | None:
    """Read the order by which a command was sent; None when it was sent otherwise."""
    select = sa.select(sends).where(sends.c.command_uuid == command_uuid).limit(1)
    row = tx.connection.execute(select).one_or_none()
    return None if row is None else _send(row)


def unfinished_queries(tx: Transaction) -> tuple[str, ...]:
    """Read the queries of the orders that are under way."""
    return tuple(tx.connection.scalars(sa.select(sends.c.query).where(sends.c.finished_at.is_(None))))


def _progress(send: Send) -> dict[str, object]:
    return {
        "cursor": send.cursor,
        "queued": send.queued,
        "refused": {code: [one.count, one.example] for code, one in send.refused.items()},
        "finished_at": send.finished_at,
        "stopped_because": send.stopped_because,
    }


def _send(row: "sa.Row[tuple[object, ...]]") -> Send:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row by names
    kind, role = ActorKind(values.pop("actor_kind")), Role(values.pop("actor_role"))
    actor = Actor(kind, values.pop("actor_name"), role, values.pop("actor_source"))
    refused = {code: LeftOut(*one) for code, one in values.pop("refused").items()}
    return Send(**values, actor=actor, refused=refused)
