"""Devices that are not heard: off, cut off, or without an identity that anybody knows."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.terms import AT_RISK, AWAY, ENDED, LOST, OF_USERS, SILENCE
from muster.laboratory.scenario.claims import Claim
from muster.laboratory.scenario.life import Life, share_of
from muster.laboratory.scenario.played import Episode

ALIVE_ELSEWHERE: Final = frozenset({Reason.IDENTITY_MISSING, Reason.NETWORK_BLOCKS_SERVER, Reason.CLIENT_HUNG})
"""Silent here, alive for another witness."""


def power_off(life: Life, number: int, episode: Episode) -> list[Claim]:
    return silent(life, number, episode)


def lose_requests(life: Life, number: int, episode: Episode) -> list[Claim]:
    if share_of(episode, "lost") < 1:
        return []
    return silent(life, number, episode, Reason.NETWORK_BLOCKS_SERVER, is_deaf=True)


def silent(life: Life, number: int, episode: Episode, *others: Reason, is_deaf: bool = False) -> list[Claim]:
    reasons = frozenset({Reason.SILENT, *others})
    return [
        claim
        for span in life.during(episode)
        for claim in life.by_silence(Reason.SILENT, number, span, reasons, is_deaf=is_deaf)
    ]


def blocked(life: Life, number: int, episode: Episode) -> list[Claim]:
    """A site from which nothing arrives. Only who is heard from elsewhere, or seen there, tells it from a power cut."""
    assert episode.site is not None, "it befalls sites"
    reasons = {Reason.NETWORK_BLOCKS_SERVER, Reason.SILENT}
    if episode.primitive != "outage" and is_witnessed(life, episode):
        reasons |= ALIVE_ELSEWHERE
    claims = []
    for span in life.during(episode):
        is_deaf = episode.primitive != "outage"
        claims += life.by_silence(Reason.NETWORK_BLOCKS_SERVER, number, span, frozenset(reasons), is_deaf=is_deaf)
        if Reason.IDENTITY_MISSING in reasons:
            claims.append(
                life.claim(
                    Reason.NETWORK_BLOCKS_SERVER, number, episode, LOST, None, reasons=frozenset(reasons), span=span
                )
            )
    return claims


def is_witnessed(life: Life, episode: Episode) -> bool:
    """Whether another witness saw the device while *episode* lasted."""
    ended = life.end_of(episode)
    return any(one.began_at < ended and life.end_of(one) > episode.began_at for one in life.of("sees"))


def drop_identity(life: Life, number: int, episode: Episode) -> list[Claim]:
    if is_witnessed(life, episode):
        return _lost_though_alive(life, number, episode, ALIVE_ELSEWHERE)
    return silent(life, number, episode, Reason.IDENTITY_MISSING, is_deaf=True)


def _lost_though_alive(life: Life, number: int, episode: Episode, reasons: frozenset[Reason]) -> list[Claim]:
    """Out of control a day after the witness could contradict the silence; until then what silence makes of it."""
    cause = Reason.IDENTITY_MISSING if Reason.IDENTITY_MISSING in reasons else Reason.PROFILE_REMOVED_UNREPORTED
    lost = life.claim(cause, number, episode, LOST, timedelta(days=3), reasons=reasons, needs_contact=True)
    quiet = life.claim(cause, number, episode, SILENCE, None, reasons=reasons | {Reason.SILENT})
    return [lost, quiet, *users_silent(life, number, episode, cause, reasons)]


def users_silent(
    life: Life, number: int, episode: Episode, cause: Reason, reasons: frozenset[Reason]
) -> Iterable[Claim]:
    """Users of a device that is lost: silent with it, or away."""
    states = SILENCE | AWAY | ENDED
    for user in life.users():
        yield life.claim(cause, number, episode, states, None, reasons=reasons | OF_USERS, user=user)


def use_unknown_identity(life: Life, number: int, episode: Episode) -> list[Claim]:
    if episode.note:
        return []
    reasons = frozenset({Reason.IDENTITY_UNRECOGNIZED, Reason.SILENT})
    by_silence = life.by_silence(
        Reason.IDENTITY_UNRECOGNIZED, number, (episode.began_at, life.end_of(episode)), reasons, is_deaf=True
    )
    known = life.claim(Reason.IDENTITY_UNRECOGNIZED, number, episode, AT_RISK | LOST, None)
    return [*by_silence, known]
