"""Our own side: while it ails nobody can be judged. And clocks, ours or a device's."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.terms import A_DAY, AT_RISK, AWAY, OF_USERS, ONE_DAY_ON, UNKNOWN, Cause
from muster.laboratory.scenario.claims import DEVICE, Claim
from muster.laboratory.scenario.life import Life, share_of, span_of, text
from muster.laboratory.scenario.played import Episode

CLOCK_TOLERANCE: Final = timedelta(minutes=5)


def ours(cause: Reason, delay: timedelta | None, *others: Reason) -> Cause:
    """Nobody can be judged, once that is known; who was found wrong before may stay so."""

    def claims(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
        if episode.note:
            return
        reasons = frozenset({cause, *others})
        for user in (DEVICE, *life.users()):
            yield life.claim(
                cause,
                number,
                episode,
                UNKNOWN if user == DEVICE else UNKNOWN | AWAY,
                delay,
                reasons=reasons if user == DEVICE else reasons | OF_USERS,
                user=user,
                is_ours=True,
            )

    return claims


def push_certificate(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    reasons = (Reason.PUSH_CERTIFICATE_EXPIRED, Reason.PUSH_TOPIC_MISMATCH, Reason.APNS_OUTAGE)
    if episode.primitive == "push_certificate_replaced":
        # the former certificate stays in use for those who were enrolled under it
        return ours(Reason.PUSH_TOPIC_MISMATCH, None, *reasons)(life, number, episode)
    return ours(Reason.PUSH_CERTIFICATE_EXPIRED, ONE_DAY_ON, *reasons)(life, number, episode)


def errors(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """With all requests failing nobody can be judged; of a share of them, whoever gets through is in control."""
    is_whole = share_of(episode, "answered_500") >= 1 and text(episode, "endpoint") in {"", "/", "/mdm"}
    return ours(Reason.OWN_ERRORS, A_DAY if is_whole else None)(life, number, episode)


def worker_dead(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """Which channels it fed depends on the worker."""
    return ours(Reason.OWN_WORKER_DEAD, None, Reason.OWN_DOWNTIME)(life, number, episode)


def clock_offset(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    offset = span_of(episode, "offset") or timedelta(0)
    if abs(offset) <= CLOCK_TOLERANCE:
        return
    if episode.device is None:
        yield from ours(Reason.OWN_CLOCK_WRONG, A_DAY)(life, number, episode)
    else:
        yield life.claim(Reason.DEVICE_CLOCK_WRONG, number, episode, AT_RISK, ONE_DAY_ON)
