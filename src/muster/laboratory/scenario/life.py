"""What bore on one device of a run: when it was up, where it was, when it could be heard, and when it was."""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.identity import EXPIRES_SOON
from muster.domain.control.states import ControlState
from muster.domain.push_policy import STANDING
from muster.domain.renewal import SPREAD
from muster.laboratory.scenario.claims import DEVICE, WHOLE, Claim
from muster.laboratory.scenario.model import Cohort, Rest, Value
from muster.laboratory.scenario.played import Episode, Played, PlayedDevice
from muster.laboratory.scenario.spans import Interval, Intervals, after, covered, merged
from muster.protocol.identifiers import ChannelId

A_DAY: Final = timedelta(days=1)
DEFAULT_RENEW_BEFORE: Final = 180
"""Days; as the settings have it."""
CUTS_OF_DEVICES: Final = frozenset({"power_off"})
CUTS_OF_SITES: Final = frozenset({"block_server", "intercept_tls", "outage"})
DEAFENING: Final = frozenset(
    {
        "server_down",
        "push_certificate_expires",
        "push_certificate_replaced",
        "push_certificate_revoked",
        "proxy_drops_identity",
        "tls_changed",
        "worker_dead",
        "errors",
        "database_rolled_back",
    }
)
"""Of our own: while they last, silence does not count, or need not."""
LOSE_THE_ENROLLMENT: Final = frozenset({"erase", "remove_profile", "unenroll"})
NOTICES_LATE: Final = timedelta(hours=12)
"""Ends of what could not be heard are noticed by what is heard next, and reviews are not made every minute."""
DAYS_TO_QUIET: Final = timedelta(days=4)
"""Of the days on which a device is in use: so many make a silence longer than any rhythm explains that has no gaps."""
DAYS_TO_YOUNG_QUIET: Final = timedelta(days=6)
"""And of who is known for less than KNOWN: one day in ten or so may pass without contact, for all that is known."""
KNOWN: Final = timedelta(days=21)
HARDLY_KNOWN: Final = timedelta(days=10)
"""Of whom less is known, no silence is surprising before the tolerance is over."""


@dataclass(frozen=True, slots=True)
class IdentityLife:
    """One identity of a device. *renew_from*: when the server begins to renew it, spread over *spread*; *replaced_at*:
    None: it was its last. *expires_soon_at*: from when on the device is at risk if it is not renewed."""

    issued_at: datetime
    not_after: datetime
    renew_from: datetime
    spread: timedelta
    expires_soon_at: datetime
    replaced_at: datetime | None


def identity_life(
    issued_at: datetime, not_after: datetime, replaced_at: datetime | None, renew_before: timedelta
) -> IdentityLife:
    """Reckon when an identity is to be renewed: a third of its life before its end at the earliest."""
    third = (not_after - issued_at) / 3
    left = min(renew_before, third)
    return IdentityLife(
        issued_at, not_after, not_after - left, left / SPREAD, not_after - min(EXPIRES_SOON, third), replaced_at
    )


