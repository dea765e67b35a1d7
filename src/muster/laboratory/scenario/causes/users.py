"""Users of a device: channels that never open, fall silent or are deleted."""

from collections.abc import Iterable
from datetime import timedelta

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.terms import AT_RISK, AWAY, DEAD_TOKEN, ENDED, LOST, OF_USERS, SILENCE
from muster.laboratory.scenario.claims import Claim
from muster.laboratory.scenario.life import Life
from muster.laboratory.scenario.played import Episode
from muster.simulator.facts import Platform


def user_never_appears(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    has_users = life.cohort.platform is Platform.MAC and life.cohort.users > 0 and life.cohort.has_user_channel
    if has_users and episode.began_at <= (life.device.enrolled_at or episode.began_at):
        logins = [one.began_at for one in life.of("restart", "os_update", "restore_to_same", "user_login")]
        logins += [life.end_of(one) for one in life.of("power_off", "user_logout", "erase", "remove_profile")]
        ended = min((at for at in logins if at > life.end_of(episode)), default=life.ended_at)
        span = (episode.began_at, ended)
        yield life.claim(Reason.USER_CHANNEL_MISSING, number, episode, AT_RISK, timedelta(days=3), span=span)


def user_dies(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    user = episode.parameters.get("user")
    if not isinstance(user, int) or user not in life.users() or episode.note:
        return
    yield life.claim(Reason.USER_CHANNEL_DEAD, number, episode, LOST, timedelta(days=5), user=user)
    span = (episode.began_at, min(life.end_of(episode), life.awake_after(episode.began_at, timedelta(days=5))))
    reasons = frozenset({Reason.SILENT, Reason.USER_CHANNEL_DEAD})
    yield life.claim(Reason.USER_CHANNEL_DEAD, number, episode, SILENCE, None, reasons=reasons, span=span, user=user)


def user_deleted(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    user = episode.parameters.get("user")
    if not isinstance(user, int) or user not in life.users() or episode.note:
        return
    span = (episode.began_at, life.ended_at)
    if life.cohort.platform is Platform.MAC:  # whose list proves nobody gone: it leaves out users of the network
        reasons, states = frozenset({*OF_USERS, *DEAD_TOKEN}), SILENCE | AWAY | AT_RISK
        delay = timedelta(days=3)
        yield life.claim(
            Reason.PUSH_TOKEN_UNREGISTERED, number, episode, LOST | AWAY, delay, reasons=reasons, span=span, user=user
        )
        yield life.claim(
            Reason.PUSH_TOKEN_UNREGISTERED, number, episode, states, None, reasons=reasons, span=span, user=user
        )
        return
    yield life.claim(Reason.USER_EVICTED, number, episode, ENDED, timedelta(days=3), span=span, user=user)
    earlier = (episode.began_at, min(life.ended_at, life.awake_after(episode.began_at, timedelta(days=3))))
    reasons = frozenset({*OF_USERS, *DEAD_TOKEN})
    states = SILENCE | AWAY | AT_RISK
    yield life.claim(Reason.USER_EVICTED, number, episode, states, None, reasons=reasons, span=earlier, user=user)
