"""Another witness says that devices were seen: evidence that they live, and never that they are under control (S16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from muster.domain.control.evidence import Observation, Signal
from muster.domain.control.states import ControlState
from muster.domain.control.witness import MAXIMUM_POSTS, NOTED_AGAIN_AFTER, POSTS_WINDOW, Witness, count_post
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret
from muster.protocol.identifiers import ChannelId
from muster.protocol.sightings import Sighting
from muster.storage import evidence, reviews, witnesses
from muster.storage.engine import Transaction
from muster.storage.witnesses import LastSighting, SeenDevice

AGENT_WAS_AWAY: Final = timedelta(days=1)
"""An agent that speaks after so long may be the one of which is shown that it is dead."""
SEEN: Final = "seen"
UNMANAGED: Final = "unmanaged"
"""Classes of S16, each followed by a colon and the witness's name: what one says is counted apart from another's."""


@dataclass(frozen=True, slots=True)
class SightingsOrder:
    """A post of whoever has *token*, from the address *source*."""

    token: str = field(repr=False)
    sightings: tuple[Sighting, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class SightingsNoted:
    """What became of a post: how many were news, and how many were not. *unknown*, *ambiguous*: the places in it of
    devices that are not known here, and of serial numbers that several have.
    """

    noted: int
    nothing_new: int
    unknown: tuple[int, ...] = ()
    ambiguous: tuple[int, ...] = ()


SightingsOutcome: TypeAlias = SightingsNoted | Refusal


def may_post(tx: Transaction, token: str, now: datetime) -> Refusal | None:
    """Tell why whoever has *token* may not post now; None: he may. Before the body is read, for that costs."""
    witness = witnesses.by_token(tx, hash_secret(token))
    return UNKNOWN_TOKEN if witness is None else _too_often(witness, now)


UNKNOWN_TOKEN: Final = Refusal(
    RefusalCode.BEARER_UNKNOWN,
    "no witness has this token",
    "`muster witnesses add` makes one, and `muster witnesses rotate` another.",
)


def note_sightings(tx: Transaction, orders: Sequence[SightingsOrder], ctx: Context) -> list[SightingsOutcome]:
    """Note posts of witnesses; refused for a token that is nobody's, and for one that is used too often."""
    return [_note(tx, order, ctx) for order in orders]


def _note(tx: Transaction, order: SightingsOrder, ctx: Context) -> SightingsOutcome:
    witness = witnesses.by_token(tx, hash_secret(order.token), for_update=True)
    if witness is None:
        return UNKNOWN_TOKEN
    refusal = _too_often(witness, ctx.now)
    if refusal is not None:
        return refusal
    began_at, posts = count_post(witness, ctx.now)
    witnesses.count_post(tx, witness.id, window_began_at=began_at, posts=posts, at=ctx.now)
    return witness_says(tx, witness, order.sightings, order.source, ctx)


def _too_often(witness: Witness, now: datetime) -> Refusal | None:
    _, posts = count_post(witness, now)
    if posts <= MAXIMUM_POSTS:
        return None
    seconds = POSTS_WINDOW // timedelta(seconds=1)
    return Refusal(
        RefusalCode.SIGN_IN_LIMITED,
        f"{witness.name} has posted {MAXIMUM_POSTS} times within {seconds} seconds",
        "Put more sightings into one post.",
    )


