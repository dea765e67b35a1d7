"""Return to Service: whether devices that are erased enroll by themselves again."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.edges.api.property_values import read_base64
from muster.operations.permit import of_fleet
from muster.operations.queue_command import QueuedCommand
from muster.operations.return_to_service import ReturnOrder, ReturnPolicyOrder, return_devices, set_return_policies
from muster.operations.views.returning import ReturnRow, list_returning
from muster.protocol.identifiers import DeviceId

WifiProfile = Annotated[str | None, Limits("A profile for the Wi-Fi by which they come back, in base64.", 1, 1_500_000)]


@endpoint("GET", "/return-to-service")
async def list_return_policies(call: Call) -> tuple[ReturnRow, ...]:
    """List what was set. Wi-Fi profiles hold passwords and are not shown."""
    return await call.see(of_fleet(list_returning))


@dataclass(frozen=True, slots=True)
class ReturnPolicyBody:
    """Whether a device that is erased by hand enrolls by itself again. *device_id*: null for all that have nothing of
    their own set."""

    is_enabled: bool
    device_id: Annotated[str | None, Limits("A device's id.", 1, 512, is_plain=True)] = None
    wifi_profile: WifiProfile = None


@endpoint("PUT", "/return-to-service", needs=Permission.ENROLL, refuses=(404, 409), status=204)
async def set_return_policy(call: Call, body: ReturnPolicyBody) -> None:
    """Say whether devices that are erased by hand enroll by themselves again."""
    device = None if body.device_id is None else DeviceId(body.device_id)
    await call.do(set_return_policies, ReturnPolicyOrder(device, body.is_enabled, _content(body.wifi_profile)))


@dataclass(frozen=True, slots=True)
class ReturnBody:
    """How. *named_count*: 1, to erase it though the hour's limit on disruptions is reached."""

    wifi_profile: WifiProfile = None
    named_count: Annotated[int | None, Limits("", 1, 1)] = None


@endpoint("POST", "/devices/{device_id}/return-to-service", needs=Permission.ERASE, refuses=(404, 409))
async def return_device(call: Call, device_id: str, body: ReturnBody) -> QueuedCommand:
    """Erase a device, everything on it, and have it enroll by itself again."""
    order = ReturnOrder(DeviceId(device_id), _content(body.wifi_profile), body.named_count)
    return await call.do(return_devices, order)


def _content(text: str | None) -> bytes | None:
    return None if text is None else read_base64(text, "body.wifi_profile")


ENDPOINTS = (list_return_policies, set_return_policy, return_device)
