"""A simulated administrator, who asks devices harmless questions so that something always happens."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

from muster.domain.access import Actor
from muster.domain.errors import Refusal
from muster.operations.ports import Runner
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.simulator.facts import Platform

PAUSE_SECONDS = (1.5, 4.0)
"""Between two questions: often enough to watch, seldom enough to follow."""
LARGEST_SHARE = 0.5
"""Of the fleet, asked at once."""

_EVERYWHERE = frozenset(Platform)
_MAC = frozenset({Platform.MAC})
_MOBILE = frozenset({Platform.IPHONE, Platform.IPAD})

QUESTIONS: tuple[tuple[CommandRequest, frozenset[Platform]], ...] = (
    (
        CommandRequest(
            "DeviceInformation",
            {"Queries": ["DeviceName", "OSVersion", "BuildVersion", "ModelName", "SerialNumber", "IsSupervised"]},
        ),
        _EVERYWHERE,
    ),
    (
        CommandRequest(
            "DeviceInformation", {"Queries": ["DeviceCapacity", "AvailableDeviceCapacity", "BatteryLevel", "UDID"]}
        ),
        _MAC | _MOBILE,
    ),
    (CommandRequest("SecurityInfo"), _EVERYWHERE),
    (CommandRequest("ProfileList"), _EVERYWHERE),
    (CommandRequest("CertificateList"), _EVERYWHERE),
    (CommandRequest("InstalledApplicationList"), _MAC | _MOBILE),
    (CommandRequest("UserList"), _MAC),
    (CommandRequest("AvailableOSUpdates"), _MAC),
    (CommandRequest("Restrictions"), _MOBILE),
)
"""Each with the platforms that know it."""
ASKED_OF_USERS = frozenset({"ProfileList"})
"""What is asked on user channels, too, of Macs and Shared iPads alike."""


SEARCH: tuple[CommandRequest, ...] = (
    CommandRequest("EnableLostMode", {"Message": "This iPhone is lost. Please call.", "PhoneNumber": "+49 30 1234567"}),
    CommandRequest("DeviceLocation"),
    CommandRequest("PlayLostModeSound"),
)
"""What is sent to a device that its owner misses."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """A channel that may be asked: the device's, or that of a user."""

    channel_id: ChannelId
    platform: Platform
    is_user: bool


async def ask_now_and_then(
    runner: Runner,
    actor: Actor,
    addressees: Callable[[], Awaitable[Sequence[Addressee]]],
    *,
    rng: Random,
    tell: Callable[[str], None],
) -> None:
    """Queue a command on some of *addressees*, as *actor*, every few seconds until cancelled; each question in turn."""
    round_: list[tuple[CommandRequest, frozenset[Platform]]] = []
    while True:
        round_ = round_ or rng.sample(QUESTIONS, len(QUESTIONS))
        request, platforms = round_.pop()
        asked = [
            one.channel_id
            for one in await addressees()
            if one.platform in platforms and (not one.is_user or request.request_type in ASKED_OF_USERS)
        ]
        if asked:
            chosen = rng.sample(asked, rng.randint(1, max(1, round(len(asked) * LARGEST_SHARE))))
            outcome = (await runner.write(queue_commands, [CommandOrder(tuple(chosen), request)], actor))[0]
            if not isinstance(outcome, Refusal):
                count = len(outcome.queued_on)
                tell(f"The {actor.name} sends {request.request_type} to {count} channel{'' if count == 1 else 's'}")
        await asyncio.sleep(rng.uniform(*PAUSE_SECONDS))


async def search(
    runner: Runner, actor: Actor, channel_id: ChannelId, *, name: str, tell: Callable[[str], None]
) -> None:
    """Put a device that is missed into Lost Mode, ask where it is, and have it ring; *name* is what people call it."""
    orders = [CommandOrder((channel_id,), request) for request in SEARCH]
    outcomes = await runner.write(queue_commands, orders, actor)
    if not any(isinstance(outcome, Refusal) for outcome in outcomes):
        tell(f"{name} is missed: the {actor.name} puts it into Lost Mode and asks where it is")
