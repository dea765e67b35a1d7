"""Why a channel is held to be as it is, and what happened to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from muster.domain.control.contact import contacts_of
from muster.domain.control.finding import Verdict
from muster.domain.control.silence_clock import day_of, start_of
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.operations.context import Reading
from muster.operations.judge_channels import reason_about
from muster.operations.permit import of_devices
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.pushing import PushMark
from muster.operations.views.story import OrderedCommand, StoryFacts, story_of
from muster.operations.views.verdicts import Answer, Held, VerdictRow, answers_of, verdicts_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.recoveries import Recovery
from muster.storage.verdicts import Step


@dataclass(frozen=True, slots=True)
class Why:
    """Why a channel is held to be as it is.

    *held*: what the last review recorded, in sentences; absent before the first. *found*: what a review would find now.
    *rules*: what each rule says of that, in the order in which they are asked.
    """

    channel_id: ChannelId
    held: VerdictRow | None
    found: Verdict
    rules: tuple[Answer, ...]


@endpoint("GET", "/devices/{channel_id}/verdict", refuses=(404,))
async def explain_verdict(call: Call, channel_id: str) -> Why:
    """Tell why a device, or a user's channel, is held to be as it is, rule by rule."""
    now, channel, policy = call.runner.now(), ChannelId(channel_id), call.site.policy

    def read(tx: Transaction) -> Why | None:
        reasoning = reason_about(tx, channel, Reading(now, policy))
        if reasoning is None:
            return None
        judgement = reasoning.judgement
        held = verdicts_of(tx, [channel], now).get(channel)
        return Why(channel, held, judgement.verdict, answers_of(judgement))

    return nothing_known(await call.see(of_devices([channel], read)), "device", channel_id)


@dataclass(frozen=True, slots=True)
class TimelineAsked:
    """How much of the story."""

    days: Annotated[int, Limits("How far back; contacts are kept for 400 days.", 1, 400)] = 30


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a device and its users' channels since a day began.

    *names*: of the users, by channel. *steps*: how the verdicts changed; *before*: the last step before. *held*: which
    verdict held when. *contacts*: when each channel came, to five minutes.
    """

    device_id: ChannelId
    since: datetime
    names: Mapping[ChannelId, str]
    steps: tuple[Step, ...]
    before: Step | None
    held: Mapping[ChannelId, tuple[Held, ...]]
    contacts: Mapping[ChannelId, tuple[datetime, ...]]
    evidence: tuple[EvidenceRow, ...]
    pushes: tuple[PushMark, ...]
    commands: tuple[OrderedCommand, ...]
    recoveries: tuple[Recovery, ...]


@endpoint("GET", "/devices/{device_id}/timeline", refuses=(404,))
async def tell_timeline(call: Call, device_id: str, asked: TimelineAsked) -> Timeline:
    """Tell what happened to a device: contacts, evidence, pushes, commands, verdicts, and what was done about them."""
    now, device = call.runner.now(), ChannelId(device_id)
    since = start_of(day_of(now)) - timedelta(days=asked.days - 1)
    facts = await call.see(of_devices([device], lambda tx: story_of(tx, device, since, now)))
    return _timeline(nothing_known(facts, "device", device_id))


def _timeline(facts: StoryFacts) -> Timeline:
    contacts = {
        channel: tuple(at for day in days for at in contacts_of(day)) for channel, days in facts.contact_days.items()
    }
    return Timeline(
        facts.device_id,
        facts.since,
        facts.names,
        facts.steps,
        facts.before,
        facts.held,
        contacts,
        facts.evidence,
        facts.pushes,
        facts.commands,
        facts.recoveries,
    )


ENDPOINTS = (explain_verdict, tell_timeline)
