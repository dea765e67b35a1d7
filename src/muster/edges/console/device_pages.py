"""The list of devices and the page of one, whole and as the fragments that keep them fresh."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from muster.domain.control.contact import ContactDay
from muster.domain.enrollment import EnrollmentState
from muster.domain.managed_apps import ManagedApp
from muster.domain.policy import Policy
from muster.domain.push_breaker import Breaker
from muster.domain.queries.parser import reads_like_query
from muster.edges.console import facts, words
from muster.edges.console.banners import breaker_banners, hold_banners, push_certificate_banners
from muster.edges.console.first_steps import first_steps
from muster.edges.console.installed import APP_STATES, PROFILE_STATES
from muster.edges.console.listing import Listing, UnknownChoice, read_listing
from muster.edges.console.rendering import Renderer, device_url, inventory_url
from muster.edges.console.secrets import SECRET_KINDS, SECRET_STATES
from muster.edges.console.sentences import (
    EXPIRY_NOTICE,
    SILENT_AFTER,
    device_sentence,
    fleet_sentence,
)
from muster.edges.console.sessions import Sessions
from muster.edges.console.strip import Strip, small_strip, start
from muster.edges.console.timeline import PUSHES_DRAWN, TICK_HEIGHT, WIDTH, draw_timeline
from muster.edges.console.times import Clock
from muster.operations.ports import Runner
from muster.operations.views.apps import apps_of_device
from muster.operations.views.commands import CommandRow, list_device_commands
from muster.operations.views.contacts import contact_days_of
from muster.operations.views.devices import (
    DeviceCounts,
    DeviceDetails,
    DeviceOrder,
    DevicePage,
    DeviceRow,
    browse_devices,
    show_device,
)
from muster.operations.views.identities import RenewalRow, renewal_of
from muster.operations.views.profiles import ProfileRow, profiles_of_device
from muster.operations.views.push_fleet import open_breakers
from muster.operations.views.pushing import ChannelPushing, PushMark, pushing_of_device, recent_pushes
from muster.operations.views.secrets import SecretRow, list_secrets
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.engine import Transaction

SECRETS_SHOWN = 50
"""Secrets on a device's page; a device that enrolled often has many of former lives."""
COMMANDS_SHOWN = 100
"""Commands on a device's page; older answers are read with `muster commands list`."""


@dataclass(frozen=True, slots=True)
class _Listed:
    page: DevicePage
    counts: DeviceCounts
    strips: Mapping[ChannelId, tuple[ContactDay, ...]]
    breakers: Mapping[str, Breaker]


