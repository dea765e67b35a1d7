"""Step 1: is it us? Whatever of our own keeps us from hearing or calling a channel makes its verdict unknown.

The faults of a dossier are those that touch this channel; users who are away need neither to be heard nor called.
"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, OwnFault
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.own_side import reason_of_breaker
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import Said, is_away
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import instant
from muster.domain.enrollment import EnrollmentState

LOOKED_AT_AGAIN: Final = timedelta(hours=1)
"""Channels that can't be judged for a fault of ours are looked at again so often, should its end go unnoticed."""


def database_rolled_back(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was our database rolled back, and not everything that came since replayed?"""
    return _lasting(dossier, Reason.DATABASE_ROLLED_BACK, now, "what the journal holds is replayed by itself")


def own_clock_wrong(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is our clock wrong?"""
    return _lasting(dossier, Reason.OWN_CLOCK_WRONG, now, "set this server's clock right")


def own_proxy_drops_identity(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does a proxy of ours drop the identities of all who come through it?"""
    step = "have the proxy hand on client certificates and the header Mdm-Signature"
    return _lasting(dossier, Reason.OWN_PROXY_DROPS_IDENTITY, now, step)


def own_tls_changed(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Have devices stayed away since we changed our TLS certificate?"""
    return _lasting(dossier, Reason.OWN_TLS_CHANGED, now, "put the former TLS certificate and chain back into use")


def own_errors(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Do we answer it with errors of our own?"""
    return _lasting(
        dossier, Reason.OWN_ERRORS, now, "see this server's log; what was journaled is processed afterwards"
    )


def own_worker_dead(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is a worker of ours dead on which this channel hangs?"""
    return _lasting(dossier, Reason.OWN_WORKER_DEAD, now, "restart that node; another one takes its work over")


def push_certificate_expired(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has the push certificate of its topic expired, or does APNs refuse it?"""
    step = "renew that same certificate at Apple's Push Certificates Portal and put it into use"
    found = _lasting(dossier, Reason.PUSH_CERTIFICATE_EXPIRED, now, step)
    push = dossier.push
    if found is not None or not _is_called(dossier) or push is None or not push.has_certificate:
        return found
    if (ends_at := push.certificate_not_after) is None:
        return None
    if ends_at > now:
        return NotYet(ends_at)
    words = f"the push certificate of its topic expired {instant(ends_at, now)}"
    return _unknown(OwnFault(Reason.PUSH_CERTIFICATE_EXPIRED, ends_at, None, words), words, now, step)


def push_topic_refused(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does APNs refuse every token of its topic?"""
    step = "put the push certificate into use under which these devices were enrolled"
    return _lasting(dossier, Reason.PUSH_TOPIC_MISMATCH, now, step)


def apns_outage(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is APNs out of order or out of reach?"""
    return _lasting(dossier, Reason.APNS_OUTAGE, now, "pushes are held, and sent once APNs takes them again")


def own_fault_over(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Were we unable to hear or call it during its silence?"""
    over = [(one.ended_at, one) for one in dossier.faults if one.ended_at is not None]
    if not over or dossier.state is EnrollmentState.ENDED:
        return None
    ended_at, last = max(over, key=lambda one: one[0])
    sentence = f"{last.words} until {_at(ended_at, now)}: that time is not counted as its silence"
    cited = (Cited("S15", last.began_at, last.words),)
    return Finding(last.reason, None, last.began_at, sentence, Forecast.NOTHING_TO_DO, evidence=cited)


def ade_token_expired(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does Automated Device Enrollment speak with us no more?"""
    ade = dossier.ade
    if ade is None or not ade.is_frozen:
        return None
    since = ade.heard_at or ade.changed_at
    sentence = f"what is known of its assignment is as of {_at(since, now)}, for Apple speaks with us no more"
    step = "renew the server token, or accept Apple's new terms, in Apple Business Manager or Apple School Manager"
    return Finding(Reason.ADE_TOKEN_EXPIRED, None, since, sentence, Forecast.WITH_A_PERSON, step)


def _lasting(dossier: Dossier, reason: Reason, now: datetime, step: str) -> Finding | None:
    push = dossier.push
    if not dossier.faults and (push is None or push.breaker is None):
        return None
    if dossier.state is EnrollmentState.ENDED or (is_away(dossier) and reason is not Reason.DATABASE_ROLLED_BACK):
        return None
    fault = next((one for one in dossier.faults if one.reason is reason and one.ended_at is None), None)
    if fault is None and push is not None and push.breaker is not None:
        of_breaker, words = reason_of_breaker(push.breaker)
        if of_breaker is reason:
            fault = OwnFault(reason, push.breaker_opened_at or push.updated_at, None, words)
    if fault is None:
        return None
    return _unknown(fault, f"{fault.words} since {_at(fault.began_at, now)}", now, step)


def _unknown(fault: OwnFault, words: str, now: datetime, step: str) -> Finding:
    return Finding(
        fault.reason,
        ControlState.UNKNOWN,
        fault.began_at,
        f"{words}, so it can't be judged",
        Forecast.BY_ITSELF if fault.reason in _PASSING else Forecast.WITH_A_PERSON,
        step,
        (Cited("S15", fault.began_at, fault.words),),
        look_again_at=now + LOOKED_AT_AGAIN,
    )


_PASSING: Final = frozenset({Reason.APNS_OUTAGE, Reason.DATABASE_ROLLED_BACK})


def _is_called(dossier: Dossier) -> bool:
    return dossier.state is EnrollmentState.ENROLLED and not is_away(dossier)


def _at(at: datetime, now: datetime) -> str:
    return instant(at, now).removeprefix("on ")
