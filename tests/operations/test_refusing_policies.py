"""The policies on_enroll and on_restore: whom they refuse, and that nothing enrolled is lost by it."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.support.site import IPAD, MAC, Site, authenticate, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LeavingReply, LetGo
from muster.operations.answer_connect import ConnectReply
from muster.operations.checkin import CheckinAnswer
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.storage import schema

ON_ENROLL = LetGo(LeavingReply.UNAUTHORIZED, RefusalCode.REFUSED_ON_ENROLL)
ON_RESTORE = LetGo(LeavingReply.UNAUTHORIZED, RefusalCode.REFUSED_ON_RESTORE)


def refuse(site: Site, policy: str) -> None:
    site.do(set_policies, PolicyOrder(policy, "refuse"))


def superseded(site: Site) -> SignerIdentity:
    """Enroll a device and renew it twice, so that its first identity is out of force."""
    first = site.enroll()
    for _ in range(2):
        renewed = site.identity(renewal_of=MAC)
        site.check_in(authenticate(), renewed)
        site.check_in(token_update(), renewed)
    return first


def policy_acts(site: Site) -> list[tuple[object, ...]]:
    columns = schema.audit.c
    select = sa.select(columns.actor_name, columns.act, columns.subject).where(columns.act == "policy.refuse")
    return site.rows(select.order_by(columns.sequence))


def counted(site: Site) -> list[bool]:
    return [is_counted for (is_counted,) in site.rows(sa.select(schema.departures.c.is_counted))]


def test_new_device_is_refused_on_enroll_and_leaves_a_rumour_and_an_act(site: Site) -> None:
    refuse(site, "on_enroll")
    identity = site.identity()

    outcomes = [site.check_in(authenticate(), identity) for _ in range(2)]

    assert outcomes == [ON_ENROLL, ON_ENROLL]
    assert not site.is_known()
    assert site.rumours() == [(id_of(MAC), "refused_on_enroll", 2)]
    assert policy_acts(site) == [("policy", "policy.refuse", id_of(MAC))]
    assert counted(site) == [False]


def test_enrolled_device_that_is_refused_on_enroll_stays_enrolled_by_what_it_has(site: Site) -> None:
    identity = site.enroll()
    refuse(site, "on_enroll")

    outcome = site.check_in(authenticate(), site.identity())

    assert outcome == ON_ENROLL
    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert isinstance(site.connect(identity), ConnectReply)
    assert counted(site) == [True]


def test_renewal_and_the_same_profile_again_pass_both_policies(site: Site) -> None:
    identity = site.enroll()
    refuse(site, "on_enroll")
    refuse(site, "on_restore")

    again = site.check_in(authenticate(), identity)
    site.check_in(token_update(), identity)
    renewal = site.check_in(authenticate(), site.identity(renewal_of=MAC))

    assert isinstance(again, CheckinAnswer)
    assert isinstance(renewal, CheckinAnswer)


def test_enrollment_that_had_begun_is_completed(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)
    refuse(site, "on_enroll")

    outcomes = [site.check_in(authenticate(), identity), site.check_in(token_update(), identity)]

    assert all(isinstance(outcome, CheckinAnswer) for outcome in outcomes)
    assert site.enrollment().state is EnrollmentState.ENROLLED


def test_device_restored_from_an_older_backup_is_refused_on_restore_by_every_message(site: Site) -> None:
    old = superseded(site)
    site.wait(days=8)
    refuse(site, "on_restore")

    outcomes = [
        site.connect(old),
        site.check_in(token_update(push_magic="another"), old),
        site.check_in(authenticate(), old),
    ]

    assert outcomes == [ON_RESTORE] * 3
    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert ("S2", "refused_on_restore", 3) in site.evidence()
    assert policy_acts(site) == [("policy", "policy.refuse", id_of(MAC))]


def test_identity_of_an_ended_life_is_refused_on_restore(site: Site) -> None:
    old = site.enroll()
    site.enroll()
    refuse(site, "on_restore")

    assert site.check_in(authenticate(), old) == ON_RESTORE


def test_both_are_accepted_by_default(site: Site) -> None:
    old = superseded(site)
    site.wait(days=8)

    assert isinstance(site.connect(old), ConnectReply)
    assert isinstance(site.check_in(authenticate(), old), CheckinAnswer)
    assert isinstance(site.check_in(authenticate(IPAD), site.identity()), CheckinAnswer)


def test_past_the_limit_an_enrolled_device_is_only_refused(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=1)
    site.enroll()
    site.enroll(IPAD)
    refuse(site, "on_enroll")
    fresh = site.identity()

    within = [site.check_in(authenticate(), fresh) for _ in range(2)]
    past = site.check_in(authenticate(IPAD), site.identity())
    unknown = site.check_in(authenticate(replace(IPAD, udid="NEW")), site.identity())
    site.wait(hours=1)

    assert within == [ON_ENROLL, ON_ENROLL]
    assert isinstance(past, Refusal)
    assert past.code is RefusalCode.REFUSED_ON_ENROLL
    assert unknown == ON_ENROLL
    assert site.check_in(authenticate(IPAD), site.identity()) == ON_ENROLL


@pytest.mark.parametrize("policy", ["on_enroll", "on_restore"])
def test_reply_is_the_one_that_the_newcomer_understands(site: Site, policy: str) -> None:
    message = replace(authenticate(), product_name="iPhone15,2", os_version="18.1")
    old = site.enroll()
    site.enroll()
    refuse(site, policy)

    outcome = site.check_in(message, site.identity() if policy == "on_enroll" else old)

    assert isinstance(outcome, LetGo)
    assert outcome.how is LeavingReply.UNRECOGNIZED_DEVICE
