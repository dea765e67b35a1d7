"""The one place that every door passes: may this principal do this act, to these devices; may it see them.

An operation that people may call says beside itself what it takes and which devices it is about (`act`); one that says
nothing passes no door. What is read says so where it is asked for (`Sight`). Whoever is limited to groups is told of a
device outside of them what is told of one that there isn't.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Generic, TypeAlias, TypeVar

import sqlalchemy as sa

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import LEAST_ROLE, Permission
from muster.domain.principals import Principal
from muster.domain.queries.errors import QueryError
from muster.domain.queries.groups import GroupDefinition, resolve
from muster.domain.queries.parser import parse_query
from muster.domain.queries.syntax import AnyOf, IsMember, Query
from muster.operations.context import Context
from muster.storage import groups, people, queries
from muster.storage.engine import Transaction, slices
from muster.storage.queries import Bounds
from muster.storage.schema import channels

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
AnyOperation = TypeVar("AnyOperation", bound=Callable[..., object])

Operation: TypeAlias = Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]]
About: TypeAlias = Callable[[Transaction, Any], Iterable[str] | None]
"""Which channels an item is about; None: whoever there is."""
Narrow: TypeAlias = Callable[[Any, Callable[[str], str | Refusal]], Any]
"""Make an item that means devices by a query mean those alone that its second argument lets through."""

_NOBODY: Final = IsMember("")
"""No group has an empty id, so nobody is in it."""


@dataclass(frozen=True, slots=True)
class Act:
    """What an operation takes: a permission for each item, and which devices an item is about."""

    needs: Callable[[Any], Permission]
    about: About
    narrow: Narrow | None = None


_ACTS: dict[Callable[..., object], Act] = {}

ACTS: Final[Mapping[Callable[..., object], Act]] = MappingProxyType(_ACTS)
"""By operation, of the modules that were loaded."""


def act(
    needs: Permission | Callable[[Any], Permission], *, about: About | None = None, narrow: Narrow | None = None
) -> Callable[[AnyOperation], AnyOperation]:
    """Declare what the operation takes that follows.

    *about*: the channels that an item names; without it an item is about everybody, which whoever is limited to groups
    may not do, unless *narrow* makes the item mean the devices of these groups alone.
    """
    asked = (lambda _item: needs) if isinstance(needs, Permission) else needs

    def declare(operation: AnyOperation) -> AnyOperation:
        _ACTS[operation] = Act(asked, about or _everybody, narrow)
        return operation

    return declare


def nobody(_tx: Transaction, _item: object) -> tuple[str, ...]:
    """Tell that an item is about no device at all."""
    return ()


def itself(_tx: Transaction, item: str) -> tuple[str, ...]:
    """Tell that an item is the id of the channel that it is about."""
    return (item,)


def _everybody(_tx: Transaction, _item: object) -> None:
    return None


# --- doing ------------------------------------------------------------------------------------------------------------


def permitted(
    principal: Principal, operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]]
) -> Callable[[Transaction, Sequence[Item], Context], list[Outcome | Refusal]]:
    """Return *operation* as *principal* may do it: refused item by item, an act of the audit log each.

    Raises LookupError for an operation that doesn't say what it takes: nobody may call it by a door.
    """
    declared = ACTS.get(operation)
    if declared is None:
        raise LookupError(f"{operation!r} says nowhere what it takes (operations.permit.act)")
    asked = declared

    def checked(tx: Transaction, items: Sequence[Item], ctx: Context) -> list[Outcome | Refusal]:
        judged = [_judge(tx, principal, asked, item, ctx.now) for item in items]
        refused = [one for one in judged if isinstance(one, Refusal)]
        for refusal in refused:
            name = getattr(operation, "__name__", "")
            detail = {"operation": name, "code": refusal.code.value, "message": refusal.message}
            people.record_act(tx, principal.actor, "refused", name, detail, ctx.now)
        if not refused:
            return list(operation(tx, [one for one in judged if not isinstance(one, Refusal)], ctx))
        allowed = [one for one in judged if not isinstance(one, Refusal)]
        done = iter(operation(tx, allowed, ctx) if allowed else ())
        return [one if isinstance(one, Refusal) else next(done) for one in judged]

    return checked


def foreseen(
    principal: Principal,
    operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
    item: Item,
    view: Callable[[Transaction, Item], T],
    now: datetime,
) -> Callable[[Transaction], T | Refusal]:
    """Return what looks, by *view*, at what *operation* would do to *item* if *principal* did it; or tells why not.

    *view* is given the item as it would be done: one that means devices by a query means those in the scope alone.
    Raises LookupError as `permitted` does.
    """
    declared = ACTS.get(operation)
    if declared is None:
        raise LookupError(f"{operation!r} says nowhere what it takes (operations.permit.act)")
    asked = declared

    def look(tx: Transaction) -> T | Refusal:
        judged: Item | Refusal = _judge(tx, principal, asked, item, now)
        return judged if isinstance(judged, Refusal) else view(tx, judged)

    return look


def _judge(tx: Transaction, principal: Principal, asked: Act, item: Item, now: datetime) -> Item | Refusal:
    refusal = lacks(principal, asked.needs(item))
    if refusal is not None:
        return refusal
    if principal.groups is None:
        return item
    about = asked.about(tx, item)
    if about is None:
        narrowed: Item | Refusal = _EVERYBODY if asked.narrow is None else asked.narrow(item, _narrowing(tx, principal))
        return narrowed
    return outside(tx, principal, tuple(about), now) or item


def lacks(principal: Principal, permission: Permission) -> Refusal | None:
    """Tell why the role of *principal* has not *permission*, or None when it has."""
    if principal.may(permission):
        return None
    least = LEAST_ROLE[permission].value
    return Refusal(
        RefusalCode.ROLE_MISSING,
        f"this takes the role {least} ({permission.value}), and you are {principal.role.value}",
        "An owner gives roles: `muster admins set-role`.",
    )


_EVERYBODY: Final = Refusal(
    RefusalCode.SCOPE_EXCEEDED,
    "this is about all devices, and you are limited to those of some groups",
    "Ask somebody who has the whole fleet.",
)


# --- seeing -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sight(Generic[T]):
    """What somebody wants to see: *view*, given the bounds to keep to; None where there are none.

    *about*: the channels that it shows; None where it shows whoever there is. *narrows*: it shows those alone that are
    within the bounds.
    """

    view: Callable[[Transaction, Bounds | None], T]
    needs: Permission
    about: tuple[str, ...] | None
    narrows: bool = False


def of_devices(
    channel_ids: Iterable[str], view: Callable[[Transaction], T], needs: Permission = Permission.SEE
) -> Sight[T]:
    """See what is known of these channels, and of nobody else."""
    return Sight(lambda tx, _bounds: view(tx), needs, tuple(channel_ids))


def of_fleet(view: Callable[[Transaction], T], needs: Permission = Permission.SEE) -> Sight[T]:
    """See what is about everybody: for those alone who have the whole fleet."""
    return Sight(lambda tx, _bounds: view(tx), needs, None)


def of_no_device(view: Callable[[Transaction], T], needs: Permission = Permission.SEE) -> Sight[T]:
    """See what is about no device: names of groups, policies, oneself."""
    return Sight(lambda tx, _bounds: view(tx), needs, ())


def within_scope(view: Callable[[Transaction, Bounds | None], T], needs: Permission = Permission.SEE) -> Sight[T]:
    """See what *view* shows of the devices within the bounds that it is given; of all, where there are none."""
    return Sight(view, needs, None, narrows=True)


def seen(principal: Principal, sight: Sight[T], now: datetime) -> Callable[[Transaction], T | Refusal]:
    """Return what reads *sight* for *principal*, or tells why not."""

    def read(tx: Transaction) -> T | Refusal:
        refusal = lacks(principal, sight.needs)
        if refusal is not None or principal.groups is None:
            return refusal or sight.view(tx, None)
        if sight.narrows:
            return sight.view(tx, Bounds(scope_of(tx, principal.groups), now))
        if sight.about is None:
            return _EVERYBODY
        return outside(tx, principal, sight.about, now) or sight.view(tx, None)

    return read


# --- scopes -----------------------------------------------------------------------------------------------------------


def scope_of(tx: Transaction, group_ids: Iterable[str]) -> Query:
    """Return the query that finds the devices of these groups. A group that is gone, or can't be read, has none."""
    known = groups.read_all(tx)
    by_id = {group.id: group for group in known.values()}
    found = [by_id[one] for one in sorted(group_ids) if one in by_id]
    meanings = [one for one in (_meaning(group, known) for group in found) if one is not None]
    return AnyOf((_NOBODY, *meanings))