def witness_says(
    tx: Transaction, witness: Witness, posted: Sequence[Sighting], source: str, ctx: Context
) -> SightingsNoted:
    """Note what *witness* says. Of one device the latest counts, and what is no later than what it said before is
    nothing new.
    """
    devices = _which(tx, posted)
    unknown = tuple(number for number, found in enumerate(devices) if not found)
    ambiguous = tuple(number for number, found in enumerate(devices) if len(found) > 1)
    latest: dict[ChannelId, tuple[SeenDevice, Sighting]] = {}
    for sighting, found in zip(posted, devices, strict=True):
        if len(found) == 1:
            known = latest.get(found[0].channel_id)
            if known is None or known[1].at < sighting.at:
                latest[found[0].channel_id] = found[0], sighting
    before = witnesses.last_sightings(tx, witness.id, list(latest))
    news = {id_: one for id_, one in latest.items() if id_ not in before or before[id_].seen_at < one[1].at}
    notable = {id_ for id_, (_, one) in news.items() if _is_notable(one, before.get(id_), ctx.now)}
    witnesses.put_sightings(
        tx,
        witness.id,
        [
            LastSighting(id_, one.at, one.says_unmanaged, ctx.now if id_ in notable else before[id_].noted_at)
            for id_, (_, one) in news.items()
        ],
    )
    seen = [_observation(witness, *news[id_], source) for id_ in sorted(notable)]
    evidence.append(tx, seen, ctx.new_id)
    reviews.schedule_all(tx, _to_review(tx, {id_: news[id_][1] for id_ in notable}, before, ctx.now), ctx.now)
    witnesses.count_sightings(tx, witness.id, seen=len(posted), unknown=len(unknown))
    told = len(posted) - len(unknown) - len(ambiguous)
    return SightingsNoted(len(news), told - len(news), unknown, ambiguous)


def _which(tx: Transaction, posted: Sequence[Sighting]) -> list[list[SeenDevice]]:
    """Find the device of each sighting: none where it isn't known, several where a serial number is several's.

    Of those of one serial number the open one is meant, where there is just one.
    """
    wanted = {udid for one in posted if one.udid for udid in (one.udid, one.udid.upper())}
    by_udid = witnesses.devices_by_udid(tx, sorted(wanted)) if wanted else {}
    serials = {
        serial for one in posted if one.serial_number for serial in (one.serial_number, one.serial_number.upper())
    }
    by_serial = witnesses.devices_by_serial(tx, sorted(serials)) if serials else {}
    found = []
    for one in posted:
        if one.udid is not None:
            device = by_udid.get(one.udid) or by_udid.get(one.udid.upper())
            found.append([] if device is None else [device])
            continue
        assert one.serial_number is not None, "it is one of the two"
        devices = by_serial.get(one.serial_number) or by_serial.get(one.serial_number.upper()) or []
        found.append([device for device in devices if device.is_open] or devices)
    return found


def _is_notable(one: Sighting, before: LastSighting | None, now: datetime) -> bool:
    if before is None or before.says_unmanaged is not one.says_unmanaged:
        return True
    return now - before.noted_at >= NOTED_AGAIN_AFTER


def _observation(witness: Witness, device: SeenDevice, one: Sighting, source: str) -> Observation:
    word = UNMANAGED if one.says_unmanaged else SEEN
    detail = {
        **{f"said_{name}": value for name, value in one.detail.items()},
        "witness": witness.name,
        "kind": witness.kind.value,
        "says_unmanaged": one.says_unmanaged,
        "network": one.network,
    }
    return Observation(
        device.channel_id, Signal.WITNESS, f"{word}:{witness.name}", one.at, device.epoch, source, detail
    )


def _to_review(
    tx: Transaction, noted: Mapping[ChannelId, Sighting], before: Mapping[ChannelId, LastSighting], now: datetime
) -> list[ChannelId]:
    """Name the devices of which a sighting may change what is held: those not in control, those that are said to be
    unmanaged, which they were not before, and those of which this witness said nothing for long: it may be the agent
    of which is shown that it is dead.
    """
    states = witnesses.states_of(tx, list(noted))
    chosen = []
    for id_, one in noted.items():
        known = before.get(id_)
        is_in_control = states.get(id_) is ControlState.IN_CONTROL
        was_away = known is None or now - known.seen_at >= AGENT_WAS_AWAY
        if not is_in_control or one.says_unmanaged or was_away:
            chosen.append(id_)
    return chosen
