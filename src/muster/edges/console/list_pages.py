"""The list of devices, whole and as the fragment that keeps it fresh."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.control import saying
from muster.domain.control.contact import ContactDay
from muster.domain.control.reasons import REASONS
from muster.domain.control.saying import GRAVITY
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.domain.push_breaker import Breaker
from muster.domain.queries.parser import reads_like_query
from muster.edges.console.acting import Acting, go_to
from muster.edges.console.banners import breaker_banners, own_fault_banners, push_certificate_banners
from muster.edges.console.first_steps import first_steps
from muster.edges.console.forms import hidden
from muster.edges.console.listing import SINCE, Listing, UnknownChoice, read_listing
from muster.edges.console.rendering import Renderer
from muster.edges.console.sentences import (
    fleet_sentence,
)
from muster.edges.console.sessions import Sessions
from muster.edges.console.strip import Strip, small_strip, start
from muster.edges.console.times import Clock
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.permit import of_no_device, within_scope
from muster.operations.ports import Runner
from muster.operations.views.contacts import contact_days_of
from muster.operations.views.device_lists import DeviceCounts, DeviceOrder, DevicePage, DeviceRow, browse_devices
from muster.operations.views.fleet_needs import EXPIRY_NOTICE
from muster.operations.views.incidents import IncidentRow, list_incidents
from muster.operations.views.marks import CONTROL, NOT_JUDGED, Mark
from muster.operations.views.push_fleet import open_breakers
from muster.operations.views.verdicts import Held, VerdictRow, held_since, verdicts_of
from muster.protocol.identifiers import ChannelId
from muster.protocol.os_family import OsFamily
from muster.storage import groups
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds


@dataclass(frozen=True, slots=True)
class _Listed:
    page: DevicePage
    counts: DeviceCounts
    strips: Mapping[ChannelId, tuple[ContactDay, ...]]
    verdicts: Mapping[ChannelId, VerdictRow]
    held: Mapping[ChannelId, tuple[Held, ...]]
    breakers: Mapping[str, Breaker]
    incidents: tuple[IncidentRow, ...]
    groups: tuple[str, ...]
    """Names of groups, by which devices may be chosen: queries that were saved are among them."""


class ListPages:
    """The list of devices, for those who are signed in."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions, public_url: str | None) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._public_url = public_url
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of the list."""
        return (
            Route("/devices", self.list_page),
            Route("/fragments/devices", self.list_fragment),
            Route("/save-query", self.save, methods=["POST"]),
        )

    async def list_page(self, request: Request) -> Response:
        """Show the list."""
        return await self._list(request, "devices.html")

    async def list_fragment(self, request: Request) -> Response:
        """Show what changes of the list; 401 when the session is over, so that the script loads the page anew."""
        return await self._list(request, "_devices.html")

    async def save(self, request: Request) -> Response:
        """Save a query under a name: it is a group from then on, for filters, policies and scopes alike."""
        asked = await self._acting.read(request, of_no_device(lambda _tx: None, Permission.GROUPS))
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        name = asked.form["name"].strip()
        made = await self._acting.do(asked.principal, create_groups, GroupOrder(name, asked.form["query"]))
        if isinstance(made, Refusal):
            return self._acting.refused(asked, made)
        return go_to(Listing(group=made.name).url())

    async def _list(self, request: Request, template: str) -> Response:
        try:
            listing = read_listing(request.query_params)
        except UnknownChoice as error:
            return self._renderer.error(
                400, "This address can't be understood", str(error), "Start from the list of all devices."
            )
        now = self._runner.now()
        signed_in = await self._sessions.read(
            request, within_scope(lambda tx, within: _read_list(tx, listing, now, within))
        )
        if signed_in is None:
            return self._nobody(request, template)
        listed = signed_in.value
        state, clock = signed_in.push_certificates, Clock(now)
        banners = [
            *push_certificate_banners(state, clock),
            *breaker_banners(listed.breakers, clock),
            *own_fault_banners(listed.incidents, clock),
        ]
        if listed.counts.total == 0 and not listing.is_narrowed:
            template = template.replace("devices", "first_steps")
            banners = banners if state.has_any else []  # one of the steps says it
        context = {
            "banners": banners,
            "fragment_url": listing.url("/fragments/devices"),
            "clock": clock,
            "listing": listing,
            "sentence": _fleet_sentence(listed),
            "states": _control_links(listing, listed.counts),
            "order_link": _order_link(listing),
            "is_by_gravity": listing.order is DeviceOrder.GRAVITY,
            "gravity_url": listing.with_order(DeviceOrder.GRAVITY).url(),
            "verdicts": listed.verdicts,
            "control_marks": CONTROL,
            "not_judged": NOT_JUDGED,
            "page": listed.page,
            "fault": listed.page.fault,
            "is_query": reads_like_query(listing.search),
            "rows": [(row, _strip(row, listed, now), _identity_tone(row, now)) for row in listed.page.rows],
            "next_url": None if listed.page.next_after is None else listing.next_page(listed.page.next_after).url(),
            "hidden": hidden(self._sessions.token(request)),
            "choices": _choices(listed.groups),
            "as_query": listing.as_query(),
            "send_all_url": f"/send?{urlencode({'query': listing.as_query()})}",
            "steps": first_steps(self._public_url, has_push_certificate=state.has_any),
            "may_return": signed_in.may_return,
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    def _nobody(self, request: Request, template: str) -> Response:
        if template.startswith("_"):
            return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
        return self._sessions.ask_to_sign_in(request)


def _fleet_sentence(listed: _Listed) -> str:
    return fleet_sentence(listed.counts, others_url=Listing("group = 'not-in-control'").url())


def _read_list(tx: Transaction, listing: Listing, now: datetime, within: Bounds | None) -> _Listed:
    page, counts = browse_devices(tx, listing.query(), now, within)
    ids = [row.id for row in page.rows]
    strips = contact_days_of(tx, ids, start(now))
    held = held_since(tx, ids, start(now), now)
    incidents = list_incidents(tx, only_open=True) if within is None else ()  # they name devices of the whole fleet
    names = tuple(sorted((group.name for group in groups.read_all(tx).values()), key=str.casefold))
    return _Listed(page, counts, strips, verdicts_of(tx, ids, now), held, open_breakers(tx), incidents, names)


@dataclass(frozen=True, slots=True)
class ControlLink:
    """One choice of the filter by verdict; *mark* is absent for all of them."""

    mark: Mark | None
    url: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class OrderLink:
    """The heading that orders by last contact: how it is ordered now, and where the other way is."""

    url: str
    arrow: str
    aria_sort: str
    title: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer: words with what people call them."""

    reasons: tuple[tuple[str, str], ...]
    platforms: tuple[str, ...]
    groups: tuple[str, ...]
    since: tuple[tuple[str, str], ...]


