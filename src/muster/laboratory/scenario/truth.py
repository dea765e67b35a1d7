"""The truth of a run: of each channel what was right to say of it, from when to when. Pure; the server is not asked.

It follows from what happened (`Played.episodes`), and from when the wire carried what a channel said.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.causes.table import CAUSES
from muster.laboratory.scenario.causes.terms import AT_RISK, AWAY, ENDED, LOST, SILENCE
from muster.laboratory.scenario.claims import DEVICE, WHOLE, Claim, Truth, combine
from muster.laboratory.scenario.life import A_DAY, Life
from muster.laboratory.scenario.played import Played, PlayedDevice
from muster.laboratory.scenario.spans import Interval, merged
from muster.protocol.identifiers import ChannelId
from muster.simulator.facts import Platform

WEEKEND: Final = timedelta(hours=80)
"""A night, a weekend with its nights: a rest that any rhythm explains. Longer ones are holidays and breaks."""
FIRST_HOUR: Final = timedelta(hours=1)
"""Of a channel, in which nothing is said of it."""
TELLS_OF_USERS: Final = timedelta(days=2)
"""A device is asked for its users once a day, and one that is not on the console is not heard."""


@dataclass(frozen=True, slots=True)
class ChannelTruth:
    """What is right of one channel. *user*: DEVICE, or the number of a user. *in_use*: when it was powered, within
    reach and nothing kept it: where `inactive` would be false. *claims*: all that was claimed of it. *former*: the
    channels that it had before, the first one first; what was said of one counts until the next is spoken of."""

    channel_id: ChannelId
    device: str
    user: int
    truths: tuple[Truth, ...]
    in_use: tuple[Interval, ...]
    claims: tuple[Claim, ...]
    former: tuple[ChannelId, ...] = ()

    def at(self, moment: datetime) -> Truth | None:
        """What is right at *moment*; None: nothing is asked of it then."""
        for one in self.truths:
            if one.began_at <= moment < one.ended_at:
                return one
        return None


def truth_of(played: Played) -> tuple[ChannelTruth, ...]:
    """Tell what is right of every channel of *played* that was ever enrolled, but for hardware that came as a guest."""
    return tuple(truth for device in played.devices if not device.is_guest for truth in of_device(played, device))


def of_device(played: Played, device: PlayedDevice) -> tuple[ChannelTruth, ...]:
    """Tell what is right of the channels of one device; of a replaced board's, the last one's."""
    life = Life(played, device, played.scenario.cohorts[device.cohort])
    claims = list(_claims(life))
    begun = _begun_at(life)
    found = []
    if begun is not None:
        own = _channel(life, device.channel_id, DEVICE, claims, begun)
        found.append(replace(own, former=device.channel_ids[:-1]))
    for user, channel_id in device.users.items():
        first = next(iter(life.heard(user)), None)
        if first is not None and begun is not None:
            found.append(_channel(life, channel_id, user, claims, max(first, begun)))
    return tuple(found)


def _begun_at(life: Life) -> datetime | None:
    """From when on the device channel is judged."""
    device = life.device
    incomplete = [one.began_at for one in life.of("enroll") if one.parameters.get("ends_after") == "Authenticate"]
    begun = [at for at in (device.enrolled_at, *incomplete) if at is not None]
    replaced = [one.ended_at for one in life.of("replace_board") if one.ended_at is not None]
    return max(replaced) if replaced else min(begun, default=None)


def _claims(life: Life) -> Iterator[Claim]:
    for number, episode in life.episodes:
        yield from CAUSES[episode.primitive](life, number, episode)
    yield from _breaks(life)
    yield from _identities(life)
    yield from _arrival(life)
    yield from _clones(life)
    for user in life.users():
        yield from _users(life, user)


def _channel(life: Life, channel_id: ChannelId, user: int, claims: Iterable[Claim], begun: datetime) -> ChannelTruth:
    if user == DEVICE:
        own = [claim for claim in claims if claim.user in {DEVICE, WHOLE}]
    else:
        own = [_of_user(claim) for claim in claims if claim.user in {user, WHOLE}]
    troubled = merged((claim.began_at, max(claim.lingers_until, claim.ended_at)) for claim in own)
    away = merged((*life.away, *troubled))
    in_use = []
    at = begun
    for began, ended in away:
        if began > at:
            in_use.append((at, min(began, life.ended_at)))
        at = max(at, ended)
    if at < life.ended_at:
        in_use.append((at, life.ended_at))
    judged = begun + FIRST_HOUR
    truths = combine(own, judged, life.ended_at) if judged < life.ended_at else ()
    return ChannelTruth(
        channel_id, life.device.name, user, truths, tuple(one for one in in_use if one[0] < one[1]), tuple(own)
    )


def _of_user(claim: Claim) -> Claim:
    """What is true of the device is true of its users as well; who is away stays away, and is silent no longer."""
    states, reasons = claim.states, claim.reasons
    if states & SILENCE:
        states = states | AWAY
        if ControlState.INACTIVE in states or ControlState.OUT_OF_CONTROL in states:
            states |= {ControlState.INACTIVE, ControlState.OUT_OF_CONTROL}
    return replace(claim, states=states, reasons=reasons | {Reason.USER_NOT_LOGGED_IN, Reason.SILENT})


def _breaks(life: Life) -> Iterator[Claim]:
    """Holidays and breaks: nothing is wrong, and yet it is silent."""
    for began, ended in life.rests:
        since = life.heard_before(began)
        if ended - since > WEEKEND:
            yield from life.by_silence(Reason.SILENT, None, (began, ended), frozenset({Reason.SILENT}), is_fault=False)


def _identities(life: Life) -> Iterator[Claim]:
    """An identity that ends unrenewed: at risk in its last month, out of control from its end on."""
    for identity in life.identities:
        until = min(identity.replaced_at or life.ended_at, life.ended_at)
        begins = identity.expires_soon_at
        if until <= begins:
            continue
        renewed_in_time = until <= life.awake_after(begins, identity.spread + timedelta(days=3))
        yield _identity_claim(
            life,
            Reason.IDENTITY_EXPIRING,
            (begins, min(until, identity.not_after)),
            AT_RISK,
            None if renewed_in_time else begins + max(A_DAY, (identity.not_after - begins) / 2),
        )
        if until > identity.not_after:
            right_by = identity.not_after + timedelta(hours=6)
            expired = _identity_claim(life, Reason.IDENTITY_EXPIRED, (identity.not_after, until), LOST, right_by)
            yield expired
            for user in life.users():  # they speak by it as well, where they speak at all
                yield replace(
                    expired,
                    user=user,
                    states=LOST | AWAY,
                    reasons=expired.reasons | {Reason.USER_NOT_LOGGED_IN},
                    right_by=None,
                    is_fault=False,
                )


def _identity_claim(
    life: Life, cause: Reason, span: Interval, states: frozenset[ControlState], right_by: datetime | None
) -> Claim:
    began, ended = span
    lingers = ended if ended >= life.ended_at else life.awake_after(ended, A_DAY)
    reasons = {cause, Reason.IDENTITY_RENEWAL_REFUSED}
    return Claim(
        cause.value,
        began,
        ended,
        right_by,
        states,
        frozenset(reasons),
        lingers,
        is_fault=right_by is not None,
    )


def _arrival(life: Life) -> Iterator[Claim]:
    """Whoever has just enrolled has a day to prove itself."""
    arrived = life.device.enrolled_at
    if arrived is None:
        return
    until = life.awake_after(arrived, A_DAY)
    reasons = frozenset({Reason.NOT_YET_PROVED, Reason.ERASED_REENROLLING})
    for user in (DEVICE, *life.users()):
        first = arrived if user == DEVICE else next(iter(life.heard(user)), arrived)
        until = life.awake_after(first, A_DAY)
        yield Claim(Reason.NOT_YET_PROVED.value, first, until, None, AT_RISK, reasons, until, user=user, is_fault=False)


def _clones(life: Life) -> Iterator[Claim]:
    """A device that began to speak with another's identity is heard no more by its own."""
    for number, episode in enumerate(life.played.episodes):
        if episode.primitive not in {"migrate_identity_to", "restore_to_other"} or episode.device == life.device.name:
            continue
        if episode.note.rpartition(" ")[2] != life.device.name:
            continue
        reasons = frozenset(
            {
                Reason.SILENT,
                Reason.IDENTITY_CLONED,
                Reason.IDENTITY_UNRECOGNIZED,
                Reason.IDENTITY_MISSING,
                Reason.PUSH_TOKEN_UNREGISTERED,  # that of the enrollment which it gave up
            }
        )
        span = (episode.began_at, life.ended_at)
        yield from life.by_silence(Reason.SILENT, number, span, reasons)
        for user in (DEVICE, *life.users()):
            states = AT_RISK | SILENCE | AWAY
            yield life.claim(Reason.SILENT, number, episode, states, None, reasons=reasons, span=span, user=user)


