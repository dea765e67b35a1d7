"""Step 9: it comes; does it obey? Who was never asked anything disobeys nothing."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.command_queue import MAXIMUM_UNANSWERED
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    Said,
    by_silence,
    heard_after,
    is_away,
    is_enrolled,
    knocked_at,
    last_heard,
    presence_since,
    silence_changes_at,
    until_unheard,
)
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, duration, instant

HUNG_ALIKE: Final = 3
"""Devices of one build that stopped in mid-dialogue: one alone has been switched off."""
IN_MID_DIALOGUE: Final = timedelta(minutes=5)
"""A contact and the hand-out that answered it are recorded within one slot."""
ANSWERS_WITHIN: Final = timedelta(hours=1)
"""Longer than the longest question takes a device."""


def command_blocks_queue(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was one command handed out five times, and never answered at all?"""
    blocking = [one for one in dossier.obedience.stuck if one.handed_out_count >= MAXIMUM_UNANSWERED]
    if not blocking or not is_enrolled(dossier):
        return None
    stuck = blocking[0]
    handed_out = f"{stuck.request_type} was handed out {count(stuck.handed_out_count, 'time')}"
    sentence = f"{handed_out}, the last {instant(stuck.last_handed_out_at, now)}, and never answered"
    cited = (Cited("S5", stuck.last_handed_out_at, f"{handed_out}, no answer"),)
    proof_at = dossier.last_proof_at
    goes_on = proof_at is not None and proof_at > stuck.last_handed_out_at
    if stuck.is_parked:
        step = f"{stuck.request_type} is put aside, so that the rest goes on; cancel it, or send it again"
    else:
        step = f"{stuck.request_type} is put aside at its next contact, so that the rest goes on"
    return Finding(
        Reason.COMMAND_BLOCKS_QUEUE,
        None if stuck.is_parked and goes_on else ControlState.AT_RISK,
        stuck.first_handed_out_at or stuck.last_handed_out_at,
        f"{sentence}; it obeys the commands after it" if goes_on else sentence,
        Forecast.WITH_US,
        step,
        cited,
    )


