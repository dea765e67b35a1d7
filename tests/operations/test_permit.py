"""Every door is one: who lacks a role or a scope is refused in one place, whatever the operation."""

import inspect
import pkgutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar, get_args, get_type_hints

import pytest
import sqlalchemy as sa
from tests.support.fleet import add_command, add_device, add_user
from tests.support.site import Site

import muster.operations
from muster.domain.access import Actor, ActorKind
from muster.domain.bulk_acts import BulkKind
from muster.domain.control.recovery import StepKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.principals import Principal
from muster.domain.queries.groups import name_key
from muster.domain.roles import Role
from muster.domain.secrets import SecretKind
from muster.operations.act_by_query import BulkOrder
from muster.operations.ask_for_inventory import InventoryOrder
from muster.operations.assign_accounts import AccountOrder
from muster.operations.cancel_commands import CancelOrder
from muster.operations.install_apps import AppOrder, AppRemovalOrder
from muster.operations.install_profiles import ProfileOrder, ProfileRemovalOrder
from muster.operations.let_go import DepartureOrder
from muster.operations.manage_groups import GroupOrder, MembersOrder, add_members, create_groups, delete_groups
from muster.operations.pause_queues import PauseOrder
from muster.operations.permit import (
    ACTS,
    Sight,
    nobody,
    of_devices,
    of_fleet,
    of_no_device,
    permitted,
    seen,
    within_scope,
)
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.recover_by_hand import ConfirmOrder, PutOffOrder
from muster.operations.return_to_service import ReturnOrder, ReturnPolicyOrder
from muster.operations.reveal_secrets import RevealOrder, reveal_secrets
from muster.operations.rotate_secrets import AdministratorOrder, SecretAct, SecretOrder
from muster.operations.send_by_query import SendOrder, order_sends
from muster.operations.send_raw_command import RawOrder
from muster.operations.views.device_lists import DeviceQuery, browse_devices, list_devices
from muster.operations.views.people import scope_names
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage import groups, schema
from muster.storage.sends import Send

for _module in pkgutil.iter_modules(muster.operations.__path__):
    import_module(f"muster.operations.{_module.name}")

T = TypeVar("T")

INSIDE, OUTSIDE = ChannelId("INSIDE"), ChannelId("OUTSIDE")
WAITING = CommandUUID("0b5c1b35-0000-4000-8000-00000000c0de")
INFORMATION = CommandRequest("DeviceInformation", {"Queries": ["UDID"]})
ITEMS: dict[str, Any] = {
    "ask_for_push": OUTSIDE,
    "ask_for_renewals": OUTSIDE,
    "ask_now": InventoryOrder(OUTSIDE),
    "assign_accounts": AccountOrder("mail", OUTSIDE),
    "cancel_commands": CancelOrder(WAITING),
    "change_secrets": SecretOrder(DeviceId(OUTSIDE), SecretKind.FILEVAULT_KEY, SecretAct.ROTATE),
    "clear_passcodes": DeviceId(OUTSIDE),
    "confirm_steps": ConfirmOrder(OUTSIDE, StepKind.PUSH),
    "install_apps": AppOrder((OUTSIDE,), CommandRequest("InstallApplication", {"Identifier": "org.example.app"})),
    "install_profiles": ProfileOrder((INSIDE, OUTSIDE), b""),
    "make_administrators": AdministratorOrder(DeviceId(OUTSIDE), "admin"),
    "make_reach_links": OUTSIDE,
    "pause_queues": PauseOrder(OUTSIDE, "why"),
    "put_off_recoveries": PutOffOrder(OUTSIDE, timedelta(days=1)),
    "queue_commands": CommandOrder((INSIDE, OUTSIDE), INFORMATION),
    "recover_now": OUTSIDE,
    "reject_devices": DepartureOrder((DeviceId(INSIDE), DeviceId(OUTSIDE))),
    "remove_apps": AppRemovalOrder((OUTSIDE,), "org.example.app"),
    "remove_profiles": ProfileRemovalOrder((OUTSIDE,), "org.example.profile"),
    "resume_queues": OUTSIDE,
    "return_devices": ReturnOrder(DeviceId(OUTSIDE)),
    "reveal_secrets": RevealOrder(DeviceId(OUTSIDE), SecretKind.FILEVAULT_KEY),
    "send_raw_commands": RawOrder((INSIDE, OUTSIDE), INFORMATION, CommandUUID("door")),
    "stop_recoveries": OUTSIDE,
    "set_return_policies": ReturnPolicyOrder(DeviceId(OUTSIDE), is_enabled=True),
    "unenroll_devices": DepartureOrder((DeviceId(OUTSIDE),)),
    "withdraw_rejections": DepartureOrder((DeviceId(OUTSIDE),)),
}
"""For each operation that names devices, an item about one outside of the scope."""
BY_QUERY: dict[str, Any] = {
    "order_bulk_acts": BulkOrder("state = 'enrolled'", BulkKind.PUSH),
    "order_sends": SendOrder("state = 'enrolled'", INFORMATION),
}
"""For each operation that means devices by a query, an item."""
INDIRECT = {"change_accounts", "remove_accounts", "settle_held_commands"}
"""Those that name something else which devices have; tested by themselves."""


