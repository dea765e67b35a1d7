"""Queries of administrators, as conditions of the database; what they mean is said in `domain/queries/evaluation.py`.

The database's own logic of three values is the one that is wanted: what isn't known is NULL.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, assert_never

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

from muster.domain.command_queue import HoldReason
from muster.domain.os_versions import sortable
from muster.domain.queries.evaluation import folded, version_beginnings, version_fits
from muster.domain.queries.fields import FieldKind
from muster.domain.queries.syntax import (
    AllOf,
    AnyOf,
    Compare,
    Comparison,
    InGroup,
    IsKnown,
    IsMember,
    Moment,
    Not,
    OneOf,
    Query,
    Value,
)
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    device_facts,
    enrollment_links,
    epochs,
    group_members,
    identities,
    inventory,
    inventory_items,
    push_targets,
    queue,
    queue_pauses,
    verdicts,
)

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The devices that somebody may see at all: those that *query*, which names no group any more, finds at *now*."""

    query: Query
    now: datetime

    def condition(self, tx: Transaction) -> Condition:
        """Return the condition for rows of `channels`."""
        return channels.c.device_id.in_(found_by(tx, self.query, self.now))


ITEM_KINDS: Final[Mapping[str, str]] = {
    "app": "InstalledApplicationList",
    "profile": "ProfileList",
    "certificate": "CertificateList",
}
"""Which items of the inventory each list has."""
SHORTEST_STRETCH: Final = 1000
"""Channels looked at in one statement at least, where few are asked for."""
MAXIMUM_VERSIONS: Final = 5000
"""Versions of one app that are told apart: more than any app ever had."""

_subject = channels.alias("subject")
_device = channels.alias("device")
_facts = device_facts.alias("facts")
_user = device_facts.alias("user_facts")
_holder = channels.alias("holder")
_identity = identities.alias("identity")