def always_not_now(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has it said only NotNow through the whole proof window?"""
    obedience = dossier.obedience
    since, due_at = obedience.not_now_since, _due_at(dossier, policy)
    if since is None or due_at is None or not is_enrolled(dossier):
        return None
    due_at = max(due_at, since + A_DAY)
    if due_at > now:
        return NotYet(due_at)
    last_at = obedience.not_now_last_at or since
    proof = "" if dossier.last_proof_at is None else f", and obeyed last {instant(dossier.last_proof_at, now)}"
    times = count(max(obedience.not_now_count, 1), "time")
    sentence = f"answered NotNow {times} since {instant(since, now).removeprefix('on ')}{proof}"
    return Finding(
        Reason.ALWAYS_NOT_NOW,
        ControlState.AT_RISK,
        since,
        sentence,
        Forecast.WITH_US,
        "it is pushed at the hours at which it is used, with questions that can be answered while it is locked",
        (Cited("S5", last_at, f"NotNow {times}"),),
    )


def client_hung(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did it stop in mid-dialogue, as others of its build did?"""
    stuck, heard_at = dossier.obedience.stuck, dossier.last_contact_at
    if dossier.hung_alike < HUNG_ALIKE or not stuck or heard_at is None or not is_enrolled(dossier):
        return None
    last = max(stuck, key=lambda one: one.last_handed_out_at)
    if last.last_handed_out_at < heard_at - IN_MID_DIALOGUE:
        return None
    waiting = until_unheard(dossier, heard_at, policy.contact_window, now)
    if waiting is not None:
        return waiting
    state = by_silence(dossier, policy, now)
    inventory = dossier.inventory
    build = "its build" if inventory is None or inventory.build_version is None else f"build {inventory.build_version}"
    sentence = (
        f"was handed {last.request_type} {instant(last.last_handed_out_at, now)} and said nothing since, as did "
        f"{count(dossier.hung_alike - 1, 'other device')} of {build}"
    )
    return Finding(
        Reason.CLIENT_HUNG,
        ControlState.AT_RISK if state is None or state is ControlState.QUIET else state,
        last.last_handed_out_at,
        sentence,
        Forecast.WITH_A_PERSON,
        "have it restarted by a person; update the system of its build",
        (Cited("S5", last.last_handed_out_at, f"{last.request_type} was handed out, no answer"),),
        (Reason.CLIENT_HUNG, Reason.SILENT),
        look_again_at=silence_changes_at(dossier, policy, now),
    )


def not_obeying(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it in contact, was it asked, and has it proved nothing inside the proof window, for no other reason?"""
    refused = _refused_otherwise(dossier, now)
    if refused is not None:
        return refused
    due_at = _due_at(dossier, policy)
    others = (command_blocks_queue, client_hung)
    if due_at is None or not is_enrolled(dossier) or dossier.obedience.not_now_since is not None:
        return None  # NotNow is an answer, of which `always_not_now` tells
    if any(isinstance(found, Finding) for found in (other(dossier, policy, now) for other in others)):
        return None
    if due_at > now:
        return NotYet(due_at)
    obedience, proof_at = dossier.obedience, dossier.last_proof_at
    assert proof_at is not None, "who never obeyed is not yet proved"
    sentence = f"in contact, and obeyed last {instant(proof_at, now)}, {duration(now - proof_at)} ago"
    evidence = last_heard(dossier, now)
    if obedience.last_error is not None:
        error = obedience.last_error
        many = count(error.count, "command")
        sentence = f"{sentence}; answered {many} with an error, the last {instant(error.last_at, now)}"
        evidence = (Cited("S5", error.last_at, f"error: {error.word}"), *evidence)
    return Finding(
        Reason.NOT_OBEYING,
        ControlState.AT_RISK,
        proof_at + policy.proof_window,
        sentence,
        Forecast.WITH_A_PERSON,
        "a harmless question is asked at its next contact; if it stays unanswered, a person restarts it",
        evidence,
    )


def acknowledgement_lost(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was a command carried out whose answer was lost, as its inventory says?"""
    if not dossier.obedience.verified:
        return None
    last = max(dossier.obedience.verified, key=lambda one: one.last_at)
    what = last.detail.get("request_type") or "a command"
    sentence = f"{what} was carried out, as its inventory of {instant(last.last_at, now).removeprefix('on ')} shows"
    sentence = f"{sentence}; its answer was lost"
    cited = (Cited("S9", last.last_at, f"{what} is done"),)
    return Finding(Reason.ACKNOWLEDGEMENT_LOST, None, last.first_at, sentence, Forecast.NOTHING_TO_DO, evidence=cited)


def asked_since(dossier: Dossier) -> datetime | None:
    """Return since when something that it was asked, or is to be asked, is without an answer; None: nothing is."""
    obedience = dossier.obedience
    moments = [one.first_handed_out_at or one.last_handed_out_at for one in obedience.stuck]
    moments += [at for at in (obedience.oldest_waiting_at, obedience.handed_out_at) if at is not None]
    return min(moments, default=None)


def _due_at(dossier: Dossier, policy: ControlPolicy) -> datetime | None:
    """Return from when on it is remarkable that nothing was obeyed.

    None: it isn't, for it was not heard after its proof had grown old, or was never asked since. Who comes back after
    an absence has a day to obey; who was never asked before, an hour.
    """
    proof_at, asked_at = dossier.last_proof_at, dossier.obedience.handed_out_at
    if proof_at is None or asked_at is None or asked_at <= proof_at or is_away(dossier):
        return None
    lapsed_at = proof_at + policy.proof_window
    if not heard_after(dossier, lapsed_at - A_DAY):
        return None
    since = presence_since(dossier, policy)
    assert since is not None, "it was heard"
    answered_at, due_at = dossier.obedience.answered_at, max(lapsed_at, since + A_DAY)
    if answered_at is not None and answered_at > proof_at:
        return due_at
    return max(due_at, (asked_since(dossier) or asked_at) + ANSWERS_WITHIN)


def _refused_otherwise(dossier: Dossier, now: datetime) -> Said:
    """Tell of a device that comes and is refused, for a reason that no other rule knows, for a day."""
    at = knocked_at(dossier)
    refused = [one for one in dossier.refused if at is not None and one.last_at == at]
    if not refused or not is_enrolled(dossier) or not dossier.is_device:
        return None
    last = refused[-1]
    waiting = until_unheard(dossier, dossier.silence.since, A_DAY, now)
    if waiting is not None:
        return waiting
    sentence = (
        f"knocked {instant(last.last_at, now)} and was refused ({last.word.replace('_', ' ')}), "
        f"{count(last.count, 'time')} since {instant(last.first_at, now).removeprefix('on ')}"
    )
    return Finding(
        Reason.NOT_OBEYING,
        ControlState.AT_RISK,
        last.first_at,
        sentence,
        Forecast.WITH_A_PERSON,
        "see in the log what it sent, and why that is refused",
        (Cited("S2", last.last_at, f"refused: {last.word.replace('_', ' ')}"),),
    )
