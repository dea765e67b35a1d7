"""The judge: every rule is asked, in the order of thought, and the gravest finding is the verdict.

Pure: equal dossiers, policies and times give equal judgements.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Considered, Finding, Judgement, NotYet, Verdict
from muster.domain.control.reasons import Reason
from muster.domain.control.rules import RULES
from muster.domain.control.states import SEVERITY, ControlState, Forecast, ProofLevel
from muster.domain.enrollment import EnrollmentState

OBEYS: Final = "in contact, and it obeys"
"""Of who is well."""
_QUESTIONS: Final = tuple((rule.__name__, (rule.__doc__ or "").partition("\n")[0]) for rule in RULES)
_RANKS: Final = {state: rank for rank, state in enumerate(SEVERITY)}


def judge(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Judgement:
    """Judge one channel at *now*, and tell what each rule said."""
    said = [rule(dossier, policy, now) for rule in RULES]
    considered = tuple(
        Considered(
            rule,
            question,
            one if isinstance(one, Finding) else None,
            None if one is None else one.look_again_at,
        )
        for (rule, question), one in zip(_QUESTIONS, said, strict=True)
    )
    return Judgement(_verdict(dossier, policy, now, said), considered)


def decide(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Verdict:
    """Return the verdict of `judge` alone, which is what a review needs, for a hundred thousand channels a day."""
    return _verdict(dossier, policy, now, [rule(dossier, policy, now) for rule in RULES])


def _verdict(
    dossier: Dossier, policy: ControlPolicy, now: datetime, said: Sequence[Finding | NotYet | None]
) -> Verdict:
    """Make one verdict: of findings that are equally grave the one of the earlier rule decides."""
    spoken = [one for one in said if one is not None]
    found = [one for one in spoken if isinstance(one, Finding)]
    graded = [(finding.state, finding) for finding in found if finding.state is not None]
    if graded:
        state, decisive = min(graded, key=lambda one: _RANKS[one[0]])
    else:
        state, decisive = ControlState.IN_CONTROL, _nothing_found(dossier)
    looks = [one.look_again_at for one in spoken if one.look_again_at is not None]
    proof_level, proof_at = proof_of(dossier, policy, now)
    return Verdict(
        state=state,
        reason=decisive.reason,
        since=decisive.since,
        sentence=decisive.sentence,
        forecast=decisive.forecast,
        next_step=decisive.next_step,
        proof_level=proof_level,
        proof_at=proof_at,
        is_push_proved=dossier.is_push_proved,
        candidates=decisive.candidates,
        evidence=decisive.evidence,
        others=tuple(finding.reason for _, finding in graded if finding is not decisive),
        look_again_at=min((at for at in looks if at > now), default=None),
        notes=tuple(finding for finding in found if finding.state is None),
    )


def proof_of(dossier: Dossier, policy: ControlPolicy, now: datetime) -> tuple[ProofLevel, datetime | None]:
    """Tell the strongest proof inside the proof window, and when it was given."""
    refused_at = max((one.last_at for one in dossier.refused), default=None)
    status_at = None if dossier.ddm is None else dossier.ddm.status_at
    accepted_at = None if dossier.push is None else dossier.push.accepted_at
    for level, at in (
        (ProofLevel.OBEYED, dossier.last_proof_at),
        (ProofLevel.CONTACT, dossier.last_contact_at),
        (ProofLevel.SIGNED, max((one for one in (refused_at, status_at) if one is not None), default=None)),
        (ProofLevel.PUSH_ACCEPTED, accepted_at),
    ):
        if at is not None and now - at <= policy.proof_window:
            return level, at
    return ProofLevel.NOTHING, None


def _nothing_found(dossier: Dossier) -> Finding:
    since, sentence, step = dossier.last_proof_at, OBEYS, ""
    if dossier.state is EnrollmentState.ENROLLING or dossier.provisional_since is not None:
        since, sentence, step = dossier.provisional_since, "it is enrolling", "its TokenUpdate is awaited"
    elif since is None or (dossier.enrolled_at is not None and since < dossier.enrolled_at):
        since, sentence, step = dossier.enrolled_at, "enrolled, and not proved yet", "it is asked a harmless question"
    since = since or dossier.first_seen_at
    return Finding(Reason.NONE, ControlState.IN_CONTROL, since, sentence, Forecast.NOTHING_TO_DO, step)
