"""What devices say, written as MicroMDM's and NanoMDM's webhooks write it: compact JSON as Go's encoder makes it.

Members stand in the order of their names, and those that are empty are left out. What is needed for it is kept flat
beside the event, the message itself in base64.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from muster.domain.events import Detail, MessageTopic
from muster.protocol.identifiers import Channel, Identifiers

CONTENT_TYPE: Final = "application/json; charset=utf-8"
RAW_PAYLOAD: Final = "raw_payload"
"""The message as it came, base64."""
MAXIMUM_PARAMETERS: Final = 20
"""Of the address that a device was given; there are none or few."""

_ESCAPED: Final = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
_PARAMETER: Final = "url_params."


def message_detail(
    channel: Channel,
    identifiers: Identifiers,
    *,
    status: str | None = None,
    command_uuid: str | None = None,
    tally: int | None = None,
    parameters: Mapping[str, str],
) -> dict[str, str | int | bool | None]:
    """Make what is kept beside a message: who speaks, and what of it the body repeats; absent: it is left out."""
    detail: dict[str, str | int | bool | None] = {
        "id": channel.id,
        "parent_id": None if channel.is_device else channel.device_id,
        "kind": channel.kind.value,
        "udid": identifiers.udid,
        "enrollment_id": identifiers.enrollment_id,
        "status": status,
        "command_uuid": command_uuid,
        "token_update_tally": tally,
    }
    kept: dict[str, str | int | bool | None] = {name: value for name, value in detail.items() if value is not None}
    for name, text in list(parameters.items())[:MAXIMUM_PARAMETERS]:
        kept[f"{_PARAMETER}{name}"] = text
    return kept


def message_body(topic: str, event_id: str, at: datetime, detail: Detail) -> tuple[str, bytes]:
    """Write the body of a request, with its content type. What is no message has a topic, and nothing in it."""
    written: dict[str, object] = {"created_at": _rfc3339_nano(at), "event_id": event_id, "topic": topic}
    if topic == MessageTopic.CONNECT:
        written["acknowledge_event"] = _acknowledge_event(detail)
    elif topic in tuple(MessageTopic):
        written["checkin_event"] = _checkin_event(detail)
    text = json.dumps(written, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return CONTENT_TYPE, text.translate(_ESCAPED).encode("utf-8", "replace")


def _checkin_event(detail: Detail) -> dict[str, object]:
    said = _of_both(detail)
    if detail.get("token_update_tally"):
        said["token_update_tally"] = detail["token_update_tally"]
    return said


def _acknowledge_event(detail: Detail) -> dict[str, object]:
    said = _of_both(detail) | {"status": detail.get("status") or ""}
    if detail.get("command_uuid"):
        said["command_uuid"] = detail["command_uuid"]
    return said


def _of_both(detail: Detail) -> dict[str, object]:
    ids: dict[str, object] = {"id": detail.get("id"), "parent_id": detail.get("parent_id"), "type": detail.get("kind")}
    parameters = {name[len(_PARAMETER) :]: value for name, value in detail.items() if name.startswith(_PARAMETER)}
    said: dict[str, object] = {
        "ids": {name: value for name, value in ids.items() if value},
        "udid": detail.get("udid"),
        "enrollment_id": detail.get("enrollment_id"),
        "url_params": parameters,
    }
    said = {name: value for name, value in said.items() if value}
    return {**said, RAW_PAYLOAD: detail.get(RAW_PAYLOAD) or ""}


def _rfc3339_nano(at: datetime) -> str:
    """Write *at* with as many digits of a second as it has."""
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