def _epoch_identity(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Read *column* of the link by which the present enrollment came."""
    return (
        sa.select(column)
        .select_from(epochs)
        .join(identities, identities.c.fingerprint == epochs.c.identity)
        .join(enrollment_links, enrollment_links.c.id == identities.c.link_id)
        .join(_device, sa.and_(_device.c.id == epochs.c.device_id, _device.c.epoch == epochs.c.number))
        .where(epochs.c.device_id == _subject.c.device_id)
        .scalar_subquery()
    )


_COLUMNS: Final[Mapping[str, sa.ColumnElement[Any]]] = {
    "id": _subject.c.device_id,
    "serial": _facts.c.serial_number,
    "name": _facts.c.device_name,
    "platform": _facts.c.family,
    "model": sa.func.coalesce(_facts.c.model_name, _facts.c.product_name),
    "product": _facts.c.product_name,
    "os_version": _facts.c.os_version_key,
    "build": _facts.c.build_version,
    "state": _subject.c.state,
    "kind": _subject.c.kind,
    "user": sa.select(_user.c.user_short_name).where(_user.c.channel_id == _subject.c.id).scalar_subquery(),
    "link": _epoch_identity(enrollment_links.c.id),
    "way": _epoch_identity(enrollment_links.c.kind),
    "enrolled": _subject.c.enrolled_at,
    "first_seen": _subject.c.first_seen_at,
    "last_contact": _subject.c.last_contact_at,
    "last_proof": _subject.c.last_proof_at,
    "identity_expires": _identity.c.not_after,
    "control": verdicts.c.state,
    "reason": verdicts.c.reason,
    "control_since": verdicts.c.since,
    "proof": verdicts.c.proof_level,
    "forecast": verdicts.c.forecast,
    "is_paused": sa.exists().where(queue_pauses.c.channel_id == _subject.c.id).correlate(_subject),
    "has_parked_command": (
        sa.exists()
        .where(queue.c.channel_id == _subject.c.id, queue.c.held_because == HoldReason.PARKED.value)
        .correlate(_subject)
    ),
    "push_refused": (
        sa.select(push_targets.c.refused_at).where(push_targets.c.channel_id == _subject.c.id).scalar_subquery()
    ),
}
"""Where fields come from that are no column of `device_facts` of the same name."""


def column_of(name: str) -> sa.ColumnElement[Any]:
    """Return where the field *name*, which is no list and no group, comes from."""
    return _COLUMNS[name] if name in _COLUMNS else _facts.c[name]


def found_by(tx: Transaction, query: Query, now: datetime, *, users: bool | None = False) -> sa.Select[Any]:
    """Return a statement of the ids that *query* finds: devices' channels, or their *users*' channels, or both (None).

    Of a user's channel the device's facts count, and its own state, contacts and name. The query names no group any
    more.
    """
    condition = _condition(tx, query, now)
    joined = (
        _subject.outerjoin(_facts, _facts.c.channel_id == _subject.c.device_id)
        # no engine joins what no condition names
        .outerjoin(verdicts, verdicts.c.channel_id == _subject.c.id)
    )
    if any(one is _identity.c.not_after for one in visitors.iterate(condition)):  # SQLite would join the first of two
        joined = joined.outerjoin(_holder, _holder.c.id == _subject.c.device_id)
        joined = joined.outerjoin(_identity, _identity.c.fingerprint == _holder.c.pin)
    select = sa.select(_subject.c.id).select_from(joined).where(condition)
    if users is None:
        return select
    return select.where(sa.not_(are_devices(_subject)) if users else are_devices(_subject))


def counts_by_state(tx: Transaction, query: Query, now: datetime) -> tuple[tuple[str, str | None, int], ...]:
    """Count the devices that *query* finds by state and verdict (None: never judged), each pair once."""
    by = (_subject.c.state, verdicts.c.state)
    found = found_by(tx, query, now).with_only_columns(*by, sa.func.count()).group_by(*by)
    return tuple((row[0], row[1], row[2]) for row in tx.connection.execute(found))


def held_in(tx: Transaction, query: Query, now: datetime, state: str) -> sa.Select[Any]:
    """Return a statement of the ids of the devices that *query* finds and that are held to be in *state*, those for
    longest first; for an index of `verdicts`, whose columns further conditions may name."""
    found = found_by(tx, query, now).where(verdicts.c.state == state)
    return found.order_by(verdicts.c.since, verdicts.c.channel_id)


def find_among(tx: Transaction, query: Query, now: datetime, device_ids: Sequence[str]) -> frozenset[str]:
    """Tell which of *device_ids*, a few hundred at most, *query* finds."""
    found = found_by(tx, query, now).where(among(_subject.c.id, device_ids))
    return frozenset(tx.connection.scalars(found))


def count(tx: Transaction, query: Query, now: datetime, *, users: bool | None = False) -> int:
    """Count what *query* finds."""
    found = found_by(tx, query, now, users=users).subquery()
    return tx.connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one()


def find(
    tx: Transaction, query: Query, now: datetime, *, after: ChannelId | None, limit: int, users: bool | None = False
) -> tuple[ChannelId, ...]:
    """Find up to *limit* channels in the order of their ids, beginning *after* one.

    It looks at a stretch of channels at a time: asked for the first of all that match, a database that takes many to be
    few would look at the whole fleet for each part of it. The first is as long as if all would match, each further one
    as the share of those promises that did.
    """
    found: list[ChannelId] = []
    asked = found_by(tx, query, now, users=users).order_by(_subject.c.id)
    stretch = sa.select(channels.c.id).order_by(channels.c.id).limit(1)
    looked_at, length = 0, max(limit, SHORTEST_STRETCH)
    while len(found) < limit:
        ahead = stretch if after is None else stretch.where(channels.c.id > after)
        last = tx.connection.scalar(ahead.offset(length - 1))
        part = asked if after is None else asked.where(_subject.c.id > after)
        part = part if last is None else part.where(_subject.c.id <= last)
        found += tx.connection.scalars(part.limit(limit - len(found))).all()
        if last is None:
            break
        after = ChannelId(last)
        looked_at += length
        promising = (limit - len(found)) * looked_at // max(len(found), 1)
        length = max(min(promising, 2 * limit), SHORTEST_STRETCH)
    return tuple(found)


# --- conditions -------------------------------------------------------------------------------------------------------


def _condition(tx: Transaction, query: Query, now: datetime) -> Condition:
    match query:
        case AllOf(parts):
            return sa.and_(*(_condition(tx, part, now) for part in parts))
        case AnyOf(parts):
            return sa.or_(*(_condition(tx, part, now) for part in parts))
        case Not(part):
            return sa.not_(_condition(tx, part, now))
        case IsKnown(field):
            return _is_listed(field.name) if field.kind is FieldKind.LIST else column_of(field.name).is_not(None)
        case IsMember(group_id):
            return _subject.c.device_id.in_(
                sa.select(group_members.c.device_id).where(group_members.c.group_id == group_id)
            )
        case OneOf(field, values):
            return _one_of(field.name, field.kind, values)
        case Compare():
            return _compare(tx, query, now)
        case InGroup(name):
            raise ValueError(f"the group {name!r} was not resolved")
        case _:
            assert_never(query)


_OPERATORS: Final[Mapping[Comparison, Callable[[Any, Any], Condition]]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}


def _compare(tx: Transaction, asked: Compare, now: datetime) -> Condition:
    name, kind, value = asked.field.name, asked.field.kind, asked.value
    if kind is FieldKind.LIST:
        return _has_item(tx, asked)
    column = column_of(name)
    if kind is FieldKind.VERSION:
        if asked.comparison is Comparison.STARTS_WITH:
            same, beginning = version_beginnings(str(value))
            return sa.or_(column == same, _begins(column, beginning))
        return _OPERATORS[asked.comparison](column, sortable(str(value)))
    if kind is FieldKind.TEXT:
        text = _Folded(column)
        if asked.comparison is Comparison.CONTAINS:
            return text.contains(folded(str(value)), autoescape=True)
        if asked.comparison is Comparison.STARTS_WITH:
            return text.startswith(folded(str(value)), autoescape=True)
        return text == folded(str(value))
    if isinstance(value, Moment):
        return _OPERATORS[asked.comparison](column, value.seen_from(now))
    if isinstance(value, bool):
        return column if value else sa.not_(column)
    return _OPERATORS[asked.comparison](column, value)


def _one_of(name: str, kind: FieldKind, values: Sequence[Value]) -> Condition:
    if kind is FieldKind.LIST:
        return _listed(name, inventory_items.c.identifier.in_(values))
    column = column_of(name)
    if kind is FieldKind.VERSION:
        return column.in_([sortable(str(value)) for value in values])
    if kind is FieldKind.TEXT:
        return _Folded(column).in_([folded(str(value)) for value in values])
    return column.in_(values)


# --- lists ------------------------------------------------------------------------------------------------------------


def _has_item(tx: Transaction, asked: Compare) -> Condition:
    column, value = inventory_items.c.identifier, str(asked.value)
    match asked.comparison:
        case Comparison.CONTAINS:
            fits = sa.func.replace(column, value, "") != column  # LIKE minds the case on one engine only
        case Comparison.STARTS_WITH:
            fits = _begins(column, value)
        case _:
            fits = column == value
    if asked.version is not None:
        test = asked.version
        kind = ITEM_KINDS[asked.field.name]
        told = tx.connection.scalars(
            sa.select(inventory_items.c.version)
            .where(inventory_items.c.kind == kind, fits, inventory_items.c.version.is_not(None))
            .distinct()
            .limit(MAXIMUM_VERSIONS)
        )
        fits = sa.and_(fits, inventory_items.c.version.in_([one for one in told if version_fits(test, one)]))
    return _listed(asked.field.name, fits)


def _listed(name: str, fits: Condition) -> Condition:
    """Tell whether an item fits; that none does is known only of those who told what they have."""
    has = _subject.c.device_id.in_(
        sa.select(inventory_items.c.channel_id).where(inventory_items.c.kind == ITEM_KINDS[name], fits)
    )
    return sa.case((has, sa.true()), (_is_listed(name), sa.false()), else_=sa.null())


def _is_listed(name: str) -> Condition:
    return _subject.c.device_id.in_(sa.select(inventory.c.channel_id).where(inventory.c.kind == ITEM_KINDS[name]))


def _begins(column: sa.ColumnElement[str], beginning: str) -> Condition:
    """Tell what begins with *beginning*, by an index; *column* is compared byte by byte."""
    return sa.and_(column >= beginning, column < f"{beginning}\U0010ffff")


class _Folded(sa.sql.functions.GenericFunction[str]):
    """A text with its letters from A to Z in lower case, and no others, on either engine."""

    type = sa.Text()
    name = "muster_folded"
    inherit_cache = True


@compiles(_Folded, "sqlite")
def _fold_on_sqlite(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(_Folded, "postgresql")
def _fold_on_postgresql(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower(({compiler.process(element.clauses, **options)}) COLLATE "C")'
