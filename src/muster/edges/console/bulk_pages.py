"""What is done to everyone whom a query finds: seen first, then confirmed; how far it is can be left and found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.bulk_acts import PERMISSIONS, BulkKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import allows
from muster.domain.principals import Principal
from muster.domain.queries.groups import MAXIMUM_NAME
from muster.edges.console.acting import Acting, go_to
from muster.edges.console.forms import BadForm, hidden
from muster.edges.console.listing import Listing
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions
from muster.edges.console.times import Clock
from muster.operations.act_by_query import BulkOrder, order_bulk_acts
from muster.operations.permit import of_no_device
from muster.operations.ports import Runner
from muster.operations.views.bulk_acts import is_theirs, preview_bulk_act
from muster.storage import bulk_acts, sends
from muster.storage.bulk_acts import BulkAct
from muster.storage.sends import Send

MAXIMUM_QUERY: Final = 16_000
"""Characters of a query, which stands in an address."""


@dataclass(frozen=True, slots=True)
class Words:
    """How an act is called: on its button, as a question, and while it goes on."""

    offer: str
    says: str
    question: str
    going: str
    done: str


WORDS: Final[Mapping[BulkKind, Words]] = {
    BulkKind.PUSH: Words("Push", "Have them connect now.", "Push", "Pushing", "Pushed"),
    BulkKind.ASK: Words(
        "Ask for inventory",
        "Ask what they are and what they have, and push for it.",
        "Ask for the inventory of",
        "Asking for the inventory of",
        "Asked",
    ),
    BulkKind.RECOVER: Words(
        "Recover now",
        "Do the next step of their recoveries, but for those that need a go-ahead.",
        "Go on now with the recovery of",
        "Going on with the recovery of",
        "Done for",
    ),
    BulkKind.GROUP: Words(
        "Put into a group", "One of those into which devices are put.", "Put into a group", "Putting into a group", "In"
    ),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """An act that whoever looks may do, and where it is looked at first."""

    words: Words
    kind: BulkKind
    url: str


def offers(principal: Principal, query: str) -> list[Offer]:
    """Return what *principal* may do to everyone whom *query* finds; groups are for those with the whole fleet."""
    return [
        Offer(WORDS[kind], kind, bulk_url(query, kind))
        for kind in BulkKind
        if allows(principal.role, PERMISSIONS[kind]) and (kind is not BulkKind.GROUP or principal.groups is None)
    ]


def bulk_url(query: str, kind: BulkKind) -> str:
    """Return the page that asks whether *kind* is to be done to everyone whom *query* finds."""
    return f"/bulk?{urlencode({'kind': kind.value, 'query': query})}"


def act_url(act_id: str) -> str:
    """Return the page that says how far an act is."""
    return f"/bulk/{quote(act_id, safe='')}"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One order in the list of all. *left_out* were looked at and refused."""

    what: str
    query: str
    by: str
    ordered_at: datetime
    done: int
    left_out: int
    matched: int
    is_over: bool
    stopped_because: str | None
    url: str


