"""The page of one device, whole and as the fragment that keeps it fresh."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.control import saying
from muster.domain.control.own_side import EVERYTHING, Outage
from muster.domain.managed_apps import ManagedApp
from muster.domain.policy import Policy
from muster.edges.console import facts
from muster.edges.console.banners import hold_banners, push_certificate_banners
from muster.edges.console.command_pages import answer_url, command_url
from muster.edges.console.forms import hidden
from muster.edges.console.installed import APP_STATES, PROFILE_STATES
from muster.edges.console.rendering import Renderer, device_url, inventory_url
from muster.edges.console.secrets import SECRET_KINDS, SECRET_STATES
from muster.edges.console.sentences import (
    device_sentence,
)
from muster.edges.console.sessions import Sessions
from muster.edges.console.strip import start
from muster.edges.console.timeline import PUSHES_DRAWN, TICK_HEIGHT, WIDTH, draw_timeline
from muster.edges.console.times import Clock
from muster.operations.context import Reading
from muster.operations.judge_channels import Reasoning, reason_about
from muster.operations.permit import of_devices
from muster.operations.ports import Runner
from muster.operations.views.apps import apps_of_device
from muster.operations.views.commands import CommandRow, list_device_commands
from muster.operations.views.devices import DeviceDetails, show_device
from muster.operations.views.identities import RenewalRow, renewal_of
from muster.operations.views.inventory import ListRow, lists_of
from muster.operations.views.marks import CONTROL, NOT_JUDGED
from muster.operations.views.profiles import ProfileRow, profiles_of_device
from muster.operations.views.pushing import ChannelPushing, PushMark, pushing_of_device, recent_pushes
from muster.operations.views.recoveries import Recovering, show_recovery
from muster.operations.views.secrets import SecretRow, list_secrets
from muster.operations.views.story import StoryFacts, story_of
from muster.operations.views.storytelling import tell_story
from muster.operations.views.verdicts import Answer, VerdictRow, answers_of, verdict_by_now, verdicts_of
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import outages, recoveries
from muster.storage.engine import Transaction

SECRETS_SHOWN = 50
"""Secrets on a device's page; a device that enrolled often has many of former lives."""
COMMANDS_SHOWN = 40
"""Commands on a device's page; older answers are read with `muster commands list`."""


DONE: Final = {
    "push": "A push is on its way. It connects within seconds where it is awake and online.",
    "asked": "It is asked what it is and has, and pushed for it.",
    "unenroll": "It is told to remove its management, before everything else that waits.",
    "reject": "Its enrollment is ended here, and it is turned away when it next connects.",
    "withdraw": "It is not rejected any more.",
}
"""What is said on the page after something was done, by the word in its address."""


@dataclass(frozen=True, slots=True)
class Tab:
    """What the lower half of the page is of: everything, or one channel."""

    name: str
    url: str
    is_chosen: bool


class DevicePages:
    """The page of a device, for those who are signed in."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions, policy: Policy) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._policy = policy

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages; an id may hold slashes."""
        return (
            Route("/devices/{device_id:path}", self.device_page),
            Route("/fragments/devices/{device_id:path}", self.device_fragment),
        )

    async def device_page(self, request: Request) -> Response:
        """Show one device."""
        return await self._device(request, "device.html")

    async def device_fragment(self, request: Request) -> Response:
        """Show what changes of one device's page."""
        return await self._device(request, "_device.html")

    async def _device(self, request: Request, template: str) -> Response:
        device_id = ChannelId(request.path_params["device_id"])
        now = self._runner.now()
        signed_in = await self._sessions.read(
            request, of_devices([device_id], lambda tx: _read_device(tx, device_id, now, self._policy))
        )
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
        clock, chosen = Clock(now), _chosen(request, device.details)
        context = {
            "banners": push_certificate_banners(signed_in.push_certificates, clock),
            "fragment_url": _fragment_url(device_id, chosen),
            "inventory_url": inventory_url(device_id),
            "hidden": hidden(self._sessions.token(request)),
            "acts": _acts_of(device_id),
            "done": DONE.get(request.query_params.get("done", "")),
            **_WORDS,
            **_upper_half(device, device_id, clock),
            **_lower_half(device, chosen),
        }
        return self._renderer.page(template, context, administrator=signed_in.administrator)

    def _nobody(self, request: Request, template: str) -> Response:
        if template.startswith("_"):
            return self._renderer.error(401, "You are not signed in", "Your session is over.", "Sign in again.")
        return self._sessions.ask_to_sign_in(request)


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
    verdicts: Mapping[ChannelId, VerdictRow]
    answers: tuple[Answer, ...]
    """What each rule says of it now."""
    story: StoryFacts
    outages: tuple[Outage, ...]
    lists: tuple[ListRow, ...]
    """What it named in its inventory."""
    recovering: Recovering | None
    """What is done for the device itself; absent where nothing is."""


