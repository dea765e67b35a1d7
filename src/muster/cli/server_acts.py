"""What a server elsewhere is asked for each operation: by the operation's name, so that none is loaded for it."""

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from muster.cli.server_calls import at
from muster.edges.api.plist_values import to_json


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. *member*: where in the answer the outcome stands; absent: it is the answer. *renamed*: members of
    the outcome by what the answer calls them. *is_once*: its address takes an Idempotency-Key."""

    method: str
    path: str
    body: object = None
    member: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    is_once: bool = False


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _optional(content: bytes | None) -> str | None:
    return None if content is None else _base64(content)


def _cancel(order: Any) -> Asked:
    if order.command_uuid is None:
        return Asked("DELETE", at("devices", order.channel_ids[0], "commands"))
    if order.channel_ids:
        return Asked("POST", at("commands", order.command_uuid, "cancel"), {"ids": order.channel_ids})
    return Asked("DELETE", at("commands", order.command_uuid))


def _keys(request: Any) -> object:
    return to_json(request.keys)


def _to_ids(order: Any) -> Asked:
    body = {"request_type": order.request.request_type, "keys": _keys(order.request), "ids": order.channel_ids}
    return Asked("POST", "/commands", {**body, **_terms(order)}, is_once=True)


def to_found(order: Any) -> dict[str, object]:
    """Return the body of a command to everyone whom a query finds."""
    body = {"request_type": order.request.request_type, "keys": _keys(order.request), "where": order.query}
    return {**body, **_terms(order), "users": order.to_users}


def bulk_body(order: Any) -> dict[str, object]:
    """Return the body of what is done to everyone whom a query finds."""
    return {"kind": order.kind, "where": order.query, "group": order.group_name or None}


def _terms(order: Any) -> dict[str, object]:
    same = ("priority", "anyway", "named_count", "command_uuid", "after", "follows_any", "expires_at", "retries")
    return {name: getattr(order, name) for name in same}


def _install_profile(order: Any) -> Asked:
    body = {
        "mobileconfig": _base64(order.mobileconfig),
        "is_secret": order.is_secret,
        "anyway": order.anyway,
    }
    return Asked("POST", at("devices", order.channel_ids[0], "profiles"), body, is_once=True)


def _remove(order: Any, what: str) -> Asked:
    anyway = "?anyway=true" if order.anyway else ""
    return Asked("DELETE", at("devices", order.channel_ids[0], what, order.identifier) + anyway)


def _install_app(order: Any) -> Asked:
    is_package = order.request.request_type == "InstallEnterpriseApplication"
    body = {"keys": _keys(order.request), "is_package": is_package, "anyway": order.anyway}
    return Asked("POST", at("devices", order.channel_ids[0], "apps"), body, is_once=True)


def _change_secret(order: Any) -> Asked:
    named = ("act", "number", "subject", "account_guid", "anyway")
    body = {name: getattr(order, name) for name in named}
    return Asked("POST", at("devices", order.device_id, "secrets", order.kind.value, "change"), body)


def _make_administrator(order: Any) -> Asked:
    body = {name: getattr(order, name) for name in ("short_name", "full_name", "is_hidden", "anyway")}
    return Asked("POST", at("devices", order.device_id, "administrator"), body)


def _webhook(order: Any) -> Asked:
    named = ("name", "url", "event_types", "format", "allows_plain", "allows_private", "secret")
    return Asked("POST", "/webhooks", {name: getattr(order, name) for name in named})


def _policy(order: Any) -> Asked:
    # text is taken for text, and JSON for JSON, as beside the data
    value = order.text
    if value.lstrip().startswith(("{", "[", '"')):
        with suppress(ValueError):
            value = json.loads(value)
    return Asked("PUT", at("policies", order.name), {"value": value})


def _upload(uploaded: Any) -> Asked:
    key = None if uploaded.key is None else _base64(uploaded.key)
    body = {"certificate": _base64(uploaded.certificate), "key": key, "meant": uploaded.meant}
    return Asked("POST", "/push-certificates", body)


def _role(order: Any) -> Asked:
    return Asked("PUT", at("administrators", order.name, "access"), {"role": order.role, "groups": order.groups})


def _members(order: Any, act: str) -> Asked:
    return Asked("POST", at("groups", order.name, "members", act), {"ids": order.device_ids})


def _settle(verdict: Any) -> Asked:
    body = {"release": verdict.does_release, "command_uuid": verdict.command_uuid}
    return Asked("POST", "/held-commands/settle", body)


def _let_go(order: Any, act: str) -> Asked:
    body = {"ids": order.device_ids, "named_count": order.named_count}
    return Asked("POST", f"/leaving/{act}", body, renamed={"ids": "device_ids"})


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
    "queue_command.queue_commands": _to_ids,
    "act_by_query.order_bulk_acts": lambda order: Asked("POST", "/bulk-acts", bulk_body(order), is_once=True),
    "send_by_query.order_sends": lambda order: Asked("POST", "/commands", to_found(order), "send", is_once=True),
    "ask_for_push.ask_for_push": lambda channel: Asked("POST", at("devices", channel, "push")),
    # what is installed
    "install_profiles.install_profiles": _install_profile,
    "install_profiles.remove_profiles": lambda order: _remove(order, "profiles"),
    "install_apps.install_apps": _install_app,
    "install_apps.remove_apps": lambda order: _remove(order, "apps"),
    # secrets
    "rotate_secrets.change_secrets": _change_secret,
    "rotate_secrets.make_administrators": _make_administrator,
    "rotate_secrets.clear_passcodes": lambda device: Asked("POST", at("devices", device, "clear-passcode")),
    # others are told
    "manage_webhooks.add_webhooks": _webhook,
    "manage_webhooks.rotate_secrets": lambda name: Asked("POST", at("webhooks", name, "secret")),
    "manage_webhooks.set_webhook_states": lambda one: Asked(
        "PUT", at("webhooks", one.name, "state"), {"state": one.state}
    ),
    "manage_webhooks.remove_webhooks": lambda name: Asked("DELETE", at("webhooks", name)),
    "manage_webhooks.try_webhooks": lambda name: Asked("POST", at("webhooks", name, "test")),
    "manage_webhooks.replay_deliveries": lambda one: Asked(
        "POST", at("webhooks", one.name, "replay"), {"since": one.since, "event_id": one.event_id}
    ),
    # what holds for everybody
    "set_policy.set_policies": _policy,
    "set_control_policies.order_control_policies": lambda names: Asked(
        "PUT", "/control-policies/order", {"groups": list(names)}
    ),
    "upload_push_certificate.upload_push_certificates": _upload,
    "enrollment_links.revoke_links": lambda link: Asked("DELETE", at("links", link)),
    "upload_vendor_certificate.upload_vendor_certificates": lambda one: Asked(
        "POST",
        "/push-certificates/vendor",
        {name: _optional(getattr(one, name)) for name in ("certificate", "key", "chain")},
    ),
    "manage_witnesses.add_witnesses": lambda one: Asked("POST", "/witnesses", {"name": one.name, "kind": one.kind}),
    "manage_witnesses.rotate_witnesses": lambda name: Asked("POST", at("witnesses", name, "token")),
    "manage_witnesses.remove_witnesses": lambda name: Asked("DELETE", at("witnesses", name)),
    "manage_signals.add_receivers": lambda one: Asked(
        "POST",
        "/signals/receivers",
        {"name": one.name, "audience": one.audience, "allows_private": one.allows_private},
    ),
    "manage_signals.rotate_receivers": lambda name: Asked("POST", at("signals", "receivers", name, "token")),
    "manage_signals.remove_receivers": lambda name: Asked("DELETE", at("signals", "receivers", name)),
    "manage_signals.turn_streams": lambda one: Asked(
        "PUT", at("signals", "receivers", one.name, "stream"), {"state": one.state, "reason": one.reason}
    ),
    "return_to_service.set_return_policies": lambda one: Asked(
        "PUT",
        "/return-to-service",
        {
            "device_id": one.device_id,
            "is_enabled": one.is_enabled,
            "wifi_profile": _optional(one.wifi_profile),
        },
    ),
    "return_to_service.return_devices": lambda one: Asked(
        "POST",
        at("devices", one.device_id, "return-to-service"),
        {"wifi_profile": _optional(one.wifi_profile), "named_count": one.named_count},
    ),
    # people
    "enrollment_users.add_enrollment_users": lambda one: Asked(
        "POST", "/enrollment-users", {"user_name": one.user_name, "password": one.password}
    ),
    "enrollment_users.set_passwords": lambda one: Asked(
        "PUT", at("enrollment-users", one.user_name, "password"), {"password": one.password}
    ),
    "enrollment_users.disable_users": lambda name: Asked("DELETE", at("enrollment-users", name)),
    "manage_tokens.revoke_tokens": lambda name: Asked("DELETE", at("tokens", name)),
    "set_roles.set_roles": _role,
    "set_roles.set_access": lambda one: Asked(
        "PUT", at("administrators", one.name, "access"), {"is_disabled": one.is_disabled}
    ),
    "set_up_sign_in.reset_ways": lambda name: Asked("DELETE", at("administrators", name, "ways")),
    "end_sessions.end_sessions": lambda name: Asked("DELETE", at("administrators", name, "sessions")),
}

ACTS: Final[Mapping[str, Callable[[Any], Asked]]] = MappingProxyType(_ACTS)
"""By the names of the operation's module and of itself; each makes the request of an item."""
