"""What is of one device or user's channel: inventory, profiles, pushes, its queue."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.inventory.kinds import InventoryKind
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import MAXIMUM_FILE_BYTES, Call, Written, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.edges.api.property_values import read_base64
from muster.operations.ask_for_inventory import AskedInventory, InventoryOrder, ask_now
from muster.operations.ask_for_push import ask_for_push
from muster.operations.install_profiles import (
    ProfileOrder,
    ProfileRemovalOrder,
    ProfileSent,
    install_profiles,
    remove_profiles,
)
from muster.operations.pause_queues import PauseOrder, Resumed, pause_queues, resume_queues
from muster.operations.permit import of_devices, of_fleet
from muster.operations.queue_command import QueuedCommand
from muster.operations.views.inventory import CHANGES_SHOWN, Inventory, show_inventory
from muster.operations.views.profiles import ProfileRow, list_profiles
from muster.operations.views.push_fleet import PushStatus, push_status
from muster.operations.views.pushing import ChannelPushing, explain_pushing
from muster.protocol.identifiers import ChannelId
from muster.storage.queue_holds import Pause


@dataclass(frozen=True, slots=True)
class InventoryAsked:
    """How much of it."""

    kind: Annotated[InventoryKind | None, Limits("One kind alone.")] = None
    changes: Annotated[int, Limits("Changes at most, the latest first.", 0, CHANGES_SHOWN)] = 50
    items: Annotated[int, Limits("Items of each list at most.", 0, 100_000)] = 1_000


@endpoint("GET", "/devices/{channel_id}/inventory", refuses=(404,))
async def get_inventory(call: Call, channel_id: str, asked: InventoryAsked) -> Inventory:
    """Show what a device or a user's channel said of itself, when, and how it changed."""
    now, policy, channel = call.runner.now(), call.site.policy, ChannelId(channel_id)
    found = await call.see(
        of_devices(
            [channel],
            lambda tx: show_inventory(
                tx,
                channel,
                policy.inventory_interval,
                now,
                kind=asked.kind,
                changes=asked.changes,
                items=asked.items,
                others_every=policy.inventory_others_every,
            ),
        )
    )
    return nothing_known(found, "device", channel_id)


@dataclass(frozen=True, slots=True)
class InventoryQuestion:
    """What to ask. *kinds*: none for all that such a device can be asked."""

    kinds: tuple[InventoryKind, ...] = ()


@endpoint("POST", "/devices/{channel_id}/inventory", needs=Permission.WAKE, refuses=(404, 409))
async def ask_for_inventory(call: Call, channel_id: str, body: InventoryQuestion) -> AskedInventory:
    """Ask a device or a user's channel for its inventory now."""
    return await call.do(ask_now, InventoryOrder(ChannelId(channel_id), tuple(dict.fromkeys(body.kinds))))


@dataclass(frozen=True, slots=True)
class HistoryAsked:
    """Whether what is over is listed as well."""

    history: bool = False


@endpoint("GET", "/devices/{channel_id}/profiles", refuses=(404,))
async def list_channel_profiles(call: Call, channel_id: str, asked: HistoryAsked) -> tuple[ProfileRow, ...]:
    """List the profiles that Muster sent to a channel, and where each stands."""
    channel = ChannelId(channel_id)
    rows = await call.see(of_devices([channel], lambda tx: list_profiles(tx, channel, history=asked.history)))
    return nothing_known(rows, "device", channel_id)


@dataclass(frozen=True, slots=True)
class ProfileBody:
    """A profile to install. *is_secret*: it holds what nobody should read, and is kept sealed; *anyway*: although the
    device would refuse it, as far as is known."""

    mobileconfig: Annotated[str, Limits("The profile, signed or not, in base64.", 1, 15_000_000)]
    is_secret: bool = False
    anyway: bool = False


@endpoint(
    "POST",
    "/devices/{channel_id}/profiles",
    needs=Permission.COMMAND,
    refuses=(404, 409),
    gives=ProfileSent,
    is_once=True,
    maximum_bytes=MAXIMUM_FILE_BYTES,
)
async def install_profile(call: Call, channel_id: str, body: ProfileBody) -> Written:
    """Install a profile on a channel."""
    content = read_base64(body.mobileconfig, "body.mobileconfig")
    order = ProfileOrder((ChannelId(channel_id),), content, body.is_secret, body.anyway)
    return await call.do_once(install_profiles, order, lambda sent: sent)


@dataclass(frozen=True, slots=True)
class ProfileRemovalAsked:
    """How."""

    anyway: Annotated[bool, Limits("Also where it was not installed from here.")] = False


@endpoint("DELETE", "/devices/{channel_id}/profiles/{identifier}", needs=Permission.COMMAND, refuses=(404, 409, 422))
async def remove_profile(call: Call, channel_id: str, identifier: str, asked: ProfileRemovalAsked) -> QueuedCommand:
    """Remove a profile from a channel, by its PayloadIdentifier."""
    return await call.do(remove_profiles, ProfileRemovalOrder((ChannelId(channel_id),), identifier, asked.anyway))


# --- pushes -----------------------------------------------------------------------------------------------------------


@endpoint("GET", "/push")
async def get_push_status(call: Call) -> PushStatus:
    """Show how pushing stands, by topic: certificates, what waits, what APNs refuses."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: push_status(tx, now)))


@endpoint("GET", "/devices/{channel_id}/push", refuses=(404,))
async def explain_push(call: Call, channel_id: str) -> tuple[ChannelPushing, ...]:
    """Tell whether a channel is pushed, what keeps it from that, and what APNs answered."""
    now, channel = call.runner.now(), ChannelId(channel_id)
    found = await call.see(of_devices([channel], lambda tx: explain_pushing(tx, channel, now)))
    return nothing_known(found or None, "device", channel_id)


@endpoint("POST", "/devices/{channel_id}/push", needs=Permission.WAKE, refuses=(404, 409, 422), status=204)
async def push(call: Call, channel_id: str) -> None:
    """Push a channel, as soon as it may be."""
    await call.do(ask_for_push, ChannelId(channel_id))


# --- its queue --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PauseBody:
    """Why."""

    reason: Annotated[str, Limits("For those who wonder.", 1, 500)]


@endpoint("PUT", "/devices/{channel_id}/pause", needs=Permission.COMMAND, refuses=(404, 409))
async def pause_channel(call: Call, channel_id: str, body: PauseBody) -> Pause:
    """Hand out nothing but renewals on a channel, until it goes on."""
    return await call.do(pause_queues, PauseOrder(ChannelId(channel_id), body.reason.strip()))


@endpoint("DELETE", "/devices/{channel_id}/pause", needs=Permission.COMMAND, refuses=(404, 409))
async def resume_channel(call: Call, channel_id: str) -> Resumed:
    """Go on handing out commands on a channel."""
    return await call.do(resume_queues, ChannelId(channel_id))


ENDPOINTS = (
    get_inventory,
    ask_for_inventory,
    list_channel_profiles,
    install_profile,
    remove_profile,
    get_push_status,
    explain_push,
    push,
    pause_channel,
    resume_channel,
)