def _read_device(tx: Transaction, device_id: ChannelId, now: datetime, policy: Policy) -> _Device | None:
    if not device_id.isprintable():
        return None  # no id of ours has control characters, and PostgreSQL refuses NUL
    details = show_device(tx, device_id, now)
    story = story_of(tx, device_id, start(now), now)
    if details is None or story is None:
        return None
    reasoning = reason_about(tx, device_id, Reading(now, policy))
    return _Device(
        details,
        renewal_of(tx, device_id, now, policy),
        list_device_commands(tx, device_id),
        pushing_of_device(tx, device_id, now),
        recent_pushes(tx, device_id, since=start(now), limit=PUSHES_DRAWN + 1),
        profiles_of_device(tx, device_id),
        apps_of_device(tx, device_id),
        list_secrets(tx, DeviceId(device_id)),
        verdicts_of(tx, [channel.id for channel in details.channels], now) | _by_now(reasoning, device_id, now),
        () if reasoning is None else answers_of(reasoning.judgement),
        story,
        tuple(one for one in outages.between(tx, start(now), now) if one.scope == EVERYTHING),
        lists_of(tx, device_id),
        show_recovery(tx, device_id, Reading(now, policy)) if recoveries.open_of(tx, [device_id]) else None,
    )


def _by_now(reasoning: Reasoning | None, device_id: ChannelId, now: datetime) -> dict[ChannelId, VerdictRow]:
    if reasoning is None or reasoning.held is None:
        return {}
    return {device_id: verdict_by_now(reasoning.held, reasoning.judgement.verdict, now)}


_WORDS: Final[Mapping[str, object]] = {
    "control_marks": CONTROL,
    "not_judged": NOT_JUDGED,
    "saying": saying,
    "answer_url": answer_url,
    "command_url": command_url,
    "width": WIDTH,
    "tick_height": TICK_HEIGHT,
    "profile_states": PROFILE_STATES,
    "app_states": APP_STATES,
    "secret_kinds": SECRET_KINDS,
    "secret_states": SECRET_STATES,
}
"""What is the same on every device's page."""


def _upper_half(device: _Device, device_id: ChannelId, clock: Clock) -> dict[str, object]:
    """Return what is said of the device as a whole."""
    details = device.details
    return {
        "clock": clock,
        "holds": hold_banners(details.pauses, details.held),
        "lists": device.lists,
        "enrolled": facts.enrolled(details, clock),
        "identity": facts.identity(details, clock, device.renewal),
        "details": details,
        "device": details.device,
        "names": facts.channel_names(details),
        "facts": facts.facts_of(details, clock, device.renewal, device.pushing.get(device_id)),
        "sentence": device_sentence(details, clock, device.renewal),
        "pushing": device.pushing,
        "timeline": draw_timeline(
            details, device.commands, device.pushes, clock.now, held=device.story.held, outages=device.outages
        ),
        "verdict": device.verdicts.get(device_id),
        "verdicts": device.verdicts,
        "recoveries": device.recovering.recoveries if device.recovering else (),
        "confirmable": device.recovering.confirmable if device.recovering else (),
        "answers": device.answers,
        "story": tell_story(device.story, clock.now),
    }


def _lower_half(device: _Device, chosen: str) -> dict[str, object]:
    """Return what is of the tab that is open: the channel *chosen*, or, where that is empty, all of them."""
    details = device.details
    commands = [row for row in device.commands if chosen in ("", row.channel_id)]
    return {
        "tabs": _tabs(details, chosen),
        "chosen": chosen,
        "commands": commands[:COMMANDS_SHOWN],
        "commands_left_out": max(0, len(commands) - COMMANDS_SHOWN),
        "profiles": [row for row in device.profiles if chosen in ("", row.channel_id)],
        "apps": [row for row in device.apps if chosen in ("", row.channel_id)],
        "secrets": device.secrets[:SECRETS_SHOWN],
        "secrets_left_out": max(0, len(device.secrets) - SECRETS_SHOWN),
        "evidence": [row for row in details.evidence if chosen in ("", row.channel_id)],
    }


def _fragment_url(device_id: ChannelId, chosen: str) -> str:
    query = f"?{urlencode({'channel': chosen})}" if chosen else ""
    return f"/fragments{device_url(device_id)}{query}"


def _acts_of(device_id: ChannelId) -> Mapping[str, str]:
    """Return where what can be done to a device is done."""
    quoted = quote(device_id, safe="")
    return {name: f"/{name}/{quoted}" for name in ("push", "ask", "recovery", "command", "secrets", "leaving")}


def _chosen(request: Request, details: DeviceDetails) -> str:
    """Return the channel that the address names; nothing where it names none of this device."""
    named = request.query_params.get("channel", "")
    return named if any(channel.id == named for channel in details.channels) else ""


def _tabs(details: DeviceDetails, chosen: str) -> list[Tab]:
    """Offer the channels, where there are several."""
    if len(details.channels) < 2:
        return []
    names, base = facts.channel_names(details), device_url(details.device.id)
    return [
        Tab("All", base, not chosen),
        *(
            Tab(names[one], f"{base}?{urlencode({'channel': one})}#commands", one == chosen)
            for one in sorted(channel.id for channel in details.channels)
        ),
    ]
