"""What it says of itself: is that too old, and what is only to be shown?"""

from datetime import datetime

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import A_DAY, Said, heard_after, is_enrolled, presence_since
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, duration, instant


def no_inventory(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it in contact, and its inventory older than half the limit?"""
    inventory = dossier.inventory
    if inventory is None or not inventory.is_asked or not is_enrolled(dossier) or not dossier.is_device:
        return None
    told_at = inventory.inventory_at or dossier.enrolled_at or dossier.first_seen_at
    half = policy.inventory_limit / 2
    if not heard_after(dossier, told_at + half - A_DAY):
        return None
    present_since = presence_since(dossier, policy)
    assert present_since is not None, "it was heard"
    patient_until = present_since + A_DAY  # who comes back after an absence has a day to answer
    old_at, lost_at = max(told_at + half, patient_until), max(told_at + policy.inventory_limit, patient_until)
    if old_at > now:
        return NotYet(old_at)
    age = f"its inventory is {duration(now - told_at)} old, of {instant(told_at, now).removeprefix('on ')}"
    if inventory.inventory_at is None:
        age = f"it has told nothing of itself in the {duration(now - told_at)} since it enrolled"
    is_past = lost_at <= now
    limit = "past the limit of" if is_past else "and the limit is"
    return Finding(
        Reason.NO_INVENTORY,
        ControlState.OUT_OF_CONTROL if is_past else ControlState.AT_RISK,
        told_at + (policy.inventory_limit if is_past else half),
        f"{age}, {limit} {duration(policy.inventory_limit)}, though it is in contact",
        Forecast.WITH_US,
        "it is asked again at its next contact",
        (Cited("S9", told_at, "last inventory"),),
        look_again_at=None if is_past else lost_at,
    )


def lost_mode(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it in the lost mode that we enabled?"""
    inventory = dossier.inventory
    if inventory is None or inventory.is_lost is not True or not is_enrolled(dossier):
        return None
    since = inventory.inventory_at or dossier.silence.since
    words = f"in lost mode, as it said {instant(since, now)}"
    step = "disable lost mode when it is found"
    return Finding(Reason.LOST_MODE, None, since, words, Forecast.WITH_A_PERSON, step)


def duplicate_serial(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Do several devices have its serial number?"""
    alike = [one for one in dossier.linked if one.is_new_hardware]
    if not alike or not is_enrolled(dossier) or not dossier.is_device:
        return None
    since = min(one.seen_at for one in alike)
    words = f"{count(len(alike), 'other device')} with its serial number, the first seen {instant(since, now)}"
    cited = (Cited("S7", since, f"the same serial number: {', '.join(one.device_id for one in alike)}"),)
    step = "nothing, if they are virtual machines or a board was replaced: devices are told apart by their UDID"
    return Finding(Reason.DUPLICATE_SERIAL, None, since, words, Forecast.NOTHING_TO_DO, step, cited)