@pytest.fixture
def scoped(site: Site) -> Site:
    """A site with two devices, one of which is in the group `mine`; a command waits on the other."""
    for one in (INSIDE, OUTSIDE):
        add_device(site.engine, one)
    add_user(site.engine, OUTSIDE, "USER", "ada")
    add_command(site.engine, OUTSIDE, WAITING)
    site.do(create_groups, GroupOrder("mine"))
    site.do(add_members, MembersOrder("mine", (DeviceId(INSIDE),)))
    return site


def somebody(site: Site, role: Role = Role.SECURITY, *names: str) -> Principal:
    known = site.engine.read(groups.read_all)
    scope = frozenset(known[name_key(name)].id for name in names) if names else None
    return Principal(Actor(ActorKind.ADMINISTRATOR, "ben", role, "192.0.2.9"), scope)


def act(site: Site, who: Principal, operation: Callable[..., Any], item: object) -> Any:
    [outcome] = site.do(permitted(who, operation), item, actor=who.actor)
    return outcome


def see(site: Site, who: Principal, sight: Sight[T]) -> T | Refusal:
    reader = seen(who, sight, site.now)
    return site.engine.read(reader)


def everything(site: Site) -> str:
    tables = [table for table in schema.metadata.sorted_tables if table.name != "audit"]
    return str([site.rows(sa.select(table)) for table in tables])


def naming_devices() -> dict[str, Callable[..., Any]]:
    return {
        operation.__name__: operation
        for operation, declared in ACTS.items()
        if declared.narrow is None and declared.about is not nobody and _about_everybody is not declared.about
    }


_about_everybody = ACTS[create_groups].about


def test_the_walk_knows_every_operation_that_names_devices() -> None:
    assert set(naming_devices()) == set(ITEMS) | INDIRECT


def test_no_operation_that_takes_an_id_of_a_device_is_declared_without_it() -> None:
    forgotten = [
        operation.__name__
        for operation, declared in ACTS.items()
        if declared.about in (_about_everybody, nobody) and declared.narrow is None and _takes_device(operation)
    ]

    # of groups, which are for those who have the whole fleet; and what is an owner's, who has it always
    assert sorted(forgotten) == ["add_members", "adopt_profiles", "remove_members"]


