"""A command to everyone whom a query finds: what it would do is seen first, and how far it is can be left alone."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.bulk_sends import is_disruptive
from muster.domain.command_secrets import holds_secret
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import allows, to_send
from muster.domain.queries.syntax import AllOf
from muster.edges.console.acting import Acting, Asked, go_to
from muster.edges.console.bulk_pages import offers, whole_query
from muster.edges.console.command_forms import MAXIMUM_COMMAND_BYTES, common_types, inputs_of, read_request
from muster.edges.console.forms import Form, hidden
from muster.edges.console.listing import Listing
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.edges.console.times import Clock
from muster.operations.let_go import may_remove_enrollments
from muster.operations.permit import of_no_device, quoted, within_scope
from muster.operations.ports import Runner
from muster.operations.read_query import read_query
from muster.operations.send_by_query import SendOrder, order_sends
from muster.operations.views.bulk_acts import NAMED
from muster.operations.views.commands import count_standings
from muster.operations.views.device_lists import DeviceRow, find_devices_after
from muster.operations.views.sends import PreviewPart, check_send, preview_part
from muster.protocol.catalogue.commands import command_names, find_command
from muster.protocol.command import CommandRequest
from muster.storage import groups, queries, sends
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds
from muster.storage.sends import Send

MAXIMUM_CHOSEN: Final = 500
"""Devices that are chosen one by one; a page of the list has a hundred."""
LARGEST_COUNT: Final = 8
"""Digits of a count of devices."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Whom a query finds: how many devices, and the first of them; *fault*: why it can't be read."""

    count: int
    first: tuple[DeviceRow, ...]
    fault: Refusal | None = None
    groups: tuple[str, ...] = ()
    """Names of those into which devices are put."""


@dataclass(frozen=True, slots=True)
class _Preview:
    """What an order would do. *needs_count*: whoever gives it has to say how many are meant."""

    matched: int
    refused: Mapping[str, int]
    """Why some would be left out, and how many, of the first thousand."""
    is_whole: bool
    needs_count: bool


