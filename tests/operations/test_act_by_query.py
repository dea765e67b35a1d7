"""Something is done to everyone whom a query finds, part by part, as it is done to one."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.support.fleet import add_device
from tests.support.site import ADMINISTRATOR, Site

from muster.domain.bulk_acts import IN_PART, PERMISSIONS, BulkKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.principals import Principal
from muster.domain.queries.groups import name_key
from muster.domain.roles import Role
from muster.operations import act_by_query
from muster.operations.act_by_query import BulkOrder, continue_bulk_acts, order_bulk_acts
from muster.operations.manage_groups import GroupOrder, MembersOrder, add_members, create_groups, delete_groups
from muster.operations.permit import permitted
from muster.protocol.identifiers import DeviceId
from muster.storage import bulk_acts, groups, schema
from muster.storage.bulk_acts import BulkAct
from muster.storage.engine import Work

EVERYBODY = "state is known"


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(act_by_query, "IN_PART", dict.fromkeys(BulkKind, 2))


@pytest.fixture
def fleet(site: Site) -> Site:
    """Five devices A to E of which C is not enrolled any more."""
    for name in "ABCDE":
        add_device(site.engine, name, state="ended" if name == "C" else "enrolled")
    return site


def ordered(site: Site, query: str, kind: BulkKind, group: str = "") -> BulkAct:
    [outcome] = site.do(order_bulk_acts, BulkOrder(query, kind, group))
    assert isinstance(outcome, BulkAct), outcome
    return outcome


def finish(site: Site) -> BulkAct:
    while True:
        [one] = site.do(continue_bulk_acts, None)
        assert one is not None
        if one.finished_at is not None:
            return one


def wished(site: Site) -> list[str]:
    wishes = schema.push_wishes
    return [name for (name,) in site.rows(sa.select(wishes.c.channel_id).order_by(wishes.c.channel_id))]


def acts(site: Site) -> list[tuple[str, str]]:
    audit = schema.audit
    return [(act, subject) for act, subject in site.rows(sa.select(audit.c.act, audit.c.subject))]


def test_every_kind_says_what_it_takes_and_how_many_are_done_at_once() -> None:
    assert set(PERMISSIONS) == set(IN_PART) == set(BulkKind)


def test_those_whom_the_query_finds_are_pushed_and_nobody_else(fleet: Site) -> None:
    act = ordered(fleet, "id in ('A', 'C', 'E')", BulkKind.PUSH)
    done = finish(fleet)

    assert (act.matched, done.done, done.refused, done.finished_at) == (2, 2, {}, fleet.now)
    assert wished(fleet) == ["A", "E"]
    assert acts(fleet) == [("bulk.order", act.id), ("push.send", "A"), ("push.send", "E")]


def test_each_part_is_a_transaction_and_anybody_goes_on(fleet: Site) -> None:
    act = ordered(fleet, EVERYBODY, BulkKind.PUSH)

    seen = []
    for _ in range(3):
        [one] = fleet.do(continue_bulk_acts, act.id)
        assert one is not None
        seen.append((one.done, one.cursor, one.finished_at is None))

    assert seen == [(2, "B", True), (4, "E", True), (4, "E", False)]
    assert fleet.do(continue_bulk_acts, act.id) == [None]


def test_inventory_is_asked_for_and_recoveries_go_on(fleet: Site) -> None:
    ordered(fleet, "id = 'A'", BulkKind.ASK)
    finish(fleet)
    ordered(fleet, "id = 'B'", BulkKind.RECOVER)
    finish(fleet)

    assert [one for one in acts(fleet) if one[0] in ("inventory.ask", "recovery.now")] == [
        ("inventory.ask", "A"),
        ("recovery.now", "B"),
    ]
    assert {"A", "B"} <= {name for (name,) in fleet.rows(sa.select(schema.queue.c.channel_id))}


def test_who_is_refused_is_left_out_and_counted(fleet: Site) -> None:
    add_device(fleet.engine, "F", state="dormant")
    ordered(fleet, "id in ('A', 'F')", BulkKind.PUSH)
    done = finish(fleet)

    assert (done.done, done.reached) == (1, 2)
    assert done.refused[RefusalCode.NOT_ENROLLED].count == 1
    assert "F is not enrolled now" in done.refused[RefusalCode.NOT_ENROLLED].example


def test_devices_are_put_into_a_group_enrolled_or_not(fleet: Site) -> None:
    fleet.do(create_groups, GroupOrder("Carts"))
    ordered(fleet, EVERYBODY, BulkKind.GROUP, "carts")
    done = finish(fleet)

    group = fleet.engine.read(groups.read_all)[name_key("Carts")]
    assert done.done == 5
    assert fleet.engine.read(lambda tx: groups.count_members(tx, group.id)) == 5


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (BulkOrder("id = 'C'", BulkKind.PUSH), RefusalCode.NOT_FOUND),
        (BulkOrder("os_version <", BulkKind.PUSH), RefusalCode.QUERY_UNFIT),
        (BulkOrder(EVERYBODY, BulkKind.GROUP, "nothing"), RefusalCode.NOT_FOUND),
        (BulkOrder(EVERYBODY, BulkKind.GROUP, "by-query"), RefusalCode.NOT_FOUND),
    ],
)
def test_what_can_not_be_done_is_refused_before_anything_is(fleet: Site, order: BulkOrder, code: RefusalCode) -> None:
    fleet.do(create_groups, GroupOrder("by-query", "id = 'A'"))

    [outcome] = fleet.do(order_bulk_acts, order)

    assert isinstance(outcome, Refusal)
    assert outcome.code is code
    assert fleet.rows(sa.select(schema.bulk_acts)) == []


def test_group_that_is_gone_meanwhile_ends_it(fleet: Site) -> None:
    fleet.do(create_groups, GroupOrder("Carts"))
    ordered(fleet, EVERYBODY, BulkKind.GROUP, "Carts")
    fleet.do(delete_groups, "Carts")

    done = finish(fleet)

    assert (done.done, done.stopped_because) == (0, "there is no group Carts")


def test_group_that_an_unfinished_act_names_is_not_deleted(fleet: Site) -> None:
    fleet.do(create_groups, GroupOrder("Carts"))
    fleet.do(add_members, MembersOrder("Carts", (DeviceId("A"),)))
    ordered(fleet, "group = 'Carts'", BulkKind.PUSH)

    [during] = fleet.do(delete_groups, "Carts")
    finish(fleet)
    [afterwards] = fleet.do(delete_groups, "Carts")

    assert isinstance(during, Refusal)
    assert not isinstance(afterwards, Refusal)


def test_who_is_limited_reaches_their_own_alone_and_changes_no_group(fleet: Site) -> None:
    fleet.do(create_groups, GroupOrder("mine", "id = 'A'"), GroupOrder("others"))
    scope = frozenset({fleet.engine.read(groups.read_all)[name_key("mine")].id})
    who = Principal(replace(ADMINISTRATOR, role=Role.SECURITY), scope)
    as_they = permitted(who, order_bulk_acts)

    [pushed] = fleet.do(as_they, BulkOrder(EVERYBODY, BulkKind.PUSH), actor=who.actor)
    finish(fleet)
    [grouped] = fleet.do(as_they, BulkOrder(EVERYBODY, BulkKind.GROUP, "others"), actor=who.actor)

    assert isinstance(pushed, BulkAct)
    assert wished(fleet) == ["A"]
    assert isinstance(grouped, Refusal)
    assert grouped.code is RefusalCode.SCOPE_EXCEEDED


def test_order_makes_work_due(fleet: Site) -> None:
    context = fleet.runner.context(ADMINISTRATOR)

    order = BulkOrder(EVERYBODY, BulkKind.PUSH)
    due = fleet.engine.write(lambda tx: (order_bulk_acts(tx, [order], context), tx.due)[1])

    assert due == {Work.SENDS: fleet.now}
    assert fleet.engine.read(bulk_acts.is_any_unfinished)