def _takes_device(operation: Callable[..., Any]) -> bool:
    items = list(get_type_hints(operation).values())[1]
    item = get_args(items)[0]
    kinds = list(get_type_hints(item).values()) if inspect.isclass(item) else [item]
    return any(one in (ChannelId, DeviceId, CommandUUID) for kind in kinds for one in (kind, *get_args(kind)))


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_a_device_outside_of_the_scope_is_refused_as_one_that_there_is_not(scoped: Site, name: str) -> None:
    before = everything(scoped)
    who = somebody(scoped, Role.SECURITY, "mine")

    refused = act(scoped, who, naming_devices()[name], ITEMS[name])

    assert isinstance(refused, Refusal)
    assert (refused.code, refused.message) == (RefusalCode.NOT_FOUND, "no such device is known")
    assert everything(scoped) == before
    table = schema.audit
    last = sa.select(table.c.act, table.c.subject, table.c.actor_name, table.c.source).order_by(table.c.sequence.desc())
    assert scoped.rows(last.limit(1)) == [("refused", name, "ben", "192.0.2.9")]


@pytest.mark.parametrize(
    "operation", [one for one, declared in ACTS.items() if declared.about is _about_everybody and not declared.narrow]
)
def test_what_is_about_everybody_is_not_for_who_is_limited(scoped: Site, operation: Callable[..., Any]) -> None:
    refused = act(scoped, somebody(scoped, Role.OWNER, "mine"), operation, None)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.SCOPE_EXCEEDED


def test_a_user_of_a_device_outside_is_outside(scoped: Site) -> None:
    order = CommandOrder((ChannelId("OUTSIDE:USER"),), INFORMATION)

    assert isinstance(act(scoped, somebody(scoped, Role.OPERATOR, "mine"), queue_commands, order), Refusal)


@pytest.mark.parametrize("id_", ["NOBODY", "", "a\x00b", "INSIDE' or '1'='1", "*"])
def test_an_id_that_nothing_has_is_outside(scoped: Site, id_: str) -> None:
    order = CommandOrder((ChannelId(id_),), INFORMATION)

    assert isinstance(act(scoped, somebody(scoped, Role.OPERATOR, "mine"), queue_commands, order), Refusal)


def test_a_device_in_the_scope_is_done_to(scoped: Site) -> None:
    outcome = act(scoped, somebody(scoped, Role.OPERATOR, "mine"), queue_commands, CommandOrder((INSIDE,), INFORMATION))

    assert outcome.queued_on == (INSIDE,)


def test_what_is_refused_of_several_leaves_the_others_in_their_places(scoped: Site) -> None:
    who = somebody(scoped, Role.OPERATOR, "mine")
    orders = [CommandOrder((one,), INFORMATION) for one in (OUTSIDE, INSIDE, OUTSIDE)]

    allowed = permitted(who, queue_commands)
    first, second, third = scoped.do(allowed, *orders, actor=who.actor)

    assert isinstance(first, Refusal)
    assert not isinstance(second, Refusal)
    assert isinstance(third, Refusal)


def test_a_scope_whose_group_is_gone_has_nobody(scoped: Site) -> None:
    who = somebody(scoped, Role.OPERATOR, "mine")
    scoped.do(delete_groups, "mine")

    assert isinstance(act(scoped, who, queue_commands, CommandOrder((INSIDE,), INFORMATION)), Refusal)
    assert scoped.engine.read(lambda tx: scope_names(tx, who.groups)) == ("(a group that is gone)",)


@pytest.mark.parametrize("query", ["state = 'enrolled'", "id = 'OUTSIDE' or id = 'INSIDE'"])
def test_a_query_finds_those_alone_that_are_in_the_scope(scoped: Site, query: str) -> None:
    send = act(scoped, somebody(scoped, Role.OPERATOR, "mine"), order_sends, SendOrder(query, INFORMATION))

    assert isinstance(send, Send)
    assert send.matched == 1


@pytest.mark.parametrize("query", ["id = 'OUTSIDE') or (id = 'INSIDE'", "id = 'OUTSIDE' or", "') or ('1'='1"])
def test_no_query_breaks_out_of_the_scope(scoped: Site, query: str) -> None:
    refused = act(scoped, somebody(scoped, Role.OPERATOR, "mine"), order_sends, SendOrder(query, INFORMATION))

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.QUERY_UNFIT