def _meaning(group: GroupDefinition, known: Mapping[str, GroupDefinition]) -> Query | None:
    if group.query is None:
        return IsMember(group.id)
    try:
        return resolve(parse_query(group.query), known, (group.name,))
    except QueryError:
        return None


def outside(tx: Transaction, principal: Principal, channel_ids: Sequence[str], now: datetime) -> Refusal | None:
    """Tell that one of *channel_ids* is none of the devices in the scope of *principal*; None when all are."""
    if principal.groups is None or not channel_ids:
        return None
    device_of = _devices_of(tx, [one for one in channel_ids if one.isprintable()])
    scope = scope_of(tx, principal.groups)
    inside: set[str] = set()
    for part in slices(sorted(set(device_of.values()))):
        inside |= queries.find_among(tx, scope, now, part)
    for one in channel_ids:
        if device_of.get(one) not in inside:
            return Refusal(RefusalCode.NOT_FOUND, "no such device is known", "See `muster devices list`.")
    return None


def quoted(text: str) -> str:
    """Write *text* as a value of a query."""
    return "'" + text.replace("'", "''") + "'"


def _devices_of(tx: Transaction, channel_ids: Sequence[str]) -> dict[str, str]:
    """Return the device of each channel; those that aren't stored are absent."""
    found: dict[str, str] = {}
    for ids in slices(sorted(set(channel_ids))):
        rows = tx.connection.execute(sa.select(channels.c.id, channels.c.device_id).where(channels.c.id.in_(ids)))
        found.update((row.id, row.device_id) for row in rows)
    return found


def _narrowing(tx: Transaction, principal: Principal) -> Callable[[str], str | Refusal]:
    """Return what makes the text of a query find devices in the scope of *principal* alone."""
    names = {group.id: group.name for group in groups.read_all(tx).values()}
    scope = [f"group = {quoted(names[one])}" for one in sorted(principal.groups or ()) if one in names]

    def narrow(query: str) -> str | Refusal:
        try:
            parse_query(query)  # by itself first: no parenthesis of it may close ours
        except QueryError as error:
            return Refusal(RefusalCode.QUERY_UNFIT, f"the query is wrong at column {error.column}: {error.message}")
        return f"({query}) and ({' or '.join(scope)})" if scope else f"({query}) and id = ''"

    return narrow