class DevicePages:
    """The pages about devices, for those who are signed in."""

    def __init__(
        self, runner: Runner, renderer: Renderer, sessions: Sessions, public_url: str | None, policy: Policy
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._public_url = public_url
        self._policy = policy

    async def list_page(self, request: Request) -> Response:
        """Show the list."""
        return await self._list(request, "devices.html")

    async def list_fragment(self, request: Request) -> Response:
        """Show what changes of the list; 401 when the session is over, so that the script loads the page anew."""
        return await self._list(request, "_devices.html")

    async def device_page(self, request: Request) -> Response:
        """Show one device."""
        return await self._device(request, "device.html")

    async def device_fragment(self, request: Request) -> Response:
        """Show what changes of one device's page."""
        return await self._device(request, "_device.html")

    async def _list(self, request: Request, template: str) -> Response:
        try:
            listing = read_listing(request.query_params)
        except UnknownChoice as error:
            return self._renderer.error(
                400, "This address can't be understood", str(error), "Start from the list of all devices."
            )
        now = self._runner.now()
        signed_in = await self._sessions.read(request, lambda tx: _read_list(tx, listing, now))
        if signed_in is None:
            return self._nobody(request, template)
        listed = signed_in.value
        state, clock = signed_in.push_certificates, Clock(now)
        banners = [*push_certificate_banners(state, clock), *breaker_banners(listed.breakers, clock)]
        if listed.counts.total == 0 and not listing.is_narrowed:
            template = template.replace("devices", "first_steps")
            banners = banners if state.has_any else []  # one of the steps says it
        context = {
            "banners": banners,
            "fragment_url": listing.url("/fragments/devices"),
            "clock": clock,
            "listing": listing,
            "sentence": _fleet_sentence(listed),
            "states": _state_links(listing, listed.counts),
            "order_link": _order_link(listing),
            "page": listed.page,
            "fault": listed.page.fault,
            "is_query": reads_like_query(listing.search),
            "rows": [(row, _strip(row, listed, now), _identity_tone(row, now)) for row in listed.page.rows],
            "next_url": None if listed.page.next_after is None else listing.next_page(listed.page.next_after).url(),
            "steps": first_steps(self._public_url, has_push_certificate=state.has_any),
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    async def _device(self, request: Request, template: str) -> Response:
        device_id = ChannelId(request.path_params["device_id"])
        now = self._runner.now()
        signed_in = await self._sessions.read(request, lambda tx: _read_device(tx, device_id, now, self._policy))
        if signed_in is None:
            return self._nobody(request, template)
        if signed_in.value is None:
            return self._renderer.error(
                404,
                "There is no such device",
                f"No device with the id {device_id} ever spoke to this server.",
                "Search for it in the list of devices by its serial number or name.",
            )
        device = signed_in.value
        details, commands = device.details, device.commands
        clock = Clock(now)
        context = {
            "banners": [
                *push_certificate_banners(signed_in.push_certificates, clock),
                *hold_banners(details.pauses, details.held),
            ],
            "fragment_url": f"/fragments{device_url(device_id)}",
            "clock": clock,
            "inventory_url": inventory_url(device_id),
            "details": details,
            "device": details.device,
            "names": facts.channel_names(details),
            "facts": facts.facts_of(details, clock, device.renewal, device.pushing.get(device_id)),
            "sentence": device_sentence(details, clock, device.renewal),
            "pushing": device.pushing,
            "timeline": draw_timeline(details, commands, device.pushes, now),
            "width": WIDTH,
            "tick_height": TICK_HEIGHT,
            "commands": commands[:COMMANDS_SHOWN],
            "profiles": device.profiles,
            "profile_states": PROFILE_STATES,
            "apps": device.apps,
            "app_states": APP_STATES,
            "secrets": device.secrets[:SECRETS_SHOWN],
            "secrets_left_out": max(0, len(device.secrets) - SECRETS_SHOWN),
            "secret_kinds": SECRET_KINDS,
            "secret_states": SECRET_STATES,
            "commands_left_out": max(0, len(commands) - COMMANDS_SHOWN),
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    def _nobody(self, request: Request, template: str) -> Response:
        if template.startswith("_"):
            return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
        return self._sessions.ask_to_sign_in(request)


def _fleet_sentence(listed: _Listed) -> str:
    return fleet_sentence(listed.counts, silent_url=Listing(state="enrolled", order=DeviceOrder.SILENT).url())


def _read_list(tx: Transaction, listing: Listing, now: datetime) -> _Listed:
    page, counts = browse_devices(tx, listing.query(), now, now - SILENT_AFTER)
    strips = contact_days_of(tx, [row.id for row in page.rows], start(now))
    return _Listed(page, counts, strips, open_breakers(tx))


@dataclass(frozen=True, slots=True)
class _Device:
    details: DeviceDetails
    renewal: RenewalRow | None
    commands: tuple[CommandRow, ...]
    pushing: Mapping[ChannelId, ChannelPushing]
    pushes: tuple[PushMark, ...]
    profiles: tuple[ProfileRow, ...]
    apps: tuple[ManagedApp, ...]
    secrets: tuple[SecretRow, ...]


def _read_device(tx: Transaction, device_id: ChannelId, now: datetime, policy: Policy) -> _Device | None:
    if not device_id.isprintable():
        return None  # no id of ours has control characters, and PostgreSQL refuses NUL
    details = show_device(tx, device_id, now)
    if details is None:
        return None
    return _Device(
        details,
        renewal_of(tx, device_id, now, policy),
        list_device_commands(tx, device_id),
        pushing_of_device(tx, device_id, now),
        recent_pushes(tx, device_id, since=start(now), limit=PUSHES_DRAWN + 1),
        profiles_of_device(tx, device_id),
        apps_of_device(tx, device_id),
        list_secrets(tx, DeviceId(device_id)),
    )


@dataclass(frozen=True, slots=True)
class StateLink:
    """One choice of the state filter."""

    state: str
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


def _state_links(listing: Listing, counts: DeviceCounts) -> list[StateLink]:
    choices = [("", counts.total), *((state, counts.by_state[state]) for state in words.STATES)]
    return [
        StateLink(state, listing.with_state(state).url(), count, listing.state == state) for state, count in choices
    ]


def _order_link(listing: Listing) -> OrderLink:
    if listing.order is DeviceOrder.SILENT:
        url = listing.with_order(DeviceOrder.RECENT).url()
        return OrderLink(url, "↑", "ascending", "The longest silent first; show the latest first")
    url = listing.with_order(DeviceOrder.SILENT).url()
    return OrderLink(url, "↓", "descending", "The latest first; show the longest silent first")


def _strip(row: DeviceRow, listed: _Listed, now: datetime) -> Strip:
    return small_strip(listed.strips.get(row.id, ()), row.enrolled_at, row.ended_at, now)


def _identity_tone(row: DeviceRow, now: datetime) -> str:
    if row.identity_not_after is None or row.state == EnrollmentState.ENDED:
        return ""
    left = row.identity_not_after - now
    if left <= timedelta(0):
        return "bad"
    return "warning" if left < EXPIRY_NOTICE else ""
