"""Declarative management, where it or the commands beside it are dead."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.silence import users_silent
from muster.laboratory.scenario.causes.terms import AT_RISK, LOST, ONE_DAY_ON, SILENCE
from muster.laboratory.scenario.claims import DEVICE, Claim
from muster.laboratory.scenario.life import Life, text
from muster.laboratory.scenario.played import Episode

THREE_PUSHES: Final = timedelta(days=4)


def answer_ddm_only(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    span = (episode.began_at, life.end_of(episode))
    if not life.cohort.speaks_ddm:
        reasons = frozenset({Reason.SILENT})
        yield from life.by_silence(Reason.SILENT, number, span, reasons, user=DEVICE)
        return
    reasons = frozenset({Reason.MDM_DEAD_DDM_ALIVE})
    yield life.claim(Reason.MDM_DEAD_DDM_ALIVE, number, episode, LOST, THREE_PUSHES, reasons=reasons)
    yield from users_silent(life, number, episode, Reason.MDM_DEAD_DDM_ALIVE, reasons)
    earlier = (episode.began_at, min(span[1], life.awake_after(span[0], THREE_PUSHES)))
    yield life.claim(
        Reason.MDM_DEAD_DDM_ALIVE, number, episode, SILENCE, None, reasons=reasons | {Reason.SILENT}, span=earlier
    )


def stop_ddm(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """It shows when DeclarativeManagement is acknowledged without a status after it."""
    sent = [one.began_at for one in life.of("send") if text(one, "command") == "DeclarativeManagement"]
    after = [at for at in sent if episode.began_at <= at < life.end_of(episode)]
    if life.cohort.speaks_ddm:
        delay = ONE_DAY_ON if after else timedelta(days=3)
        began = min(after, default=episode.began_at)
        yield life.claim(Reason.DDM_DEAD, number, episode, AT_RISK, delay, span=(began, life.end_of(episode)))
