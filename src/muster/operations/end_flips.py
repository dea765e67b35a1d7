"""A person says whether others are told of those that came out of control all at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from muster.domain.control.states import ControlState
from muster.domain.control.telling import Say, what_to_say
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Detail, Event, EventType
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.operations.tell_changes import Telltale, tell
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, outbox, people, tellings, verdicts
from muster.storage.engine import Transaction
from muster.storage.tellings import StoredTelling

PART = 500
"""Channels that are settled in one transaction."""


@dataclass(frozen=True, slots=True)
class FlipOrder:
    """What a person decided of the mass flip that waits: others are told (*is_released*), or never are."""

    is_released: bool


@dataclass(frozen=True, slots=True)
class FlipEnded:
    """The mass flip that was decided, and how many channels wait with it."""

    flip_id: str
    waiting: int
    is_released: bool


FlipOutcome: TypeAlias = FlipEnded | Refusal


@act(Permission.POLICIES)
def end_flips(tx: Transaction, orders: Sequence[FlipOrder], ctx: Context) -> list[FlipOutcome]:
    """Decide of the mass flip that waits; `settle_flips` then does it. Refused where none waits."""
    return [_end(tx, order, ctx) for order in orders]


@dataclass(frozen=True, slots=True)
class FlipsSettled:
    """What one part brought: *told* of so many; *left*: channels may wait yet whose flip is decided."""

    told: int
    left: bool


def is_any_to_settle(tx: Transaction) -> bool:
    """Tell whether channels wait whose mass flip a person has decided."""
    return tellings.is_any_decided(tx)


@act(Permission.POLICIES)
def settle_flips(tx: Transaction, items: Sequence[None], ctx: Context) -> list[FlipsSettled]:
    """Settle the next PART of the channels whose mass flip a person has decided.

    Told is how they are now: of those that came back meanwhile nobody is told anything.
    """
    return [_settle(tx, ctx) for _ in items]


def _end(tx: Transaction, order: FlipOrder, ctx: Context) -> FlipOutcome:
    tx.lock_name("mass_flips")
    open_ones = [one for one in tellings.flips(tx, limit=1) if one.ended_at is None]
    if not open_ones:
        return Refusal(RefusalCode.NOT_FOUND, "no mass flip waits for a word", "`muster flips list` shows them.")
    (flip,) = open_ones
    tellings.end_flip(tx, flip.id, at=ctx.now, by=ctx.actor.name, is_released=order.is_released)
    detail: Detail = {"flip_id": flip.id, "count": flip.left, "is_released": order.is_released}
    event = Event(ctx.new_id(), EventType.CONTROL_MASS_FLIP_ENDED, outbox.NO_CHANNEL, ctx.now, detail)
    outbox.append_of_no_channel(tx, [event])
    act = "flip.release" if order.is_released else "flip.drop"
    people.record_act(tx, ctx.actor, act, flip.id, {"count": flip.left}, ctx.now)
    return FlipEnded(flip.id, flip.left, order.is_released)


def _settle(tx: Transaction, ctx: Context) -> FlipsSettled:
    tx.lock_name("mass_flips")
    if not tellings.is_any_decided(tx):
        return FlipsSettled(0, left=False)
    decided = next(one for one in tellings.flips(tx) if one.left and one.ended_at is not None)
    waiting = tellings.held(tx, decided.id, PART)
    held = verdicts.read(tx, [one.channel_id for one in waiting])
    devices = enrollments.devices_of(tx, list(held))
    at_rest: list[StoredTelling] = []
    telltales: list[Telltale] = []
    for one in waiting:
        verdict = held.get(one.channel_id)
        rested = replace(one, held_by=None)
        if verdict is None or one.channel_id not in devices or not _is_news(rested, verdict.verdict.state):
            at_rest.append(rested)
        elif decided.is_released:
            telltales.append(Telltale(one.channel_id, devices[one.channel_id], verdict))
        else:
            at_rest.append(replace(rested, telling=replace(rested.telling, declined=verdict.verdict.state)))
    tellings.write(tx, at_rest)
    known: dict[ChannelId, StoredTelling] = {one.channel_id: one for one in waiting}
    tell(tx, telltales, known, ctx, is_released=True)
    return FlipsSettled(len(telltales), left=True)


def _is_news(known: StoredTelling, state: ControlState) -> bool:
    return what_to_say(known.telling, state) in (Say.TELL, Say.TELL_UNLESS_MANY)
