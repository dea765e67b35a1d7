"""Who is plainly well at a glance is well to the judge, who asks every rule."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.control import dossiers as made
from tests.domain.control.dossiers import DAY, NOW, ago, well
from tests.domain.control.test_judging_properties import POLICIES

from muster.domain.control.control_policy import SUSPICION_OF_QUIET, ControlPolicy
from muster.domain.control.dossier import AdeRecord, DdmRecord, Dossier, Silence
from muster.domain.control.glance import Glance, glance_again_at, is_plainly_well, verdict_on
from muster.domain.control.judging import decide
from muster.domain.control.review_schedule import NOT_WITHIN, ROUTINE, is_watched, judge_again_at
from muster.domain.control.rules.witnesses import SILENT_TOGETHER
from muster.domain.enrollment import EnrollmentState
from muster.domain.push_breaker import BreakerCause
from muster.domain.renewal_failures import RenewalFailure
from muster.operations.recover_channels import Looked, is_proof_old
from muster.protocol.apns import OutcomeClass


def glance_of(dossier: Dossier) -> Glance | None:
    """What shows of a dossier at a glance; None: it is of nobody who is glanced at."""
    push, identity, inventory = dossier.push, dossier.identity, dossier.inventory
    if dossier.state is not EnrollmentState.ENROLLED or not dossier.is_device or dossier.provisional_since is not None:
        return None
    if push is None or identity is None or inventory is None:
        return None
    if dossier.last_contact_at is None or dossier.last_proof_at is None:
        return None
    is_answered = not push.accepted or push.accepted[-1] in push.answered
    if is_answered and len(push.accepted) > 1:
        return None  # of those whose last push was answered no other pushes are read
    enrolled_at = dossier.enrolled_at or dossier.first_seen_at
    return Glance(
        enrolled_at=enrolled_at,
        last_contact_at=dossier.last_contact_at,
        last_proof_at=dossier.last_proof_at,
        silence=dossier.silence,
        is_push_proved=dossier.is_push_proved,
        is_push_answered=is_answered,
        is_push_refused=push.refused_at is not None,
        throttled_until=push.throttled_until,
        certificate_not_after=push.certificate_not_after if push.has_certificate and push.breaker is None else None,
        identity_not_before=identity.not_before,
        identity_not_after=identity.not_after,
        is_renewal_failing=identity.failure is not None,
        rotated_at=identity.rotated_at,
        told_at=(inventory.inventory_at or enrolled_at) if inventory.is_asked else None,
        has_enrollment_profile=inventory.has_enrollment_profile,
        has_identity_certificate=inventory.has_identity_certificate,
        is_lost=inventory.is_lost,
        ade=dossier.ade,
        ddm=dossier.ddm,
        is_on_record=_is_on_record(dossier),
    )


def _is_on_record(dossier: Dossier) -> bool:
    inventory, users, site = dossier.inventory, dossier.users, dossier.site
    is_approved = inventory is not None and inventory.is_user_approved is True
    return bool(
        dossier.refused
        or dossier.fetches
        or dossier.clock
        or dossier.witnesses
        or dossier.faults
        or dossier.linked
        or dossier.erase
        or dossier.set_up
        or dossier.was_resurrected_at
        or dossier.sign_in_wanted_since
        or dossier.obedience.stuck
        or dossier.obedience.verified
        or any(one.word == "cloned" for one in dossier.check_ins)
        or (dossier.identity is not None and dossier.identity.speaks_superseded_at)
        or (is_approved and not users.channels and users.login_seen_at is not None)
        or (site is not None and site.silent >= SILENT_TOGETHER)
    )


PARTS = {**made._PARTS, **made._OF_DEVICES}
MISSED = tuple(ago(days=day, hours=1) for day in range(6, 0, -1))
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "push": {
        "certificate_not_after": made.anytime,
        "has_certificate": st.just(False),
        "updated_at": made.past,
        "refused_at": made.past,
        "throttled_until": made.anytime,
        "breaker": st.sampled_from(BreakerCause),
        "accepted": st.sampled_from([(), MISSED]),
    },
    "identity": {
        "not_after": made.anytime,
        "not_before": made.past,
        "renew_from": made.anytime,
        "rotated_at": made.past,
        "failure": st.sampled_from(RenewalFailure),
    },
    "inventory": {
        "inventory_at": made.past,
        "is_asked": st.just(False),
        "is_user_approved": st.just(True),
        "has_enrollment_profile": st.booleans(),
        "has_identity_certificate": st.booleans(),
        "is_lost": st.booleans(),
    },
}
"""Of parts that everybody has."""


PLACES = (
    "silence",
    "proof",
    *(name for name in sorted(PARTS) if name not in FIELDS),
    *(f"{part}.{field}" for part in FIELDS for field in FIELDS[part]),
)
TOGETHER: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "refused_at": {"refusal": st.sampled_from(OutcomeClass)},
    "has_identity_certificate": {"checked_certificates_at": made.past},
}
"""What is known only with another field."""


@st.composite
def nearly_well(draw: st.DrawFn, place: str) -> Dossier:
    """A device that is well, changed in *place* and perhaps in a few others."""
    at = ago(hours=2)
    pushed = made.push(accepted=(at,), accepted_at=at, answered={at: at}, certificate_not_after=NOW + 100 * DAY)
    one = well(push=pushed)
    for name in [place, *draw(st.sampled_from([[], [], ["silence"], ["proof"], [draw(st.sampled_from(PLACES))]]))]:
        part, _, field = name.partition(".")
        if name == "silence":
            changes: dict[str, Any] = draw(_silences())
        elif name == "proof":
            changes = {"last_proof_at": draw(made.past)}
        elif field:
            fields = {field: FIELDS[part][field], **TOGETHER.get(field, {})}
            changes = {part: replace(getattr(one, part), **draw(st.fixed_dictionaries(fields)))}
        else:
            changes = {name: draw(PARTS[name])}
        one = replace(one, **changes)
    return one


@st.composite
def _silences(draw: st.DrawFn) -> dict[str, Any]:
    heard_at = draw(st.one_of(made.past, st.integers(1, 72).map(lambda hours: ago(hours=hours))))
    counted = max(NOW - heard_at - draw(st.sampled_from([timedelta(0), timedelta(0), DAY])), timedelta(0))
    suspicion = draw(st.sampled_from([0.0, 0.0, 1.5, 2.0]))
    suspicious_at = draw(st.one_of(st.none(), made.future)) if suspicion < SUSPICION_OF_QUIET else None
    silence = Silence(heard_at, counted, suspicion, suspicious_at, NOW - heard_at - counted)
    proof_at = draw(st.one_of(st.just(heard_at), made.past))
    return {"silence": silence, "last_contact_at": heard_at, "last_proof_at": proof_at}


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=25)
@given(st.data(), POLICIES)
def test_whoever_is_plainly_well_is_so_to_every_rule(place: str, data: st.DataObject, policy: ControlPolicy) -> None:
    dossier = data.draw(nearly_well(place))
    glance = glance_of(dossier)
    if glance is None or not is_plainly_well(glance, policy, NOW):
        return

    verdict = decide(dossier, policy, NOW)

    assert replace(verdict, look_again_at=None) == replace(verdict_on(glance, policy, NOW), look_again_at=None)
    assert judge_again_at(dossier, verdict, policy, NOW) == glance_again_at(glance, policy, NOW)
    assert not is_watched(dossier, verdict)
    assert not is_proof_old(Looked(dossier, verdict, policy, None), NOW)


def at_a_glance(**changes: Any) -> Glance:
    glance = glance_of(well(push=made.push(certificate_not_after=NOW + 100 * DAY)))
    assert glance is not None
    return replace(glance, **changes)


def test_device_that_came_and_obeyed_is_plainly_well() -> None:
    glance = at_a_glance()

    assert is_plainly_well(glance, ControlPolicy(), NOW)
    assert glance_again_at(glance, ControlPolicy(), NOW) == NOW + ROUTINE


ADE = AdeRecord("pushed", assigned_here=True, is_deleted=False, changed_at=ago(days=90))
DDM = DdmRecord(status_at=ago(days=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"is_on_record": True},
        {"last_proof_at": ago(days=7)},
        {"enrolled_at": ago(minutes=30)},
        {"is_push_answered": False},
        {"is_push_refused": True},
        {"throttled_until": ago(days=1)},
        {"certificate_not_after": None},
        {"certificate_not_after": NOW + DAY / 2},
        {"identity_not_after": NOW + 30 * DAY},
        {"identity_not_before": ago(days=10), "identity_not_after": NOW + 5 * DAY},
        {"is_renewal_failing": True},
        {"rotated_at": ago(days=1)},
        {"told_at": ago(days=40)},
        {"has_enrollment_profile": False},
        {"has_identity_certificate": False},
        {"is_lost": True},
        {"silence": Silence(ago(days=2), 2 * DAY, 2.0)},
        {"silence": Silence(ago(days=8), 8 * DAY)},
        {"ade": replace(ADE, is_frozen=True)},
        {"ade": replace(ADE, is_deleted=True)},
        {"ade": replace(ADE, assigned_here=False)},
        {"ade": replace(ADE, profile_status="removed")},
        {"ddm": replace(DDM, asked_at=ago(days=1))},
        {"ddm": replace(DDM, push_magic_differs=True)},
        {"ddm": replace(DDM, push_token_differs=True)},
        {"ddm": replace(DDM, status_at=ago(minutes=5))},
    ],
    ids=lambda changes: ",".join(f"{name}={value}"[:60] for name, value in changes.items()),
)
def test_who_shows_anything_is_thought_about(changes: dict[str, Any]) -> None:
    assert not is_plainly_well(at_a_glance(**changes), ControlPolicy(), NOW)


@pytest.mark.parametrize("changes", [{"ade": ADE}, {"ddm": DDM}, {"told_at": None}, {"is_lost": False}])
def test_what_others_say_of_who_is_well_keeps_nobody_from_being_so(changes: dict[str, Any]) -> None:
    assert is_plainly_well(at_a_glance(**changes), ControlPolicy(), NOW)


def test_group_with_an_agent_is_thought_about() -> None:
    assert not is_plainly_well(at_a_glance(), ControlPolicy(agent="agent"), NOW)


@pytest.mark.parametrize(
    ("silence", "expected"),
    [
        (Silence(ago(days=6, hours=20), 7 * DAY - timedelta(hours=4)), NOW + timedelta(hours=4)),
        (Silence(ago(days=2), 2 * DAY, 1.0, NOW + timedelta(hours=9)), NOW + timedelta(hours=9)),
        (Silence(ago(days=2), 2 * DAY, 1.0, NOW + timedelta(minutes=1)), NOW + NOT_WITHIN),
    ],
    ids=["the tolerance ends", "its rhythm explains no more", "at once"],
)
def test_who_is_silent_is_looked_at_when_that_may_say_something(silence: Silence, expected: Any) -> None:
    glance = at_a_glance(silence=silence, last_contact_at=silence.since, last_proof_at=silence.since)

    assert is_plainly_well(glance, ControlPolicy(), NOW)
    assert glance_again_at(glance, ControlPolicy(), NOW) == expected
