"""Groups are made, changed and deleted, and what would make queries mean nothing is refused."""

import pytest
from tests.support.site import ADMINISTRATOR, IPAD, MAC, Site, id_of

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.queries.groups import GroupDefinition
from muster.operations.manage_groups import (
    GroupOrder,
    MembersChanged,
    MembersOrder,
    RenameOrder,
    add_members,
    change_queries,
    create_groups,
    delete_groups,
    remove_members,
    rename_groups,
)
from muster.operations.review_channels import review_channels
from muster.operations.views.groups import find_group, list_groups
from muster.protocol.identifiers import DeviceId
from muster.storage import schema


def create(site: Site, name: str, query: str | None = None) -> GroupDefinition | Refusal:
    return site.do(create_groups, GroupOrder(name, query))[0]


def code_of(outcome: object) -> RefusalCode | None:
    return outcome.code if isinstance(outcome, Refusal) else None


def listed(site: Site) -> list[tuple[str, str | None, int | None]]:
    rows = site.engine.read(lambda tx: list_groups(tx, site.now))
    return [(row.name, row.query, row.devices) for row in rows if row.created_by is not None]


def test_group_by_query_has_whoever_it_finds_now(site: Site) -> None:
    site.enroll(MAC)
    create(site, "Enrolled", "state = 'enrolled'")
    create(site, "Those", "group = 'enrolled' and not (serial = 'other')")
    before = listed(site)

    site.enroll(IPAD)

    assert [devices for _, _, devices in before] == [1, 1]
    assert listed(site) == [
        ("Enrolled", "state = 'enrolled'", 2),
        ("Those", "group = 'enrolled' and not (serial = 'other')", 2),
    ]


def test_group_has_the_devices_that_were_put_in(site: Site) -> None:
    site.enroll(MAC)
    site.enroll(IPAD)
    create(site, "lab")
    both = (DeviceId(id_of(MAC)), DeviceId(id_of(IPAD)))

    put_in = site.do(add_members, MembersOrder("LAB", both[:1]), MembersOrder("lab", both))
    taken_out = site.do(remove_members, MembersOrder("lab", (*both[:1], DeviceId("other"))))

    assert put_in == [MembersChanged(1, 1), MembersChanged(1, 2)]
    assert taken_out == [MembersChanged(1, 1)]
    assert listed(site) == [("lab", None, 1)]


@pytest.mark.parametrize(
    ("name", "query", "code"),
    [
        ("LAB", None, RefusalCode.CONFLICT),
        (" ", None, RefusalCode.QUERY_UNFIT),
        ("new", "platfrom = 'iOS'", RefusalCode.QUERY_UNFIT),
        ("new", "group = 'nobody'", RefusalCode.QUERY_UNFIT),
        ("new", "group = 'new'", RefusalCode.QUERY_UNFIT),
    ],
)
def test_group_that_can_not_be_is_refused(site: Site, name: str, query: str | None, code: RefusalCode) -> None:
    create(site, "lab")

    assert code_of(create(site, name, query)) is code
    assert listed(site) == [("lab", None, 0)]


def test_refusal_points_at_what_is_wrong(site: Site) -> None:
    refusal = create(site, "new", "state = 'enroled'")

    assert isinstance(refusal, Refusal)
    said, *shown = refusal.message.splitlines()
    assert said.startswith("the query is wrong at column 9: state is one of 'enrolling', 'enrolled'")
    assert said.endswith("and never 'enroled'; did you mean 'enrolled'?")
    assert shown == ["  state = 'enroled'", "          ^"]


def test_group_gets_another_query_but_never_one_with_itself_in_it(site: Site) -> None:
    create(site, "a", "is_supervised")
    create(site, "b", "group = 'a'")
    create(site, "c")

    changed = site.do(change_queries, GroupOrder("A", "state = 'ended'"))[0]
    refused = site.do(change_queries, GroupOrder("a", "group = 'b'"), GroupOrder("c", "is_supervised"))

    assert isinstance(changed, GroupDefinition)
    assert [code_of(one) for one in refused] == [RefusalCode.QUERY_UNFIT, RefusalCode.CONFLICT]
    assert listed(site)[0] == ("a", "state = 'ended'", 0)


def test_group_that_queries_name_keeps_its_name(site: Site) -> None:
    create(site, "a", "is_supervised")
    create(site, "b", "group = 'A'")

    refused = [*site.do(delete_groups, "a"), *site.do(rename_groups, RenameOrder("a", "x"))]
    respelled = site.do(rename_groups, RenameOrder("a", "A"))[0]
    allowed = [*site.do(delete_groups, "b"), *site.do(rename_groups, RenameOrder("A", "x"))]

    assert [code_of(one) for one in refused] == [RefusalCode.CONFLICT] * 2
    assert isinstance(respelled, GroupDefinition)
    assert [code_of(one) for one in allowed] == [None, None]
    assert [name for name, _, _ in listed(site)] == ["x"]


def test_deleted_group_takes_its_members_along_and_nothing_else(site: Site) -> None:
    site.enroll(MAC)
    create(site, "lab")
    site.do(add_members, MembersOrder("lab", (DeviceId(id_of(MAC)),)))

    site.do(delete_groups, "lab")

    assert site.rows(schema.group_members.select()) == []
    assert site.is_known(MAC)
    assert site.engine.read(lambda tx: find_group(tx, "lab")) is None


def test_devices_are_put_into_groups_of_devices_alone(site: Site) -> None:
    site.enroll(MAC)
    create(site, "old", "os_version < '26'")
    create(site, "lab")
    mac = DeviceId(id_of(MAC))

    outcomes = site.do(
        add_members,
        MembersOrder("old", (mac,)),
        MembersOrder("nobody", (mac,)),
        MembersOrder("lab", (mac, DeviceId("other"))),
    )

    assert [code_of(one) for one in outcomes] == [RefusalCode.CONFLICT, RefusalCode.NOT_FOUND, RefusalCode.NOT_FOUND]
    assert listed(site)[0] == ("lab", None, 0)


def test_queries_that_come_with_muster_are_groups_that_nobody_changes(site: Site) -> None:
    site.enroll(MAC)
    site.wait(days=30)
    site.do(review_channels, None)

    rows = {row.name: row for row in site.engine.read(lambda tx: list_groups(tx, site.now))}

    assert {name: row.devices for name, row in rows.items()} == {
        "identity-expires-soon": 0,
        "needs-a-person": 1,
        "not-in-control": 1,
        "silent": 1,
    }
    for outcome in (
        create(site, "Silent"),
        site.do(delete_groups, "silent")[0],
        site.do(rename_groups, RenameOrder("silent", "quiet"))[0],
        site.do(change_queries, GroupOrder("silent", "is_supervised"))[0],
    ):
        assert code_of(outcome) is RefusalCode.CONFLICT
    assert code_of(create(site, "quiet Macs", "group = 'silent' and platform = 'macOS'")) is None


def test_acts_are_in_the_audit_log(site: Site) -> None:
    create(site, "lab", "is_supervised")
    site.do(rename_groups, RenameOrder("lab", "x"))
    site.do(delete_groups, "x")

    acts = site.rows(schema.audit.select().with_only_columns(schema.audit.c.act, schema.audit.c.actor_name))

    assert acts == [(act, ADMINISTRATOR.name) for act in ("group.create", "group.rename", "group.delete")]
