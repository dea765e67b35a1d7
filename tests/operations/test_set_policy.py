"""Setting a policy: in force at once, and in the audit log with what it was."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.access import LinkKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.standing_policies import Admission, PolicyName
from muster.operations.enrollment_links import LinkOrder, revoke_links
from muster.operations.set_policy import PolicyOrder, PolicySet, set_policies
from muster.storage import policies, schema


def audit(site: Site) -> list[tuple[object, ...]]:
    columns = schema.audit.c
    select = sa.select(columns.actor_name, columns.act, columns.subject, columns.detail)
    return site.rows(select.order_by(columns.sequence))


def test_policy_is_set_and_audited(site: Site) -> None:
    done = site.do(set_policies, PolicyOrder("on_restore", "refuse"))[0]

    assert done == PolicySet(PolicyName.ON_RESTORE, "refuse", former="accept")
    assert site.engine.read(policies.read).on_restore is Admission.REFUSE
    assert audit(site) == [("ana", "policy.set", "on_restore", {"value": "refuse", "former": "accept"})]


def test_what_fits_no_policy_changes_nothing(site: Site) -> None:
    outcomes = site.do(set_policies, PolicyOrder("on_restore", "maybe"), PolicyOrder("on_everything", "refuse"))

    assert all(isinstance(outcome, Refusal) for outcome in outcomes)
    assert site.engine.read(policies.stored) == ()
    assert audit(site) == []


def new_link(site: Site, kind: LinkKind) -> str:
    return site.link(LinkOrder(None, timedelta(days=1), kind=kind)).link.id


@pytest.mark.parametrize(
    ("policy", "kind", "fits"),
    [
        ("ade_link", LinkKind.ADE, True),
        ("ade_link", LinkKind.PROFILE, False),
        ("ade_link", LinkKind.ACCOUNT_USER, False),
        ("account_driven", LinkKind.ACCOUNT_USER, True),
        ("account_driven", LinkKind.ACCOUNT_DEVICE, True),
        ("account_driven", LinkKind.ADE, False),
    ],
)
def test_policy_that_names_a_link_takes_those_of_its_way_in(
    site: Site, policy: str, kind: LinkKind, fits: bool
) -> None:
    link = new_link(site, kind)
    text = link if policy == "ade_link" else json.dumps({"Mac": link})

    outcome = site.do(set_policies, PolicyOrder(policy, text))[0]

    assert isinstance(outcome, PolicySet) is fits
    assert fits or (isinstance(outcome, Refusal) and f"is of kind {kind.value}" in outcome.message)
    assert len(site.engine.read(policies.stored)) == fits


@pytest.mark.parametrize(("policy", "text"), [("ade_link", "nope"), ("account_driven", '{"default": "nope"}')])
def test_policy_that_names_a_link_nobody_made_is_refused(site: Site, policy: str, text: str) -> None:
    outcome = site.do(set_policies, PolicyOrder(policy, text))[0]

    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.message) == (RefusalCode.NOT_FOUND, "there is no link nope")


def test_policy_that_names_a_withdrawn_link_is_refused(site: Site) -> None:
    link = new_link(site, LinkKind.ADE)
    site.do(revoke_links, link)

    outcome = site.do(set_policies, PolicyOrder("ade_link", link))[0]

    assert isinstance(outcome, Refusal)
    assert "withdrawn" in outcome.message


@pytest.mark.parametrize(("policy", "text"), [("ade_link", "none"), ("account_driven", "{}")])
def test_policy_that_names_links_can_be_set_to_none(site: Site, policy: str, text: str) -> None:
    outcome = site.do(set_policies, PolicyOrder(policy, text))[0]

    assert isinstance(outcome, PolicySet)
