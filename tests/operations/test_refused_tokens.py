"""A token that APNs refused and the device brings again: nothing is mended until APNs has taken a push to it."""

import pytest
from tests.operations.test_judge_channels import hold_push_certificate, judge
from tests.support.pushed_fleet import claim, record
from tests.support.site import MAC, Site, id_of, token_update

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.protocol.apns import OutcomeClass
from muster.storage import verdicts

REFUSED = [
    (OutcomeClass.TOKEN_BAD, Reason.PUSH_TOKEN_BAD),
    (OutcomeClass.TOKEN_UNREGISTERED, Reason.PUSH_TOKEN_UNREGISTERED),
    (OutcomeClass.TOPIC_MISMATCH, Reason.PUSH_TOPIC_MISMATCH),
]
ANOTHER = b"\x02" * 32


def held(site: Site) -> tuple[ControlState, Reason]:
    judge(site)
    verdict = site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)].verdict
    return verdict.state, verdict.reason


@pytest.mark.parametrize(("outcome", "reason"), REFUSED)
def test_refused_token_that_is_brought_again_stays_refused_until_apns_takes_a_push(
    site: Site, outcome: OutcomeClass, reason: Reason
) -> None:
    hold_push_certificate(site)
    identity = site.enroll()
    site.wait(minutes=1)
    record(site, claim(site), outcome, 400)
    before = held(site)
    site.wait(hours=3)

    site.check_in(token_update(MAC), identity)
    told = held(site)
    site.wait(minutes=1)
    record(site, claim(site), OutcomeClass.ACCEPTED)

    assert (before, told) == ((ControlState.AT_RISK, reason), (ControlState.AT_RISK, reason))
    assert held(site)[1] is not reason


@pytest.mark.parametrize(("outcome", "reason"), REFUSED)
def test_another_token_than_the_refused_one_is_not_held_against_a_device(
    site: Site, outcome: OutcomeClass, reason: Reason
) -> None:
    hold_push_certificate(site)
    identity = site.enroll()
    site.wait(minutes=1)
    record(site, claim(site), outcome, 400)
    site.wait(hours=3)

    site.check_in(token_update(MAC, token=ANOTHER), identity)

    assert held(site)[1] is not reason