@pytest.mark.parametrize("name", ["it's mine", "mine' or id = 'OUTSIDE"])
def test_no_name_of_a_group_widens_a_scope(scoped: Site, name: str) -> None:
    scoped.do(create_groups, GroupOrder(name))
    scoped.do(add_members, MembersOrder(name, (DeviceId(INSIDE),)))
    order = SendOrder("state = 'enrolled'", INFORMATION)

    send = act(scoped, somebody(scoped, Role.OPERATOR, name), order_sends, order)

    assert isinstance(send, Send)
    assert send.matched == 1


def test_a_query_of_who_has_no_group_any_more_means_nobody(scoped: Site) -> None:
    who = somebody(scoped, Role.OPERATOR, "mine")
    scoped.do(delete_groups, "mine")

    send = act(scoped, who, order_sends, SendOrder("state = 'enrolled'", INFORMATION))

    assert not isinstance(send, Send) or send.matched == 0


@pytest.mark.parametrize("operation", list(ACTS))
def test_who_has_too_little_of_a_role_is_refused_and_written_down(site: Site, operation: Callable[..., Any]) -> None:
    declared = ACTS[operation]
    item = ITEMS.get(operation.__name__) or BY_QUERY.get(operation.__name__)
    refused = act(site, somebody(site, Role.VIEWER), operation, item)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ROLE_MISSING
    assert declared.needs(item) is not Permission.SEE


def test_an_operation_that_says_nothing_passes_no_door(site: Site) -> None:
    def forgotten(_tx: object, _items: Sequence[object], _ctx: object) -> list[None]:
        raise AssertionError

    with pytest.raises(LookupError, match="says nowhere what it takes"):
        permitted(somebody(site, Role.OWNER), forgotten)


# --- seeing -----------------------------------------------------------------------------------------------------------


def test_a_device_outside_is_not_shown(scoped: Site) -> None:
    who = somebody(scoped, Role.VIEWER, "mine")
    shown = [see(scoped, who, of_devices([one], lambda _: "it")) for one in (INSIDE, OUTSIDE)]

    assert shown[0] == "it"
    assert isinstance(shown[1], Refusal)


def test_the_fleet_as_a_whole_is_not_shown_to_who_is_limited(scoped: Site) -> None:
    limited, whole = somebody(scoped, Role.VIEWER, "mine"), somebody(scoped, Role.VIEWER)

    assert isinstance(see(scoped, limited, of_fleet(lambda _: 1)), Refusal)
    assert see(scoped, whole, of_fleet(lambda _: 1)) == 1
    assert see(scoped, limited, of_no_device(lambda _: 1)) == 1


def test_lists_have_those_in_the_scope_and_count_no_others(scoped: Site) -> None:
    who = somebody(scoped, Role.VIEWER, "mine")
    query = DeviceQuery()

    page = see(scoped, who, within_scope(lambda tx, within: list_devices(tx, query, within)))
    browsed = see(scoped, who, within_scope(lambda tx, within: browse_devices(tx, query, scoped.now, within)))

    assert not isinstance(page, Refusal)
    assert not isinstance(browsed, Refusal)
    assert ([row.id for row in page.rows], page.total) == ([INSIDE], 1)
    assert ([row.id for row in browsed[0].rows], browsed[1].total) == ([INSIDE], 1)


def test_what_takes_a_role_is_not_shown_without_it(site: Site) -> None:
    sight = of_fleet(lambda _: 1, Permission.READ_AUDIT)

    refused = see(site, somebody(site, Role.OPERATOR), sight)

    assert isinstance(refused, Refusal)
    assert see(site, somebody(site, Role.SECURITY), sight) == 1


def test_a_reveal_takes_the_role_of_its_kind(scoped: Site) -> None:
    token = RevealOrder(DeviceId(INSIDE), SecretKind.BOOTSTRAP_TOKEN)

    refused = act(scoped, somebody(scoped, Role.OPERATOR, "mine"), reveal_secrets, token)

    assert isinstance(refused, Refusal)
    assert "security" in refused.message
