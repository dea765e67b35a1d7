"""What a device reports of itself by declarative management, as far as it tells about its enrollment.

Sources: Apple, "StatusReport", "TokensResponse", "DeclarationItemsResponse"; the status items `mdm.push-token`,
`mdm.push-magic`, `mdm.enrollment-type` and `mdm.is-awaiting-configuration`, which devices tell from OS 27 on.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from muster.protocol.errors import MalformedMessage

MAX_STATUS_BYTES: Final = 4 * 1024 * 1024
"""Of a report: full ones list every app and certificate, and have some hundred kilobytes."""

MAX_VALUE_CHARACTERS: Final = 1024
"""Of a value that is looked at: a push token has 44 in base64 today."""

NO_DECLARATIONS: Final = "none"
"""The synchronization token of an empty set."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What a report tells of the enrollment; None: nothing, which is no change unless it *is_full*.

    *items* counts the status items at the top, *errors* those that the device could not tell.
    """

    items: int
    errors: int
    is_full: bool = False
    push_token: bytes | None = None
    push_magic: str | None = None
    enrollment_type: str | None = None
    is_awaiting_configuration: bool | None = None


def read_status_report(data: bytes) -> StatusReport:
    """Read a report. Raises MalformedMessage when *data* is no JSON object of MAX_STATUS_BYTES at most, when a part
    that Apple requires is of another type, and when an item that is looked at is.

    Not checked: items that are not looked at.
    """
    if len(data) > MAX_STATUS_BYTES:
        raise MalformedMessage(f"the status report is larger than {MAX_STATUS_BYTES} bytes")
    try:
        report: Any = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the status report is not JSON") from error
    items = _object(report, "the status report").get("StatusItems", {})
    errors = _object(report, "the status report").get("Errors", [])
    if not isinstance(errors, list):
        raise MalformedMessage("Errors is not an array")
    told = _object(_object(items, "StatusItems").get("mdm", {}), "mdm")
    is_awaiting = told.get("is-awaiting-configuration")
    if is_awaiting is not None and not isinstance(is_awaiting, bool):
        raise MalformedMessage("mdm.is-awaiting-configuration is not a boolean")
    return StatusReport(
        items=len(items),
        errors=len(errors),
        is_full=report.get("FullReport") is True,
        push_token=_data(told, "push-token"),
        push_magic=_text(told, "push-magic"),
        enrollment_type=_text(told, "enrollment-type"),
        is_awaiting_configuration=is_awaiting,
    )


def empty_tokens_reply(at: datetime) -> bytes:
    """Return the answer to `tokens` of a channel that has no declarations. *at* is aware UTC."""
    tokens = {"DeclarationsToken": NO_DECLARATIONS, "Timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
    return json.dumps({"SyncTokens": tokens}).encode()


def empty_items_reply() -> bytes:
    """Return the answer to `declaration-items` of a channel that has no declarations."""
    nothing: dict[str, list[str]] = {kind: [] for kind in ("Activations", "Assets", "Configurations", "Management")}
    return json.dumps({"Declarations": nothing, "DeclarationsToken": NO_DECLARATIONS}).encode()


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedMessage(f"{name} is not an object")
    return value


def _text(told: dict[str, Any], key: str) -> str | None:
    value = told.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_VALUE_CHARACTERS:
        raise MalformedMessage(f"mdm.{key} is not a string of at most {MAX_VALUE_CHARACTERS} characters")
    if "\0" in value:
        raise MalformedMessage(f"mdm.{key} holds a NUL")
    return value


def _data(told: dict[str, Any], key: str) -> bytes | None:
    """Read data, which JSON carries in base64."""
    text = _text(told, key)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedMessage(f"mdm.{key} is not base64") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