class Life:
    """One device of *played*. *heard*: when each of its channels was heard, by the wire, in order."""

    def __init__(self, played: Played, device: PlayedDevice, cohort: Cohort) -> None:
        self.played = played
        self.device = device
        self.cohort = cohort
        self.policy = ControlPolicy(**played.scenario.control)  # type: ignore[arg-type]  # the reader checked each
        self.began_at = device.enrolled_at or played.began_at
        self.ended_at = played.ended_at
        self.rests = merged(device.rests, timedelta(hours=1))

    # What happened

    @cached_property
    def episodes(self) -> tuple[tuple[int, Episode], ...]:
        """Everything that befell it, by itself, at its site or because it befell all, with its place in the run."""
        return tuple(
            (number, one)
            for number, one in enumerate(self.played.episodes)
            if one.device == self.device.name or one.device is None
        )

    def of(self, *primitives: str) -> tuple[Episode, ...]:
        """Its own episodes of these primitives."""
        return tuple(one for _, one in self.episodes if one.primitive in primitives and one.device is not None)

    def end_of(self, episode: Episode) -> datetime:
        """When it was over; the end of the run where it went on. Who lost an enrollment may be enrolled anew."""
        ends = [self.ended_at] if episode.ended_at is None else [episode.ended_at, self.ended_at]
        if episode.primitive in LOSE_THE_ENROLLMENT and episode.ended_at is None and episode.device is not None:
            ends += [one.began_at for one in self.enrolled_anew if one.began_at > episode.began_at]
        return min(ends)

    @cached_property
    def enrolled_anew(self) -> tuple[Episode, ...]:
        """The enrollments that somebody began and that were not to break off."""
        return tuple(one for one in self.of("enroll") if not one.note and "ends_after" not in one.parameters)

    @cached_property
    def lives_began_at(self) -> tuple[datetime, ...]:
        """When it was enrolled anew, by whomever, after its first enrollment."""
        back = [one.ended_at for one in self.of("erase", "remove_profile") if one.ended_at is not None and not one.note]
        return tuple(sorted([*back, *(one.began_at for one in self.enrolled_anew)]))

    def during(self, episode: Episode) -> Intervals:
        """When it bore on this device: all the time, or while the device was at the site."""
        whole = (episode.began_at, self.end_of(episode))
        if episode.site is None:
            return merged([whole])
        return _common(self.at_site(episode.site), whole)

    def at_site(self, site: str) -> Intervals:
        """When the device was there."""
        places = self.device.sites
        ends = [place[0] for place in places[1:]] + [self.ended_at]
        return merged((at, ended) for (at, name), ended in zip(places, ends, strict=True) if name == site)

    # When it can be heard

    @cached_property
    def cuts(self) -> Intervals:
        """When something kept it from the server that is no rest."""
        spans: list[Interval] = []
        for _, one in self.episodes:
            is_of_site = one.site is not None and one.primitive in CUTS_OF_SITES
            is_own = one.device is not None and (one.primitive in CUTS_OF_DEVICES or is_locked_away(one))
            if is_of_site or is_own or one.primitive == "server_down":
                spans += self.during(one)
        return merged(spans)

    @cached_property
    def away(self) -> Intervals:
        """When it could not be heard at all."""
        return merged((*self.rests, *self.cuts))

    @cached_property
    def deaf(self) -> Intervals:
        """When the fault was ours, so that silence need not count."""
        return merged(
            (one.began_at - _lost_with_it(one), self.end_of(one))
            for _, one in self.episodes
            if one.device is None and one.site is None and (one.primitive in DEAFENING or _is_of_apns(one))
        )

    @cached_property
    def unnoticed(self) -> Intervals:
        """When nothing could be noticed of it: it was away, or we could not hear or call it."""
        return merged((*self.away, *self.deaf))

    def deafened(self, *primitives: str) -> Intervals:
        """When one of these faults of ours kept every message from being heard."""
        return merged(
            (one.began_at, self.end_of(one))
            for _, one in self.episodes
            if one.primitive in primitives and share_of(one, "answered_500") >= 1
        )

    def heard(self, user: int = DEVICE) -> Sequence[datetime]:
        """When a channel of it was heard, in order."""
        channels = self.device.channel_ids if user == DEVICE else (self.device.users[user],)
        if len(channels) == 1:
            return self.played.heard.get(channels[0], ())
        return sorted(at for channel in channels for at in self.played.heard.get(channel, ()))

    def heard_before(self, at: datetime, user: int = DEVICE) -> datetime:
        """When it was heard last, *at* included; where it never was, *at*."""
        times = self.heard(user)
        place = bisect_right(times, at)
        return times[place - 1] if place else at

    def heard_after(self, at: datetime, user: int = DEVICE) -> datetime:
        """When it was heard first after *at*; the end of the run where it never was."""
        times = self.heard(user)
        place = bisect_right(times, at)
        return times[place] if place < len(times) else self.ended_at

    def awake_after(self, at: datetime, length: timedelta) -> datetime:
        """When it has been up and within reach for *length* since *at*."""
        return after(self.away, at, length)

    @cached_property
    def identities(self) -> tuple["IdentityLife", ...]:
        """The identities that the device channel had, in order."""
        settings = self.played.scenario.settings
        before = settings.get("renew_before_days", DEFAULT_RENEW_BEFORE)
        assert isinstance(before, int), "the reader checked it"
        spans = self.played.identities.get(self.device.channel_id, ())
        replaced = [*(issued_at for issued_at, _ in spans[1:]), None]
        return tuple(
            identity_life(issued_at, not_after, replaced_at, timedelta(days=before))
            for (issued_at, not_after), replaced_at in zip(spans, replaced, strict=False)  # of none, there is none
        )

    def users(self) -> Mapping[int, ChannelId]:
        """The channels of its users."""
        return self.device.users

    # Claims

    def claim(
        self,
        cause: Reason,
        number: int,
        episode: Episode,
        states: frozenset[ControlState],
        delay: timedelta | None,
        *,
        reasons: frozenset[Reason] | None = None,
        span: Interval | None = None,
        user: int = DEVICE,
        is_fault: bool = True,
        is_ours: bool = False,
        needs_contact: bool = False,
    ) -> Claim:
        """What follows from *episode*: right after *delay* of time in which the device is about and, but for what is
        ours, nothing of our own keeps us from noticing it (None: never asked).

        *span*: when it holds, where that is not all of the episode. *needs_contact*: its end is noticed by a contact
        alone, and nobody calls for one.
        """
        began, ended = span or (episode.began_at, self.end_of(episode))
        back = self.awake_after(ended, timedelta(0))
        if needs_contact:
            back = max(back, self.heard_after(ended))
        return Claim(
            cause=cause.value,
            began_at=began,
            ended_at=ended,
            right_by=None if delay is None else after(self.away if is_ours else self.unnoticed, began, delay),
            states=states,
            reasons=reasons or frozenset({cause}),
            lingers_until=ended if ended >= self.ended_at else self.awake_after(back, A_DAY),
            user=user,
            is_fault=is_fault,
            is_ours=is_ours,
            episode=number,
        )

    def by_silence(
        self,
        cause: Reason,
        number: int | None,
        span: Interval,
        reasons: frozenset[Reason],
        *,
        user: int = WHOLE,
        is_fault: bool = True,
        is_deaf: bool = False,
    ) -> list[Claim]:
        """What follows from a silence in *span*: quiet, inactive, out of control, on the clock of silence.

        It began with the last contact before, and is over when the device can be heard again. Whoever speaks meanwhile,
        of its own accord or from elsewhere, begins another. *is_deaf*: pushes reach it, and it can't answer, so
        APNs keeps none for it: that it is over shows when it is called again.
        """
        began, ended = span
        times = self.heard()
        spoke = times[bisect_right(times, began) : bisect_left(times, ended)]
        claims = []
        for part in itertools.pairwise([began, *spoke, ended]):
            claims += self._by_one_silence(cause, number, part, reasons, user=user, is_fault=is_fault, is_deaf=is_deaf)
        return claims

    def _by_one_silence(
        self,
        cause: Reason,
        number: int | None,
        span: Interval,
        reasons: frozenset[Reason],
        *,
        user: int,
        is_fault: bool,
        is_deaf: bool,
    ) -> list[Claim]:
        began, ended = span
        since = self.heard_before(began)
        lingers = ended if ended >= self.ended_at else self._noticed_back(ended, is_deaf=is_deaf)
        deaf = covered(self.deaf, since, ended)
        policy = self.policy
        known = began - self.began_at
        to_quiet = (
            DAYS_TO_QUIET if known >= KNOWN else DAYS_TO_YOUNG_QUIET if known >= HARDLY_KNOWN else policy.tolerance
        )
        quiet_by = after(merged((*self.rests, *self.deaf)), max(since, began), to_quiet)
        if self.is_irregular or since < began - DAYS_TO_QUIET:
            quiet_by = since + policy.tolerance + deaf + NOTICES_LATE
        stages = (
            (ControlState.QUIET, policy.contact_window, policy.tolerance, quiet_by),
            (ControlState.INACTIVE, policy.tolerance, policy.silence_limit, None),
            (ControlState.OUT_OF_CONTROL, policy.silence_limit, None, None),
        )
        claims = []
        for state, limit, next_limit, by in stages:
            begins = max(since + limit - timedelta(minutes=10), began)
            ends = ended if next_limit is None else min(ended, since + next_limit + deaf + NOTICES_LATE)
            if begins >= ended:
                continue
            right_by = by or max(since + limit + deaf + NOTICES_LATE, began + NOTICES_LATE)
            claims.append(
                Claim(
                    cause=cause.value,
                    began_at=begins,
                    ended_at=max(ends, begins),
                    right_by=right_by if is_fault else None,
                    states=frozenset({state}),
                    reasons=reasons,
                    lingers_until=max(ends, begins) if ends < ended else lingers,
                    user=user,
                    is_fault=is_fault,
                    episode=number,
                )
            )
        return claims

    @property
    def is_irregular(self) -> bool:
        """Whether its days of use are drawn by chance, so that a silence of days means nothing."""
        name = self.cohort.schedule
        return name is not None and self.played.scenario.schedules[name].days_used < 1.0

    @property
    def is_off_at_rest(self) -> bool:
        """Whether it is switched off while its schedule has it rest, so that it boots afterwards."""
        name = self.cohort.schedule
        return name is not None and self.played.scenario.schedules[name].rest is Rest.OFF

    def _noticed_back(self, ended: datetime, *, is_deaf: bool) -> datetime:
        back = self.awake_after(ended, timedelta(0))
        if is_deaf:
            back = max(back, min(self.heard_after(ended), self.awake_after(ended, STANDING)))
        return self.awake_after(back, A_DAY)


