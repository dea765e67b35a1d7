"""The apps that we had a channel or a device install, and where each stands."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from muster.domain.inventory.kinds import InventoryKind
from muster.domain.managed_apps import AppState, ManagedApp
from muster.protocol.identifiers import ChannelId
from muster.storage import inventory, managed_apps
from muster.storage.engine import Transaction
from muster.storage.schema import channels

_OVER = frozenset({AppState.REPLACED, AppState.REMOVED})


def list_apps(tx: Transaction, channel_id: ChannelId, *, history: bool = False) -> tuple[ManagedApp, ...] | None:
    """List the orders on one channel in the life of the device that is now, the latest first; None when there is no
    such channel. *history*: with what was asked for again, or removed."""
    rows = tx.connection.execute(sa.select(channels.c.id, channels.c.epoch).where(channels.c.id == channel_id)).all()
    return _standing(tx, rows, history=history) if rows else None


def versions_of(tx: Transaction, channel_id: ChannelId, identifiers: Collection[str]) -> dict[str, str]:
    """Tell which versions of apps a channel's list of applications has; what it does not list is absent.

    A Mac that has one in several places tells the version of the first.
    """
    listed = inventory.items_of(tx, channel_id, InventoryKind.INSTALLED_APPLICATION_LIST, identifiers)
    return {identifier: one.version for identifier, one in listed.items() if one.version is not None}


def apps_of_device(tx: Transaction, device_id: ChannelId) -> tuple[ManagedApp, ...]:
    """List what stands on any channel of a device; none when the device is not known."""
    of_device = sa.select(channels.c.id, channels.c.epoch).where(channels.c.device_id == device_id)
    return _standing(tx, tx.connection.execute(of_device.order_by(channels.c.id)).all(), history=False)


def _standing(tx: Transaction, rows: Sequence[Any], *, history: bool) -> tuple[ManagedApp, ...]:
    found = [app for row in rows for app in managed_apps.of_channel(tx, ChannelId(row.id), row.epoch)]
    return tuple(one for one in found if history or one.state not in _OVER)


@dataclass(frozen=True, slots=True)
class AppRow(ManagedApp):
    """An order to install an app, and which *version* the device lists; absent where it lists none."""

    version: str | None = None


def list_apps_with_versions(
    tx: Transaction, channel_id: ChannelId, *, history: bool = False
) -> tuple[AppRow, ...] | None:
    """List the orders on one channel as `list_apps` does, each with the version that the device lists."""
    found = list_apps(tx, channel_id, history=history)
    if found is None:
        return None
    versions = versions_of(tx, channel_id, {one.identifier for one in found if one.identifier is not None})
    return tuple(AppRow(**asdict(one), version=versions.get(one.identifier or "")) for one in found)