def _users(life: Life, user: int) -> Iterator[Claim]:
    """A user who is not logged in, or whose place another has taken, is dormant."""
    for began, ended in _away(life, user):
        lingers = ended if ended >= life.ended_at else life.awake_after(ended, TELLS_OF_USERS)
        told_by = max(life.awake_after(began, TELLS_OF_USERS), life.heard_after(began + A_DAY))
        yield Claim(
            Reason.USER_NOT_LOGGED_IN.value,
            began,
            ended,
            told_by,
            AWAY,
            frozenset({Reason.USER_NOT_LOGGED_IN}),
            lingers,
            user=user,
            is_fault=False,
        )
        yield Claim(
            Reason.SILENT.value,
            began,
            min(ended, told_by),
            None,
            frozenset({ControlState.QUIET}),
            frozenset({Reason.SILENT}),
            lingers,
            user=user,
            is_fault=False,
        )
        since = max((at for at in life.lives_began_at if at < ended), default=None)
        if since is not None:  # whoever has not come since it was set up anew is no more on it, as far as anybody knows
            yield Claim(
                Reason.USER_EVICTED.value,
                max(since, began),
                ended,
                None,
                ENDED,
                frozenset({Reason.USER_EVICTED}),
                lingers,
                user=user,
                is_fault=False,
            )


def _away(life: Life, user: int) -> Iterator[Interval]:
    """When *user* did not sit before the device. The last who logged in does; who logs out leaves it to nobody.

    At a shared iPad that is set up anew the first one is logged in again.
    """
    events = [(at, 1, True) for at in life.lives_began_at if life.cohort.is_shared]
    for one in life.of("user_login", "user_logout"):
        number = one.parameters.get("user")
        if not isinstance(number, int) or one.note:
            continue
        is_login = one.primitive == "user_login"
        events.append((one.began_at, number, is_login))
        if one.ended_at is not None and one.ended_at > one.began_at:
            events.append((one.ended_at, number, not is_login))
    events.sort(key=lambda event: event[0])
    logged_in, console = {1}, 1
    since: datetime | None = None if user == 1 else life.began_at
    for at, number, is_login in events:
        if is_login:
            logged_in = logged_in | {number} if life.cohort.platform is Platform.MAC else {number}
            console = number
        else:
            logged_in = logged_in - {number}
        is_there = user in logged_in and console == user
        if is_there and since is not None:
            yield since, at
            since = None
        elif not is_there and since is None:
            since = at
    if since is not None and since < life.ended_at:
        yield since, life.ended_at
