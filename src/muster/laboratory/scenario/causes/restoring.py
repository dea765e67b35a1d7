"""Backups that are restored, and identities that change hardware."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.coming_and_going import is_unheard, returning
from muster.laboratory.scenario.causes.pushes import dead_token
from muster.laboratory.scenario.causes.terms import A_DAY, AT_RISK, AWAY, ENDED, LOST, OF_USERS, SILENCE
from muster.laboratory.scenario.claims import Claim
from muster.laboratory.scenario.life import Life, span_of
from muster.laboratory.scenario.played import Episode

_CLONED: Final = frozenset({Reason.IDENTITY_CLONED, Reason.RESTORED_OTHER_DEVICE})


def restore_to_same(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """An identity that was renewed since comes back with a backup that is older than that; or one of an earlier life,
    which is nobody's any more, so that only another enrollment helps."""
    if episode.note:
        return
    taken_at = episode.began_at - (span_of(episode, "age") or timedelta(0))
    if any(taken_at < at <= episode.began_at for at in life.lives_began_at):
        yield from _of_earlier_life(life, number, episode)
        return
    if is_unheard(life, episode):  # nobody was told of the token that came with it
        yield from dead_token(life, number, episode, Reason.PUSH_TOKEN_UNREGISTERED)
    issued = [one.issued_at for one in life.identities if one.issued_at <= episode.began_at]
    is_superseded = any(taken_at < at for at in issued[1:])
    renewed_at = next((one.issued_at for one in life.identities if one.issued_at > episode.began_at), life.ended_at)
    if is_superseded:
        span = (episode.began_at, max(episode.began_at, renewed_at))
        # soon after its renewal it can't be told from one that failed in its last step
        reasons = frozenset({Reason.RESTORED_OLDER_BACKUP, Reason.IDENTITY_RENEWAL_REFUSED})
        yield life.claim(Reason.RESTORED_OLDER_BACKUP, number, episode, AT_RISK, A_DAY, reasons=reasons, span=span)


def _of_earlier_life(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    cause = Reason.IDENTITY_UNRECOGNIZED
    span = (episode.began_at, min((at for at in life.lives_began_at if at > episode.began_at), default=life.ended_at))
    yield life.claim(cause, number, episode, LOST, timedelta(days=3), span=span)
    yield life.claim(cause, number, episode, SILENCE, None, reasons=frozenset({cause, Reason.SILENT}), span=span)
    states, reasons = SILENCE | AWAY | ENDED, OF_USERS | {cause, Reason.USER_EVICTED}
    for user in life.users():
        yield life.claim(cause, number, episode, states, None, reasons=reasons, span=span, user=user)


def restore_to_other(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if not episode.note.startswith("onto "):
        return
    span = (episode.began_at, life.ended_at)
    yield from life.by_silence(Reason.RESTORED_OTHER_DEVICE, number, span, frozenset({*_CLONED, Reason.SILENT}))
    yield life.claim(Reason.RESTORED_OTHER_DEVICE, number, episode, AT_RISK, None, reasons=_CLONED, span=span)


def migrate_identity_to(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if not episode.note.startswith("to "):
        return
    span = (episode.began_at, life.ended_at)
    yield life.claim(Reason.IDENTITY_CLONED, number, episode, AT_RISK, A_DAY, reasons=_CLONED, span=span)


def replace_board(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """What is judged is the record of the old board: it ends when the new one enrolled."""
    # the new record is healthy, and the only one that is scored: see truth.of_device
    yield from returning(life, number, episode)
    if episode.ended_at is None:
        span = (episode.began_at, life.ended_at)
        yield from life.by_silence(Reason.SILENT, number, span, frozenset({Reason.SILENT}))