class BulkPages:
    """The pages by which something is done to many, and the list of what was."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/bulk", self.review),
            Route("/bulk", self.order, methods=["POST"]),
            Route("/bulk/{act_id}", self.progress),
            Route("/fragments/bulk/{act_id}", self.progress_fragment),
            Route("/sends", self.orders),
            Route("/fragments/sends", self.orders_fragment),
        )

    async def review(self, request: Request) -> Response:
        """Show the query again and how many it finds, before anything is done."""
        asked = _order(request.query_params)
        signed_in = await self._sessions.read(request, of_no_device(lambda _tx: None))
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        if asked is None:
            return self._renderer.error(
                404, "There is no such act", "Nothing of this name can be done.", administrator=signed_in.administrator
            )
        now = self._runner.now()
        preview = await self._sessions.foresee(
            signed_in, order_bulk_acts, asked, lambda tx, order: preview_bulk_act(tx, order, now)
        )
        context = {
            "banners": [],
            "words": WORDS[asked.kind],
            "preview": None if isinstance(preview, Refusal) else preview,
            "refusal": preview if isinstance(preview, Refusal) else None,
            "order": asked,
            "devices_url": Listing(search=asked.query).url(),
            "hidden": hidden(self._sessions.token(request)),
        }
        status = 409 if isinstance(preview, Refusal) else 200
        administrator = signed_in.administrator
        return self._renderer.page("bulk_review.html", context, administrator=administrator, status_code=status)

    async def order(self, request: Request) -> Response:
        """Have it done."""
        asked = await self._acting.read(request, of_no_device(lambda _tx: None))
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        order = _order({name: asked.form[name] for name in ("kind", "query", "group")})
        if order is None:
            return self._renderer.error(
                404,
                "There is no such act",
                "Nothing of this name can be done.",
                administrator=asked.signed_in.administrator,
            )
        made = await self._acting.do(asked.principal, order_bulk_acts, order)
        return self._acting.refused(asked, made) if isinstance(made, Refusal) else go_to(act_url(made.id))

    async def progress(self, request: Request) -> Response:
        """Show how far an act is."""
        return await self._progress(request, "bulk.html")

    async def progress_fragment(self, request: Request) -> Response:
        """Show what changes of that."""
        return await self._progress(request, "_bulk.html")

    async def _progress(self, request: Request, template: str) -> Response:
        act_id = request.path_params["act_id"]
        sight = of_no_device(lambda tx: bulk_acts.read(tx, act_id) if act_id.isprintable() else None)
        signed_in = await self._sessions.read(request, sight)
        if signed_in is None:
            return self._nobody(request, template)
        act = signed_in.value
        if act is None or not is_theirs(act, signed_in.principal):
            explanation = "Nothing that was done to a query's finds has this number, or it is somebody else's."
            return self._renderer.error(404, "There is no such act", explanation, administrator=signed_in.administrator)
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "act": act,
            "words": WORDS[act.kind],
            "fragment_url": f"/fragments{act_url(act.id)}",
            "devices_url": Listing(search=act.query).url(),
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    async def orders(self, request: Request) -> Response:
        """List what was sent or done to many, the latest first."""
        return await self._orders(request, "orders.html")

    async def orders_fragment(self, request: Request) -> Response:
        """List the same, without the page around it."""
        return await self._orders(request, "_orders.html")

    async def _orders(self, request: Request, template: str) -> Response:
        sight = of_no_device(lambda tx: (sends.latest(tx), bulk_acts.latest(tx)))
        signed_in = await self._sessions.read(request, sight)
        if signed_in is None:
            return self._nobody(request, template)
        sent, done = signed_in.value
        lines = [_sent_line(one) for one in sent if is_theirs(one, signed_in.principal)]
        lines += [_act_line(one) for one in done if is_theirs(one, signed_in.principal)]
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "lines": sorted(lines, key=lambda one: one.ordered_at, reverse=True)[: sends.LIST_LIMIT],
            "fragment_url": "/fragments/sends",
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    def _nobody(self, request: Request, template: str) -> Response:
        if template.startswith("_"):
            return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
        return self._sessions.ask_to_sign_in(request)


def _order(typed: Mapping[str, str]) -> BulkOrder | None:
    """Read an order; None where its kind is none."""
    kind = typed.get("kind", "")
    if kind not in set(BulkKind):
        return None
    group = typed.get("group", "")[:MAXIMUM_NAME] if kind == BulkKind.GROUP else ""
    return BulkOrder(whole_query(typed.get("query", "")), BulkKind(kind), group)


def whole_query(text: str) -> str:
    """Return the query *text*. Raises BadForm where it is too long: a part of it may find others than the whole."""
    if len(text) > MAXIMUM_QUERY:
        said = f"a query has {MAXIMUM_QUERY:,} characters at most, and this one has {len(text):,}"
        raise BadForm(Refusal(RefusalCode.QUERY_UNFIT, said, "Make a group of a part of it, and name the group."))
    return text


def _sent_line(send: Send) -> OrderLine:
    return OrderLine(
        send.request_type,
        send.query,
        send.actor.name,
        send.ordered_at,
        send.queued,
        send.reached - send.queued,
        send.matched,
        send.finished_at is not None,
        send.stopped_because,
        f"/sends/{quote(send.id, safe='')}",
    )


def _act_line(act: BulkAct) -> OrderLine:
    what = WORDS[act.kind].offer + (f" {act.group_name}" if act.group_name else "")
    return OrderLine(
        what,
        act.query,
        act.actor.name,
        act.ordered_at,
        act.done,
        act.reached - act.done,
        act.matched,
        act.finished_at is not None,
        act.stopped_because,
        act_url(act.id),
    )