class SendPages:
    """The pages by which a command goes to many."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/send", self.page),
            Route("/send", self.send, methods=["POST"]),
            Route("/sends/{send_id}", self.progress),
            Route("/fragments/sends/{send_id}", self.progress_fragment),
        )

    async def page(self, request: Request) -> Response:
        """Show whom the query finds, and offer the commands; of the one that `type` names, its form."""
        ids = request.query_params.getlist("id")[:MAXIMUM_CHOSEN]
        query = _meaning(ids) if ids else whole_query(request.query_params.get("query", ""))
        signed_in = await self._sessions.read(request, within_scope(_finding(query, self._runner.now())))
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        typed = Form([("query", query), ("type", request.query_params.get("type", ""))])
        return self._form(request, signed_in, typed)

    async def send(self, request: Request) -> Response:
        """Say what the typed command would do; once that was seen and meant, send it."""
        asked = await self._acting.read(
            request,
            within_scope(lambda _tx, _bounds: _Found(0, ())),
            maximum_bytes=MAXIMUM_COMMAND_BYTES,
        )
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        form, now = asked.form, self._runner.now()
        query, request_type = whole_query(form["query"]), form["type"]
        found = await self._sessions.read(request, within_scope(_finding(query, now)))
        if found is None:
            return self._sessions.ask_to_sign_in(request)
        if find_command(request_type) is None:
            return self._form(request, found, form)
        read = read_request(request_type, form)
        if not isinstance(read, CommandRequest):
            return self._form(request, found, form, faults=read)
        order = SendOrder(query, read, anyway=form["anyway"] == "yes", to_users=form["users"] == "yes")
        if form["act"] != "send":
            return await self._review(request, asked, found, order)
        count = _count(form["count"])
        if form["count"] and count is None:
            return self._form(request, found, form, refusal=_NO_COUNT)
        sent = await self._acting.do(asked.principal, order_sends, replace(order, named_count=count))
        if isinstance(sent, Refusal):
            return self._form(request, found, form, refusal=sent)
        return go_to(send_url(sent.id))

    async def _review(
        self, request: Request, asked: Asked[_Found], found: SignedIn[_Found], order: SendOrder
    ) -> Response:
        now = self._runner.now()
        preview = await self._sessions.foresee(
            asked.signed_in, order_sends, order, lambda tx, narrowed: _preview(tx, narrowed, now)
        )
        if isinstance(preview, Refusal):
            return self._form(request, found, asked.form, refusal=preview)
        context = {
            "banners": [],
            "order": order,
            "preview": preview,
            "found": found.value,
            "keys": _shown_keys(order.request),
            "typed": asked.form.pairs(but=("form_token", "act", "count")),
            "devices_url": Listing(search=order.query).url(),
            "hidden": hidden(self._sessions.token(request)),
        }
        return self._renderer.page("send_review.html", context, administrator=asked.signed_in.administrator)

    def _form(
        self,
        request: Request,
        signed_in: SignedIn[_Found],
        form: Form,
        *,
        faults: Mapping[str, str] | None = None,
        refusal: Refusal | None = None,
    ) -> Response:
        found, role = signed_in.value, signed_in.administrator.role
        command = find_command(form["type"])
        was_typed = any(name.startswith("key.") for name, _ in form.pairs(but=()))
        context = {
            "banners": [],
            "found": found,
            "query": form["query"],
            "command": command,
            "request_type": form["type"],
            "needs_role": not allows(role, to_send(form["type"])),
            "inputs": [] if command is None else inputs_of(command, form if was_typed else None, faults),
            "offers": offers(signed_in.principal, form["query"]),
            "common": list(common_types(lambda one: allows(role, to_send(one)))),
            "names": command_names(),
            "refusal": refusal or found.fault,
            "has_faults": bool(faults),
            "users": form["users"] == "yes",
            "anyway": form["anyway"] == "yes",
            "type_url": lambda name: f"/send?{urlencode({'query': form['query'], 'type': name})}",
            "devices_url": Listing(search=form["query"]).url(),
            "hidden": hidden(self._sessions.token(request)),
        }
        status = 409 if refusal else 400 if faults else 200
        return self._renderer.page("send.html", context, administrator=signed_in.administrator, status_code=status)

    async def progress(self, request: Request) -> Response:
        """Show how far a command to many is."""
        return await self._progress(request, "sent.html")

    async def progress_fragment(self, request: Request) -> Response:
        """Show what changes of that."""
        return await self._progress(request, "_sent.html")

    async def _progress(self, request: Request, template: str) -> Response:
        send_id = request.path_params["send_id"]
        signed_in = await self._sessions.read(request, of_no_device(lambda tx: _read_send(tx, send_id)))
        if signed_in is None:
            if template.startswith("_"):
                return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
            return self._sessions.ask_to_sign_in(request)
        read, who = signed_in.value, signed_in.principal
        if read is None or (who.groups is not None and read[0].actor.name != who.actor.name):
            explanation = "No command to a query's finds has this number, or it is somebody else's."
            return self._renderer.error(
                404, "There is no such send", explanation, administrator=signed_in.administrator
            )
        send, counts = read
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "send": send,
            "counts": counts,
            "fragment_url": f"/fragments{send_url(send.id)}",
            "devices_url": Listing(search=send.query).url(),
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)


def send_url(send_id: str) -> str:
    """Return the page that says how far a send is."""
    return f"/sends/{quote(send_id, safe='')}"


def _meaning(ids: Sequence[str]) -> str:
    """Return the query that finds the devices which were chosen one by one."""
    named = ", ".join(quoted(one) for one in dict.fromkeys(ids) if one.isprintable())
    return f"id in ({named})"


def _finding(query: str, now: datetime) -> Callable[[Transaction, Bounds | None], _Found]:
    def view(tx: Transaction, within: Bounds | None) -> _Found:
        read = read_query(tx, query)
        if isinstance(read, Refusal):
            return _Found(0, (), read)
        bounded = read if within is None else AllOf((read, within.query))
        first = find_devices_after(tx, read, now, None, within)
        into = tuple(sorted(one.name for one in groups.read_all(tx).values() if one.query is None))
        return _Found(queries.count(tx, bounded, now), first[:NAMED], groups=into)

    return view


def _preview(tx: Transaction, order: SendOrder, now: datetime) -> _Preview | Refusal:
    matched = check_send(tx, order, now, is_preview=True)
    if isinstance(matched, Refusal):
        return matched
    part = preview_part(tx, order, None, now)
    if isinstance(part, Refusal):
        return part
    removes = may_remove_enrollments(tx, order.request)
    needs_count = is_disruptive(order.request.request_type, removes_enrollment=removes)
    return _Preview(matched, _why(part), part.next_after is None, needs_count)


def _why(part: PreviewPart) -> Mapping[str, int]:
    return dict(Counter(refusal.message for refusal in part.refused.values()).most_common())


def _read_send(tx: Transaction, send_id: str) -> tuple[Send, Mapping[str, int]] | None:
    send = sends.read(tx, send_id) if send_id.isprintable() else None
    return None if send is None else (send, count_standings(tx, send.command_uuid))


def _count(typed: str) -> int | None:
    digits = "".join(one for one in typed if one not in " ,.’'")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= LARGEST_COUNT else None


_NO_COUNT: Final = Refusal(
    RefusalCode.COUNT_WRONG, "what was typed is not a number of devices", "Type how many devices are meant."
)


def _shown_keys(request: CommandRequest) -> dict[str, str]:
    if holds_secret(request):
        return dict.fromkeys(request.keys, "…")
    return {name: str(value)[:200] for name, value in request.keys.items()}
