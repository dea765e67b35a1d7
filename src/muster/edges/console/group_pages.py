"""Groups of devices: by a query, tried before it is kept, or of devices that are put in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.edges.console.forms import Form
from muster.edges.console.listing import Listing
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.sessions import SignedIn
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
from muster.operations.permit import of_fleet, quoted
from muster.operations.views.groups import GroupRow, Tried, devices_named, list_groups, show_group, try_query
from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction

T = TypeVar("T")

COUNTING_SECONDS: Final = 0.1
"""For which the list counts devices; of the groups that are left, each on its own page."""
MAXIMUM_NAMED: Final = 500
"""Devices put in or taken out by one form; more go by the command line, or by a query."""


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group, where its page is, and where its devices are listed."""

    row: GroupRow
    url: str
    devices_url: str


class GroupPages:
    """The pages about groups."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of these pages."""
        return [
            Route("/groups", self.page),
            Route("/groups", self.make, methods=["POST"]),
            Route("/groups/{name:path}", self.group),
            Route("/groups/{name:path}", self.change, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the groups, and the form for another."""
        return await self._show(request)

    async def make(self, request: Request) -> Response:
        """Make a group, or only tell how many devices its query finds now."""
        sent = await self._office.form(request, Permission.GROUPS)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        if form["act"] == "try":
            return await self._show(request, tried=form)
        order = GroupOrder(form["name"], form["query"].strip() or None)
        made = await self._office.do(signed_in, create_groups, order)
        if isinstance(made, Refusal):
            return await self._show(request, Refused(made, form))
        return back_to(group_url(made.name))

    async def group(self, request: Request) -> Response:
        """Show one group."""
        return await self._show_one(request)

    async def change(self, request: Request) -> Response:
        """Change one group, or only tell how many devices another query would find."""
        sent = await self._office.form(request, Permission.GROUPS)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        name: str = request.path_params["name"]
        if form["act"] == "try":
            return await self._show_one(request, tried=form)
        outcome = await self._change(signed_in, name, form)
        if isinstance(outcome, Refusal):
            return await self._show_one(request, Refused(outcome, form, form["act"]))
        return back_to(outcome)

    async def _change(self, signed_in: SignedIn[None], name: str, form: Form) -> str | Refusal:
        """Do what *form* asks for; returns where to go on."""
        match form["act"]:
            case "query":
                changed = await self._office.do(signed_in, change_queries, GroupOrder(name, form["query"].strip()))
                return changed if isinstance(changed, Refusal) else group_url(name)
            case "rename":
                renamed = await self._office.do(signed_in, rename_groups, RenameOrder(name, form["name"]))
                return renamed if isinstance(renamed, Refusal) else group_url(renamed.name)
            case "delete":
                deleted = await self._office.do(signed_in, delete_groups, name)
                return deleted if isinstance(deleted, Refusal) else "/groups"
            case "add" | "remove" as act:
                named = form["devices"].split()
                if not 0 < len(named) <= MAXIMUM_NAMED:
                    return Refusal(RefusalCode.ORDER_UNFIT, f"name 1 to {MAXIMUM_NAMED} devices")
                ids = await self._office.runner.read(lambda tx: devices_named(tx, named))
                operation = add_members if act == "add" else remove_members
                moved = await self._office.do(signed_in, operation, MembersOrder(name, tuple(map(DeviceId, ids))))
                return moved if isinstance(moved, Refusal) else group_url(name)
            case _:
                return Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act")

    async def _show(self, request: Request, refused: Refused | None = None, tried: Form | None = None) -> Response:
        now = self._office.runner.now()
        view = _with_trial(lambda tx: list_groups(tx, now, may_count=_for(COUNTING_SECONDS)), tried, now)
        signed_in = await self._office.see(request, of_fleet(view))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        rows, trial = signed_in.value
        context = {
            "own": [_line(row) for row in rows if row.created_at is not None],
            "saved": [_line(row) for row in rows if row.created_at is None],
            "trial": trial,
            **({} if tried is None else {"typed": tried}),
        }
        return self._office.page(request, "groups.html", signed_in, context, refused)

    async def _show_one(self, request: Request, refused: Refused | None = None, tried: Form | None = None) -> Response:
        now, name = self._office.runner.now(), request.path_params["name"]
        view = _with_trial(lambda tx: show_group(tx, name, now), tried, now)
        signed_in = await self._office.see(request, of_fleet(view))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        row, trial = signed_in.value
        if row is None:
            return self._office.renderer.error(
                404,
                "There is no such group",
                "It was renamed or deleted, or never was.",
                administrator=signed_in.administrator,
            )
        context = {"line": _line(row), "trial": trial, **({} if tried is None else {"typed": tried})}
        return self._office.page(request, "group.html", signed_in, context, refused)


def group_url(name: str) -> str:
    """Return the path of a group's page; names may hold any character."""
    return f"/groups/{quote(name, safe='')}"


def _for(seconds: float) -> Callable[[], bool]:
    """Return what is true for so long."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() < until


def _line(row: GroupRow) -> GroupLine:
    return GroupLine(row, group_url(row.name), Listing(search=f"group = {quoted(row.name)}").url())


def _with_trial(
    view: Callable[[Transaction], T], tried: Form | None, now: datetime
) -> Callable[[Transaction], tuple[T, Tried | Refusal | None]]:
    """Return what reads *view*, and what the query in *tried* finds now."""
    query = None if tried is None else tried["query"].strip()
    return lambda tx: (view(tx), None if query is None else try_query(tx, query, now))
