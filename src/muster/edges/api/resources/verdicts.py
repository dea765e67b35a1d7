"""Why a channel is held to be as it is, and what happened to it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from muster.domain.control.silence_clock import day_of, start_of
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.operations.context import Reading
from muster.operations.permit import of_devices
from muster.operations.views.timeline import Timeline, show_timeline
from muster.operations.views.why import Why, tell_why
from muster.protocol.identifiers import ChannelId


@endpoint("GET", "/devices/{channel_id}/verdict", refuses=(404,))
async def explain_verdict(call: Call, channel_id: str) -> Why:
    """Tell why a device, or a user's channel, is held to be as it is, rule by rule."""
    channel, reading = ChannelId(channel_id), Reading(call.runner.now(), call.site.policy)
    found = await call.see(of_devices([channel], lambda tx: tell_why(tx, channel, reading)))
    return nothing_known(found, "device", channel_id)


@dataclass(frozen=True, slots=True)
class TimelineAsked:
    """How much of the story."""

    days: Annotated[int, Limits("How far back; contacts are kept for 400 days.", 1, 400)] = 30


@endpoint("GET", "/devices/{device_id}/timeline", refuses=(404,))
async def tell_timeline(call: Call, device_id: str, asked: TimelineAsked) -> Timeline:
    """Tell what happened to a device: contacts, evidence, pushes, commands, verdicts, and what was done about them."""
    now, device = call.runner.now(), ChannelId(device_id)
    since = start_of(day_of(now)) - timedelta(days=asked.days - 1)
    found = await call.see(of_devices([device], lambda tx: show_timeline(tx, device, since, now)))
    return nothing_known(found, "device", device_id)


ENDPOINTS = (explain_verdict, tell_timeline)
