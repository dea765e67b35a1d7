"""What changed of channels is told to others, unless so many fell at once that a person is asked first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from muster.domain.control.finding import VerdictChange
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.control.telling import CUTTING, NOT_TELLING, Say, Telling, as_heard, is_mass_flip, what_to_say
from muster.domain.events import Detail, Event, EventType
from muster.operations.context import Context
from muster.operations.signal_devices import DeviceNow, signal_devices
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import outbox, policies, tellings
from muster.storage.engine import Transaction
from muster.storage.tellings import MassFlip, StoredTelling
from muster.storage.verdicts import HeldVerdict

MASS_FLIP_WITHIN = timedelta(hours=1)
"""Those who fall within this time are counted together."""


@dataclass(frozen=True, slots=True)
class Telltale:
    """A channel to be told of as it is now: *device_id* is the device whose channel it is, *change_id* the step."""

    channel_id: ChannelId
    device_id: DeviceId
    held: HeldVerdict


def tell_changes(tx: Transaction, changes: Sequence[VerdictChange], ctx: Context) -> None:
    """Tell others of *changes*, in the transaction that made them; what a mass flip holds is noted to wait.

    A channel stands there once.
    """
    changed = sorted(
        (one for one in changes if one.after.state not in NOT_TELLING),
        key=lambda one: one.channel_id,
    )
    if not changed:
        return
    known = tellings.read(tx, [one.channel_id for one in changed])
    standing = policies.read(tx)
    cutting = CUTTING | (standing.noncompliant_states - {ControlState.ENDED})
    to_tell: list[VerdictChange] = []
    if_few: list[VerdictChange] = []
    at_rest: list[StoredTelling] = []
    for change in changed:
        stored = known.get(change.channel_id)
        match what_to_say(Telling() if stored is None else stored.telling, change.after.state, cutting):
            case Say.TELL:
                to_tell.append(change)
            case Say.TELL_UNLESS_MANY:
                if_few.append(change)
            case Say.LET_BE:
                if stored is not None:
                    at_rest += _put_at_rest(stored, change.after.state)
            case Say.NOTHING:
                pass
    flip_id = _flip_that_holds(tx, if_few, cutting, standing.mass_flip_share, ctx) if if_few else None
    if flip_id is None:
        to_tell += if_few
    else:
        at_rest += [_waiting(known.get(one.channel_id), one.channel_id, flip_id) for one in if_few]
    tellings.write(tx, at_rest)
    telltales = [_telltale(one) for one in sorted(to_tell, key=lambda one: one.channel_id)]
    tell(tx, telltales, known, ctx)


def tell(
    tx: Transaction,
    telltales: Sequence[Telltale],
    known: Mapping[ChannelId, StoredTelling],
    ctx: Context,
    *,
    is_released: bool = False,
) -> None:
    """Put into the outbox how channels are now, and note that others know; *known* is what they knew.

    *is_released*: a person said so, and they count as no mass flip. Channels are sorted, each stands there once.
    """
    outbox.append(tx, [_event(one, known.get(one.channel_id), ctx) for one in telltales])
    tellings.write(
        tx,
        [
            StoredTelling(
                one.channel_id,
                Telling(as_heard(one.held.verdict.state)),
                one.held.verdict.reason,
                ctx.now,
                is_released,
            )
            for one in telltales
        ],
    )
    signal_devices(
        tx,
        [
            DeviceNow(
                one.device_id,
                as_heard(one.held.verdict.state),
                one.held.noticed_at,
                one.held.verdict.sentence,
                one.held.change_id,
            )
            for one in telltales
            if one.channel_id == ChannelId(one.device_id)
        ],
        ctx,
    )


def _flip_that_holds(
    tx: Transaction, falling: Sequence[VerdictChange], cutting: frozenset[ControlState], share: int, ctx: Context
) -> str | None:
    """Return the mass flip with which *falling* wait: the one under way, or one that they make; None: they are told.

    Nodes take turns, so that together they can't tell more than each may.
    """
    tx.lock_name("mass_flips")
    flip_id = tellings.open_flip(tx)
    if flip_id is not None:
        return flip_id
    count = len(falling) + tellings.count_told(tx, cutting, ctx.now - MASS_FLIP_WITHIN)
    if not is_mass_flip(count, 0, share):
        return None
    fleet = tellings.count_judged(tx)
    if not is_mass_flip(count, fleet, share):
        return None
    flip = MassFlip(ctx.new_id(), ctx.now, count, fleet, share)
    tellings.add_flip(tx, flip)
    detail: Detail = {"flip_id": flip.id, "count": count, "fleet": fleet, "share_percent": share}
    outbox.append_of_no_channel(
        tx, [Event(ctx.new_id(), EventType.CONTROL_MASS_FLIP_HELD, outbox.NO_CHANNEL, ctx.now, detail)]
    )
    return flip.id


def _put_at_rest(stored: StoredTelling, state: ControlState) -> list[StoredTelling]:
    """Return what is to be stored of a channel that others know as it is; what was declined counts while it lasts."""
    declined = stored.telling.declined if stored.telling.declined is state else None
    at_rest = replace(stored, telling=replace(stored.telling, declined=declined), held_by=None)
    return [] if at_rest == stored else [at_rest]


def _waiting(stored: StoredTelling | None, channel_id: ChannelId, flip_id: str) -> StoredTelling:
    return replace(stored or StoredTelling(channel_id, Telling()), held_by=flip_id)


def _telltale(change: VerdictChange) -> Telltale:
    held = HeldVerdict(change.channel_id, change.after, change.id, change.at, change.at)
    return Telltale(change.channel_id, DeviceId(change.device_id), held)


def _event(one: Telltale, known: StoredTelling | None, ctx: Context) -> Event:
    """Make the event that a channel is as it is now; the step that led to it names the event."""
    verdict = one.held.verdict
    before, reason_before = _known_as(known)
    detail: Detail = {
        "device_id": one.device_id,
        "state_before": before.value,
        "reason_before": reason_before.value,
        "state": verdict.state.value,
        "reason": verdict.reason.value,
        "since": f"{verdict.since:%Y-%m-%dT%H:%M:%SZ}",
        "noticed_at": f"{one.held.noticed_at:%Y-%m-%dT%H:%M:%SZ}",
        "sentence": verdict.sentence,
        "next_step": verdict.next_step,
        "forecast": verdict.forecast.value,
        "proof_level": int(verdict.proof_level),
        "proof_at": None if verdict.proof_at is None else f"{verdict.proof_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return Event(one.held.change_id, EventType.CONTROL_STATE_CHANGED, one.channel_id, ctx.now, detail)


def _known_as(known: StoredTelling | None) -> tuple[ControlState, Reason]:
    if known is None:
        return ControlState.IN_CONTROL, Reason.NONE
    return known.telling.state, known.reason or Reason.NONE
