"""What is done to bring devices back under control, and a person's part in it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from muster.domain.control.recovery import StepKind
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.operations.context import Reading
from muster.operations.permit import of_devices, of_fleet
from muster.operations.recover_by_hand import (
    LONGEST_REST,
    ConfirmOrder,
    DoneNow,
    PutOffOrder,
    confirm_steps,
    put_off_recoveries,
    recover_now,
    stop_recoveries,
)
from muster.operations.views.recoveries import (
    Recovering,
    RecoveryDone,
    RecoveryRow,
    list_recoveries,
    show_recovery,
    told_as_done,
)
from muster.protocol.identifiers import ChannelId


@endpoint("GET", "/recoveries")
async def list_open_recoveries(call: Call) -> tuple[RecoveryRow, ...]:
    """List what is being done for the whole fleet, the oldest first."""
    return await call.see(of_fleet(list_recoveries))


@endpoint("GET", "/devices/{channel_id}/recovery", refuses=(404,))
async def show_channel_recovery(call: Call, channel_id: str) -> Recovering:
    """Show what was found, what was done to bring the channel back, and, in `plan`, what would be done next and when.

    `confirmable` are the steps that need a person's go-ahead.
    """
    channel, reading = ChannelId(channel_id), Reading(call.runner.now(), call.site.policy)
    found = await call.see(of_devices([channel], lambda tx: show_recovery(tx, channel, reading)))
    return nothing_known(found, "device", channel_id)


def _told(call: Call, done: DoneNow) -> RecoveryDone:
    return told_as_done(done, call.site.public_url)


@endpoint("POST", "/devices/{channel_id}/recovery/now", needs=Permission.WAKE, refuses=(404, 409, 422))
async def recover_channel_now(call: Call, channel_id: str) -> RecoveryDone:
    """Do the next step now, whenever it is due."""
    return _told(call, await call.do(recover_now, ChannelId(channel_id)))


@endpoint("POST", "/devices/{channel_id}/recovery/stop", needs=Permission.COMMAND, refuses=(404, 409, 422))
async def stop_channel_recovery(call: Call, channel_id: str) -> RecoveryDone:
    """Do nothing more about what is found now."""
    return _told(call, await call.do(stop_recoveries, ChannelId(channel_id)))


@dataclass(frozen=True, slots=True)
class Rest:
    """For how long no step is to be done."""

    rest_seconds: Annotated[int, Limits("Thirty days at most.", 1, int(LONGEST_REST.total_seconds()))]


@endpoint("POST", "/devices/{channel_id}/recovery/put-off", needs=Permission.COMMAND, refuses=(404, 409, 422))
async def put_off_channel_recovery(call: Call, channel_id: str, body: Rest) -> RecoveryDone:
    """Do nothing for a while about what is found now; it goes on by itself afterwards.

    A device that comes back meanwhile proves itself all the same, and a step that is done now ends the rest.
    """
    order = PutOffOrder(ChannelId(channel_id), timedelta(seconds=body.rest_seconds))
    return _told(call, await call.do(put_off_recoveries, order))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The step that somebody wants to be done, one of `confirmable`."""

    step: StepKind


@endpoint("POST", "/devices/{channel_id}/recovery/confirm", needs=Permission.COMMAND, refuses=(404, 409))
async def confirm_recovery_step(call: Call, channel_id: str, body: Confirmation) -> RecoveryDone:
    """Do a step that needs a person's go-ahead."""
    return _told(call, await call.do(confirm_steps, ConfirmOrder(ChannelId(channel_id), body.step)))


ENDPOINTS = (
    list_open_recoveries,
    show_channel_recovery,
    recover_channel_now,
    stop_channel_recovery,
    put_off_channel_recovery,
    confirm_recovery_step,
)
