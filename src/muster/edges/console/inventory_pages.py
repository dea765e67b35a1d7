"""The page with a channel's inventory: what it said of itself, how long ago, and how that changed."""

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.policy import Policy
from muster.edges.console.rendering import Renderer, device_url
from muster.edges.console.sessions import Sessions
from muster.edges.console.times import Clock
from muster.operations.permit import of_devices
from muster.operations.ports import Runner
from muster.operations.views.devices import show_device
from muster.operations.views.inventory import Inventory, show_inventory
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction

ITEMS_SHOWN = 500
"""Items of one list on the page; a developer's Mac has thousands of applications."""


@dataclass(frozen=True, slots=True)
class _Shown:
    name: str
    inventory: Inventory


class InventoryPages:
    """The pages about inventory, for those who are signed in."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions, policy: Policy) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._policy = policy

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (Route("/inventory/{channel_id:path}", self.page),)

    async def page(self, request: Request) -> Response:
        """Show a channel's inventory."""
        channel_id = ChannelId(request.path_params["channel_id"])
        now = self._runner.now()
        signed_in = await self._sessions.read(
            request,
            of_devices([channel_id, _device_of(channel_id)], lambda tx: _read(tx, channel_id, self._policy, now)),
        )
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        if signed_in.value is None:
            return self._renderer.error(
                404,
                "There is no such device",
                f"No device with the id {channel_id} ever spoke to this server.",
                "Search for it in the list of devices by its serial number or name.",
            )
        shown = signed_in.value
        context = {
            "banners": [],
            "clock": Clock(now),
            "name": shown.name,
            "device_url": device_url(_device_of(channel_id)),
            "sentence": _sentence(shown.inventory),
            "inventory": shown.inventory,
        }
        return self._renderer.page("inventory.html", context, administrator=signed_in.administrator)


def _device_of(channel_id: ChannelId) -> ChannelId:
    return ChannelId(channel_id.partition(":")[0])


def _read(tx: Transaction, channel_id: ChannelId, policy: Policy, now: datetime) -> _Shown | None:
    if not channel_id.isprintable():
        return None  # no id of ours has control characters, and PostgreSQL refuses NUL
    found = show_inventory(
        tx,
        channel_id,
        policy.inventory_interval,
        now,
        items=ITEMS_SHOWN,
        others_every=policy.inventory_others_every,
    )
    details = show_device(tx, _device_of(channel_id), now)
    if found is None or details is None:
        return None
    device = details.device
    return _Shown(device.name or device.serial_number or device.id, found)


def _sentence(inventory: Inventory) -> str:
    """Say how fresh it is as a whole."""
    if not inventory.kinds:
        return "It has told nothing of itself yet; it is asked once it is heard."
    stale = [kind.title.lower() for kind in inventory.kinds if kind.is_stale]
    if not stale:
        return "All of it is fresh."
    return f"Learned longer ago than it should be: {', '.join(stale)}."
