"""Groups of devices, by a query or by name."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.domain.queries.groups import GroupDefinition
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits, QueryText
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
from muster.operations.permit import of_fleet
from muster.operations.views.groups import GroupRow, list_groups
from muster.protocol.identifiers import DeviceId

Name = Annotated[str, Limits("A group's name; case doesn't count.", 1, 100, is_plain=True)]
DeviceIds = Annotated[tuple[Annotated[str, Limits("", 1, 512, is_plain=True)], ...], Limits("Ids of devices.", 1, 5000)]


@endpoint("GET", "/groups")
async def list_all_groups(call: Call) -> tuple[GroupRow, ...]:
    """List the groups, with how many devices each has now; `GET /devices?where=group = 'NAME'` has who is in one."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: list_groups(tx, now)))


@dataclass(frozen=True, slots=True)
class GroupBody:
    """A group to make. *where*: the query by which it is; null for one of devices that are put in."""

    name: Name
    where: QueryText | None = None


@endpoint("POST", "/groups", needs=Permission.GROUPS, status=201, refuses=(404, 409))
async def create_group(call: Call, body: GroupBody) -> GroupDefinition:
    """Make a group."""
    return await call.do(create_groups, GroupOrder(body.name, body.where))


@dataclass(frozen=True, slots=True)
class QueryBody:
    """The query that a group is to have."""

    where: QueryText


@endpoint("PUT", "/groups/{name}/query", needs=Permission.GROUPS, refuses=(404, 409))
async def set_group_query(call: Call, name: str, body: QueryBody) -> GroupDefinition:
    """Give a group by query another query."""
    return await call.do(change_queries, GroupOrder(name, body.where))


@dataclass(frozen=True, slots=True)
class NameBody:
    """The name that a group is to have."""

    name: Name


@endpoint("PUT", "/groups/{name}/name", needs=Permission.GROUPS, refuses=(404, 409))
async def rename_group(call: Call, name: str, body: NameBody) -> GroupDefinition:
    """Give a group another name."""
    return await call.do(rename_groups, RenameOrder(name, body.name))


@endpoint("DELETE", "/groups/{name}", needs=Permission.GROUPS, refuses=(404, 409, 422))
async def delete_group(call: Call, name: str) -> GroupDefinition:
    """Delete a group; its devices stay as they are."""
    return await call.do(delete_groups, name)


@dataclass(frozen=True, slots=True)
class MembersBody:
    """Devices."""

    ids: DeviceIds


@endpoint("POST", "/groups/{name}/members/add", needs=Permission.GROUPS, refuses=(404, 409))
async def add_group_members(call: Call, name: str, body: MembersBody) -> MembersChanged:
    """Put devices into a group."""
    return await call.do(add_members, MembersOrder(name, tuple(map(DeviceId, body.ids))))


@endpoint("POST", "/groups/{name}/members/remove", needs=Permission.GROUPS, refuses=(404, 409))
async def remove_group_members(call: Call, name: str, body: MembersBody) -> MembersChanged:
    """Take devices out of a group."""
    return await call.do(remove_members, MembersOrder(name, tuple(map(DeviceId, body.ids))))


ENDPOINTS = (
    list_all_groups,
    create_group,
    set_group_query,
    rename_group,
    delete_group,
    add_group_members,
    remove_group_members,
)
