"""When a channel is judged again: not later than time alone may change its verdict, and never in a busy loop."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import SUSPICION_OF_QUIET, ControlPolicy
from muster.domain.control.dossier import Dossier, Silence
from muster.domain.control.finding import Verdict
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, ProofLevel
from muster.domain.enrollment import EnrollmentState

ROUTINE: Final = timedelta(days=1)
"""How long a channel is left alone of which nothing is expected."""
ROUTINE_OF_ENDED: Final = timedelta(days=7)
"""An end is an end; what revives a channel has it judged at once."""
NOT_WITHIN: Final = timedelta(minutes=5)
"""Between two looks that only time calls for: a rule that asks for an instant which is over would loop else."""

WATCHED_AGAIN: Final = timedelta(minutes=1)
"""Until a channel is looked at again that could not be watched, for it was just then in contact."""
CHANGED_BY_NO_CONTACT: Final = frozenset(
    {
        Reason.IDENTITY_EXPIRING,
        Reason.IDENTITY_CLONED,
        Reason.ADE_PROFILE_UNASSIGNED,
        Reason.ADE_ASSIGNED_ELSEWHERE,
        Reason.USER_CHANNEL_MISSING,
    }
)
"""Reasons that last for weeks, while a device comes and goes; what ends them has it judged by itself."""


def is_watched(dossier: Dossier, verdict: Verdict) -> bool:
    """Tell whether a contact may change a verdict, so that the channel is to be judged at its next one.

    So it is also with a channel that is well and was asked something, whose proof has grown old: the answer is news.
    """
    if verdict.state is not ControlState.IN_CONTROL:
        return verdict.reason not in CHANGED_BY_NO_CONTACT
    return verdict.proof_level < ProofLevel.OBEYED and dossier.obedience.waiting > 0


def judge_again_at(dossier: Dossier, verdict: Verdict, policy: ControlPolicy, now: datetime) -> datetime:
    """Tell when a channel that was judged at *now* is to be judged again though nothing happens meanwhile.

    The clock of silence may stand still: then that look comes too early, which costs nothing, and not too late.
    """
    if dossier.state is EnrollmentState.ENROLLED:
        return again_at(dossier.silence, verdict.look_again_at, policy, now)
    routine = now + (ROUTINE_OF_ENDED if dossier.state is EnrollmentState.ENDED else ROUTINE)
    return max(min(routine, verdict.look_again_at or routine), now + NOT_WITHIN)


def again_at(silence: Silence, look_again_at: datetime | None, policy: ControlPolicy, now: datetime) -> datetime:
    """Tell when a channel that is enrolled is to be judged again, of which a verdict may change at *look_again_at*."""
    wanted = [now + ROUTINE, *_limits_of_silence(silence, policy, now)]
    if look_again_at is not None:
        wanted.append(look_again_at)
    return max(min(wanted), now + NOT_WITHIN)


def _limits_of_silence(silence: Silence, policy: ControlPolicy, now: datetime) -> list[datetime]:
    limits = [policy.tolerance, policy.silence_limit]
    wanted = []
    if silence.suspicion >= SUSPICION_OF_QUIET:
        limits.append(policy.contact_window)
    elif silence.suspicious_at is not None:
        # not before the contact window has passed, on the clock of silence
        wanted.append(max(silence.suspicious_at, now + (policy.contact_window - silence.counted)))
    wanted += [now + (limit - silence.counted) for limit in limits if limit > silence.counted]
    return [at for at in wanted if at > now]
