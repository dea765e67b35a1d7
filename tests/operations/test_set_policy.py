"""Setting a policy: in force at once, and in the audit log with what it was."""

import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.errors import Refusal
from muster.domain.standing_policies import Admission, PolicyName
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
