"""Apps: installed, and removed with their data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, Written, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.edges.api.property_values import read_request
from muster.edges.api.resources.channels import HistoryAsked
from muster.operations.install_apps import AppOrder, AppRemovalOrder, install_apps, remove_apps
from muster.operations.permit import of_devices
from muster.operations.queue_command import QueuedCommand
from muster.operations.views.apps import AppRow, list_apps_with_versions
from muster.protocol.identifiers import ChannelId


@endpoint("GET", "/devices/{channel_id}/apps", refuses=(404,))
async def list_channel_apps(call: Call, channel_id: str, asked: HistoryAsked) -> tuple[AppRow, ...]:
    """List the apps that Muster installs on a channel, and how far each is."""
    channel = ChannelId(channel_id)
    rows = await call.see(of_devices([channel], lambda tx: list_apps_with_versions(tx, channel, history=asked.history)))
    return nothing_known(rows, "device", channel_id)


@dataclass(frozen=True, slots=True)
class AppBody:
    """An app to install.

    *keys*: those of Apple's command, such as {"iTunesStoreID": 409183694}; *is_package*: it is sent as
    InstallEnterpriseApplication, else as InstallApplication.
    """

    keys: Mapping[str, object]
    is_package: bool = False
    anyway: bool = False


@endpoint(
    "POST",
    "/devices/{channel_id}/apps",
    needs=Permission.COMMAND,
    refuses=(404, 409),
    gives=QueuedCommand,
    is_once=True,
)
async def install_app(call: Call, channel_id: str, body: AppBody) -> Written:
    """Install an app on a channel; it is asked for until it is there."""
    request = read_request("InstallEnterpriseApplication" if body.is_package else "InstallApplication", body.keys)
    order = AppOrder((ChannelId(channel_id),), request, body.anyway)
    return await call.do_once(install_apps, order, lambda queued: queued)


@dataclass(frozen=True, slots=True)
class RemovalAsked:
    """How."""

    anyway: Annotated[bool, Limits("Also where it was not installed from here.")] = False


@endpoint("DELETE", "/devices/{channel_id}/apps/{identifier}", needs=Permission.COMMAND, refuses=(404, 409, 422))
async def remove_app(call: Call, channel_id: str, identifier: str, asked: RemovalAsked) -> QueuedCommand:
    """Remove a managed app, with its data."""
    return await call.do(remove_apps, AppRemovalOrder((ChannelId(channel_id),), identifier, asked.anyway))


ENDPOINTS = (list_channel_apps, install_app, remove_app)
