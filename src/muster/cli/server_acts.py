"""What a server elsewhere is asked for each operation: by the operation's name, so that none is loaded for it."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from muster.cli.server_calls import at


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. *asked*: its parameters."""

    method: str
    path: str
    body: object = None
    asked: Mapping[str, object] = field(default_factory=dict)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _cancel(order: Any) -> Asked:
    if order.command_uuid is None:
        return Asked("DELETE", at("devices", order.channel_ids[0], "commands"))
    if order.channel_ids:
        return Asked("POST", at("commands", order.command_uuid, "cancel"), {"ids": order.channel_ids})
    return Asked("DELETE", at("commands", order.command_uuid))


def _members(order: Any, act: str) -> Asked:
    return Asked("POST", at("groups", order.name, "members", act), {"ids": order.device_ids})


def _settle(verdict: Any) -> Asked:
    body = {"release": verdict.does_release, "command_uuid": verdict.command_uuid}
    return Asked("POST", "/held-commands/settle", body)


def _let_go(order: Any, act: str) -> Asked:
    return Asked("POST", f"/leaving/{act}", {"ids": order.device_ids, "named_count": order.named_count})


_ACTS: dict[str, Callable[[Any], Asked]] = {
    # groups
    "manage_groups.create_groups": lambda one: Asked("POST", "/groups", {"name": one.name, "where": one.query}),
    "manage_groups.change_queries": lambda one: Asked("PUT", at("groups", one.name, "query"), {"where": one.query}),
    "manage_groups.rename_groups": lambda one: Asked("PUT", at("groups", one.name, "name"), {"name": one.new_name}),
    "manage_groups.delete_groups": lambda name: Asked("DELETE", at("groups", name)),
    "manage_groups.add_members": lambda one: _members(one, "add"),
    "manage_groups.remove_members": lambda one: _members(one, "remove"),
    # devices
    "ask_for_renewals.ask_for_renewals": lambda device: Asked("POST", at("devices", device, "renewal")),
    "ask_for_inventory.ask_now": lambda one: Asked(
        "POST", at("devices", one.channel_id, "inventory"), {"kinds": one.kinds}
    ),
    "let_go.unenroll_devices": lambda one: _let_go(one, "unenroll"),
    "let_go.reject_devices": lambda one: _let_go(one, "reject"),
    "let_go.withdraw_rejections": lambda one: _let_go(one, "withdraw"),
    # commands
    "cancel_commands.cancel_commands": _cancel,
    "release_commands.settle_held_commands": _settle,
    "pause_queues.pause_queues": lambda one: Asked(
        "PUT", at("devices", one.channel_id, "pause"), {"reason": one.reason}
    ),
    "pause_queues.resume_queues": lambda channel: Asked("DELETE", at("devices", channel, "pause")),
}

ACTS: Final[Mapping[str, Callable[[Any], Asked]]] = MappingProxyType(_ACTS)
"""By the names of the operation's module and of itself; each makes the request of an item."""