def _choices(names: tuple[str, ...]) -> Choices:
    return Choices(_REASONS, tuple(OsFamily), names, _SINCE)


_REASONS: Final = tuple(sorted((reason.value, saying.capital(facts.title)) for reason, facts in REASONS.items()))
_SINCE: Final = tuple((str(days), "a day" if days == 1 else f"{days} days") for days in SINCE)


def _control_links(listing: Listing, counts: DeviceCounts) -> list[ControlLink]:
    """Offer the verdicts that there are, the gravest first; the one that is chosen also when nobody has it."""
    is_all = not listing.control
    links = [ControlLink(None, listing.with_control("").url(), counts.total, is_all)]
    for state in GRAVITY:
        count, is_chosen = counts.by_control.get(state, 0), listing.control == state.value
        if count or is_chosen:
            links.append(ControlLink(CONTROL[state], listing.with_control(state.value).url(), count, is_chosen))
    return links


def _order_link(listing: Listing) -> OrderLink:
    if listing.order is DeviceOrder.SILENT:
        url = listing.with_order(DeviceOrder.RECENT).url()
        return OrderLink(url, "↑", "ascending", "The longest silent first; show the latest first")
    url = listing.with_order(DeviceOrder.SILENT).url()
    if listing.order is DeviceOrder.RECENT:
        return OrderLink(url, "↓", "descending", "The latest first; show the longest silent first")
    return OrderLink(url, "", "none", "Show the longest silent first")


def _strip(row: DeviceRow, listed: _Listed, now: datetime) -> Strip:
    return small_strip(listed.strips.get(row.id, ()), row.enrolled_at, row.ended_at, now, listed.held.get(row.id, ()))


def _identity_tone(row: DeviceRow, now: datetime) -> str:
    if row.identity_not_after is None or row.state == EnrollmentState.ENDED:
        return ""
    left = row.identity_not_after - now
    if left <= timedelta(0):
        return "bad"
    return "warning" if left < EXPIRY_NOTICE else ""