def is_locked_away(episode: Episode) -> bool:
    """Whether it keeps a device from everything: locked before its disk was opened."""
    return episode.primitive == "locked" and text(episode, "how") == "disk"


def _lost_with_it(episode: Episode) -> timedelta:
    """What was heard for how long before it is forgotten."""
    age = span_of(episode, "age")
    return age if episode.primitive == "database_rolled_back" and age is not None else timedelta(0)


def _is_of_apns(episode: Episode) -> bool:
    return episode.primitive in {"outage", "reject", "drop_wrong_topic"} and episode.site is None


def text(episode: Episode, name: str) -> str:
    """A parameter that is a text; empty where it was left out."""
    value: Value | None = episode.parameters.get(name)
    return value if isinstance(value, str) else ""


def span_of(episode: Episode, name: str) -> timedelta | None:
    """A parameter that is a duration; None where it was left out."""
    value = episode.parameters.get(name)
    return value if isinstance(value, timedelta) else None


def share_of(episode: Episode, name: str) -> float:
    """A parameter that is a share; 1 where it was left out."""
    value = episode.parameters.get(name)
    return float(value) if isinstance(value, int | float) else 1.0


def _common(spans: Intervals, other: Interval) -> Intervals:
    return merged((max(began, other[0]), min(ended, other[1])) for began, ended in spans)
