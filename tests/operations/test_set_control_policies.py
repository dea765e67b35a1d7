"""Limits for all and for groups: who is judged by which, what a change does, and what is refused."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, Site, id_of, token_update

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.states import ControlState
from muster.domain.control.witness import WitnessKind
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.control_policies import BlastRadius, policies_for, radius_of
from muster.operations.judge_channels import judge_channels, reason_about
from muster.operations.manage_groups import (
    GroupOrder,
    MembersOrder,
    RenameOrder,
    add_members,
    change_queries,
    create_groups,
    delete_groups,
    remove_members,
    rename_groups,
)
from muster.operations.manage_witnesses import WitnessOrder, add_witnesses, remove_witnesses
from muster.operations.set_control_policies import (
    MAXIMUM_GROUPS,
    ControlPolicyOrder,
    ControlPolicySet,
    order_control_policies,
    planned_policies,
    set_control_policies,
)
from muster.operations.views.audit import list_acts
from muster.operations.views.control_policies import list_control_policies, policy_of_channel
from muster.protocol.identifiers import ChannelId, DeviceId, Identifiers
from muster.storage import schema, verdicts
from muster.storage.engine import Engine, Transaction

DAY = timedelta(days=1)


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def set_(site: Site, group: str | None = None, **settings: str) -> ControlPolicySet:
    outcome = site.do(set_control_policies, ControlPolicyOrder(group, settings))[0]
    assert isinstance(outcome, ControlPolicySet), outcome
    return outcome


def refused(site: Site, group: str | None = None, **settings: str) -> Refusal:
    outcome = site.do(set_control_policies, ControlPolicyOrder(group, settings))[0]
    assert isinstance(outcome, Refusal), outcome
    return outcome


def group(site: Site, name: str, *members: Identifiers) -> None:
    site.do(create_groups, GroupOrder(name))
    if members:
        site.do(add_members, MembersOrder(name, tuple(DeviceId(id_of(one)) for one in members)))


def policy(site: Site, identifiers: Identifiers = MAC) -> ControlPolicy:
    channel_id = id_of(identifiers)
    context = site.runner.context()
    return site.engine.read(lambda tx: policies_for(tx, [channel_id], context))[channel_id]


def judge(site: Site, *identifiers: Identifiers) -> None:
    ids = [id_of(one) for one in identifiers]
    site.do(lambda tx, _, ctx: [judge_channels(tx, ids, ctx)], None)


def state(site: Site, identifiers: Identifiers = MAC) -> ControlState:
    channel_id = id_of(identifiers)
    return site.engine.read(lambda tx: verdicts.read(tx, [channel_id]))[channel_id].verdict.state


def put_off_reviews(site: Site) -> None:
    later = sa.update(schema.reviews).values(next_review_at=site.now + DAY)
    site.engine.write(lambda tx: tx.connection.execute(later))


def due(site: Site) -> set[str]:
    select = sa.select(schema.reviews.c.channel_id).where(schema.reviews.c.next_review_at <= site.now)
    return {row[0] for row in site.rows(select)}


# --- who is judged by which -------------------------------------------------------------------------------------------


def test_nothing_set_is_the_default(site: Site) -> None:
    site.enroll()

    assert policy(site) == ControlPolicy()


def test_group_decides_what_it_sets_and_all_the_rest(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    group(site, "carts", IPAD)
    set_(site, tolerance="10d", contact_window="30h")
    set_(site, "Carts", tolerance="20d")

    assert (policy(site).tolerance, policy(site, IPAD).tolerance) == (10 * DAY, 20 * DAY)
    assert policy(site, IPAD).contact_window == timedelta(hours=30)


def test_of_several_groups_the_first_in_their_order_decides(site: Site) -> None:
    site.enroll()
    group(site, "carts", MAC)
    group(site, "loans", MAC)
    set_(site, "carts", tolerance="10d", agent="none")
    set_(site, "loans", tolerance="12d", silence_limit="30d")
    first = policy(site)

    assert site.do(order_control_policies, ["Loans", "carts"])[0] == ("loans", "carts")

    assert (first.tolerance, first.silence_limit) == (10 * DAY, 30 * DAY)
    assert policy(site).tolerance == 12 * DAY


def test_query_tells_who_is_in_it_and_users_follow_their_device(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    site.enroll(IPAD)
    site.do(create_groups, GroupOrder("macs", f"id = '{id_of(MAC)}' and kind = 'Device'"))
    set_(site, "macs", tolerance="10d")

    assert [policy(site, one).tolerance for one in (MAC, ADA, IPAD)] == [10 * DAY, 10 * DAY, 7 * DAY]


def test_verdicts_are_made_by_it(site: Site) -> None:
    site.enroll()
    site.wait(days=9)
    judge(site, MAC)
    assert state(site) is ControlState.INACTIVE
    set_(site, tolerance="10d")
    context = site.runner.context()
    reasoning = site.engine.read(lambda tx: reason_about(tx, id_of(MAC), context))

    judge(site, MAC)

    assert state(site) is not ControlState.INACTIVE
    assert reasoning is not None
    assert reasoning.judgement.verdict.state is state(site)


# --- what a change does -----------------------------------------------------------------------------------------------


def test_those_whom_it_touches_are_judged_anew(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    group(site, "carts", IPAD)
    put_off_reviews(site)

    set_(site, "carts", tolerance="10d")
    of_group = due(site)
    set_(site, tolerance="10d")

    assert of_group == {id_of(IPAD)}
    assert due(site) == {id_of(IPAD), id_of(MAC)}


def test_who_leaves_the_group_is_judged_anew(site: Site) -> None:
    site.enroll()
    group(site, "carts", MAC)
    set_(site, "carts", tolerance="10d")
    put_off_reviews(site)

    site.do(remove_members, MembersOrder("carts", (DeviceId(id_of(MAC)),)))

    assert due(site) == {id_of(MAC)}
    assert policy(site) == ControlPolicy()


def test_same_again_is_no_act(site: Site) -> None:
    set_(site, tolerance="10d")
    set_(site, tolerance="10d")

    [act] = site.engine.read(lambda tx: list_acts(tx, limit=5, act="control_policy.set"))
    assert (act.subject, act.detail) == ("all", {"tolerance": "10d", "former_tolerance": None})


def test_unset_is_as_if_it_had_never_been_set(site: Site) -> None:
    site.enroll()
    set_(site, tolerance="10d", contact_window="30h")

    one = site.do(set_control_policies, ControlPolicyOrder(unset=("tolerance",)))[0]
    assert isinstance(one, ControlPolicySet)
    assert (one.settings, policy(site).tolerance) == ({"contact_window": "30h"}, 7 * DAY)

    site.do(set_control_policies, ControlPolicyOrder(unset_all=True))
    assert policy(site) == ControlPolicy()
    assert site.engine.read(list_control_policies) == ()


def test_radius_counts_who_would_be_judged_otherwise_and_changes_nothing(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    group(site, "carts", MAC)
    site.wait(days=9)
    judge(site, MAC, IPAD)
    context, radius = site.runner.context(), BlastRadius()

    def count(settings: Mapping[str, str]) -> None:
        def work(tx: Transaction) -> ChannelId | None:
            stored = planned_policies(tx, ControlPolicyOrder("carts", settings), context)
            assert not isinstance(stored, Refusal)
            return radius_of(tx, None, stored, context, radius)

        assert site.engine.read(work) is None

    count({"tolerance": "10d"})

    [((before, after), number)] = radius.changes.items()
    assert (radius.channels, before, number) == (1, ControlState.INACTIVE, 1)
    assert after is not ControlState.INACTIVE
    assert policy(site) == ControlPolicy()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"colour": "red"}, RefusalCode.POLICY_UNFIT),
        ({"tolerance": "soon"}, RefusalCode.POLICY_UNFIT),
        ({"tolerance": "12h"}, RefusalCode.POLICY_UNFIT),
        ({"silence_limit": "3d"}, RefusalCode.POLICY_UNFIT),
        ({"agent": "osquery"}, RefusalCode.NOT_FOUND),
    ],
    ids=str,
)
def test_setting_that_does_not_fit_is_refused(site: Site, settings: dict[str, str], code: RefusalCode) -> None:
    assert refused(site, **settings).code is code
    assert site.engine.read(list_control_policies) == ()


def test_agent_is_a_witness(site: Site) -> None:
    site.enroll()
    site.do(add_witnesses, WitnessOrder("osquery", WitnessKind.AGENT))
    set_(site, agent="osquery")

    assert policy(site).agent == "osquery"
    assert isinstance(site.do(remove_witnesses, "osquery")[0], Refusal)
    site.do(set_control_policies, ControlPolicyOrder(unset_all=True))
    assert not isinstance(site.do(remove_witnesses, "osquery")[0], Refusal)


def test_limit_for_all_that_contradicts_a_group_is_refused(site: Site) -> None:
    group(site, "carts")
    set_(site, "carts", silence_limit="8d")

    assert "silence_limit is shorter" in refused(site, tolerance="9d").message


def test_groups_that_ask_for_verdicts_or_are_none_are_refused(site: Site) -> None:
    site.do(create_groups, GroupOrder("lost", "control = 'inactive'"), GroupOrder("within", "group = 'lost'"))

    assert "can't decide by which policy" in refused(site, "lost", tolerance="9d").message
    assert "can't decide by which policy" in refused(site, "within", tolerance="9d").message
    assert refused(site, "not-in-control", tolerance="9d").code is RefusalCode.POLICY_UNFIT
    assert refused(site, "nobody", tolerance="9d").code is RefusalCode.NOT_FOUND


def test_query_that_comes_to_ask_for_verdicts_has_no_effect_and_says_so(site: Site) -> None:
    site.enroll()
    site.do(create_groups, GroupOrder("inner", "state = 'enrolled'"), GroupOrder("outer", "group = 'inner'"))
    set_(site, "outer", tolerance="9d")
    direct = site.do(change_queries, GroupOrder("outer", "control = 'quiet'"))[0]

    site.do(change_queries, GroupOrder("inner", "control = 'quiet'"))

    assert isinstance(direct, Refusal)
    assert policy(site) == ControlPolicy()
    [row] = site.engine.read(list_control_policies)
    assert "asks for control" in row.fault


def test_group_with_limits_is_not_deleted_and_may_be_renamed(site: Site) -> None:
    group(site, "carts")
    set_(site, "carts", tolerance="9d")

    outcome = site.do(delete_groups, "carts")[0]
    site.do(rename_groups, RenameOrder("carts", "trolleys"))

    assert isinstance(outcome, Refusal)
    assert [row.group for row in site.engine.read(list_control_policies)] == ["trolleys"]


def test_order_names_every_group_with_limits_once(site: Site) -> None:
    group(site, "carts")
    group(site, "loans")
    set_(site, "carts", tolerance="9d")

    for names in ([], ["loans"], ["carts", "loans"], ["carts", "carts"]):
        assert isinstance(site.do(order_control_policies, names)[0], Refusal)


def test_so_many_groups_have_limits_and_no_more(site: Site) -> None:
    names = [f"group {number}" for number in range(MAXIMUM_GROUPS)]
    site.do(create_groups, *map(GroupOrder, [*names, "one more"]))
    site.do(set_control_policies, *(ControlPolicyOrder(name, {"tolerance": "9d"}) for name in names))

    assert refused(site, "one more", tolerance="9d").code is RefusalCode.CONFLICT


def test_limits_of_a_channel_are_told_as_texts(site: Site) -> None:
    site.enroll()
    set_(site, tolerance="9d")

    context = site.runner.context()
    told = site.engine.read(lambda tx: policy_of_channel(tx, id_of(MAC), context))
    assert told is not None
    assert told["tolerance"] == "9d"
    assert site.engine.read(lambda tx: policy_of_channel(tx, id_of(IPAD), context)) is None
