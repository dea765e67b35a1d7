"""The body of a 403 by which a server tells a device, in Apple's codes, why it does not get what it asked for.

Who may be told what is decided elsewhere. One of the codes makes an enrolled device leave: `unrecognized_device`.

Sources: Apple's device management schema, errors "softwareupdate.required", "unrecognized.device" and
"well-known.failed".
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import optional_dictionary, optional_text, present, required_text
from muster.protocol.plist import PlistValue, read_plist, write_plist

JSON_MEDIA_TYPE: Final = "application/json"
PLIST_MEDIA_TYPE: Final = "application/xml"
"""One of the two must be the reply's Content-Type, else devices do not read its body."""

SOFTWARE_UPDATE_REQUIRED: Final = "com.apple.softwareupdate.required"
UNRECOGNIZED_DEVICE: Final = "com.apple.unrecognized.device"
WELL_KNOWN_FAILED: Final = "com.apple.well-known.failed"

MAX_ERROR_BYTES: Final = 64 * 1024
"""Of a reply that is read; the largest of Apple's carries a few certificates."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """Why. description: for the device's log. message: for its user. details: what *code* defines; None = nothing."""

    code: str
    description: str | None = None
    message: str | None = None
    details: Mapping[str, PlistValue] | None = None


def software_update_required(
    os_version: str, build_version: str | None = None, *, description: str | None = None, message: str | None = None
) -> ErrorReply:
    """Update to *os_version* ("17.4") first; the device does it in Setup Assistant and then asks again.

    *build_version* ("21E219") picks a build where a version has several. Only for devices whose MachineInfo says
    `can_request_software_update`: others take it for a failure.
    """
    details = present({"OSVersion": os_version, "BuildVersion": build_version})
    return ErrorReply(SOFTWARE_UPDATE_REQUIRED, description, message, details)


def unrecognized_device(*, description: str | None = None, message: str | None = None) -> ErrorReply:
    """This server does not know the device. It does not enroll; and if it IS enrolled, it REMOVES ITS MANAGEMENT."""
    return ErrorReply(UNRECOGNIZED_DEVICE, description, message)


def well_known_failed(*, description: str | None = None, message: str | None = None) -> ErrorReply:
    """The user may not enroll by account: the answer to service discovery. *message* is shown to the user."""
    return ErrorReply(WELL_KNOWN_FAILED, description, message)


def encode_error_json(reply: ErrorReply) -> bytes:
    """*reply* as JSON; data in the details becomes base64. Dates have no form there: they are a ValueError."""
    return json.dumps(_jsonable(_keys(reply)), ensure_ascii=False, allow_nan=False).encode()


def encode_error_plist(reply: ErrorReply) -> bytes:
    """*reply* as an XML property list."""
    return write_plist(_keys(reply))


def decode_error(media_type: str, body: bytes) -> ErrorReply | None:
    """The error in the *body* of a 403, for simulated devices. None when it is none that a device would read.

    That is: when *media_type* (parameters are passed over) is neither JSON nor XML, or the body is not of that form,
    is longer than 64 KiB, or has no code. Never raises.
    """
    match media_type.partition(";")[0].strip().lower():
        case "application/json":
            is_json = True
        case "application/xml" | "text/xml":
            is_json = False
        case _:
            return None
    if len(body) > MAX_ERROR_BYTES:
        return None
    try:
        keys = _read_json(body) if is_json else read_plist(body)
        return ErrorReply(
            code=required_text(keys, "code"),
            description=optional_text(keys, "description"),
            message=optional_text(keys, "message"),
            details=optional_dictionary(keys, "details"),
        )
    except MalformedMessage:
        return None


def _keys(reply: ErrorReply) -> dict[str, PlistValue]:
    return present(
        {
            "code": reply.code,
            "description": reply.description,
            "message": reply.message,
            "details": None if reply.details is None else dict(reply.details),
        }
    )


def _jsonable(value: PlistValue) -> PlistValue:
    match value:
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case datetime():
            raise ValueError("JSON has no dates")
        case dict():
            return {key: _jsonable(item) for key, item in value.items()}
        case list():
            return [_jsonable(item) for item in value]
        case _:
            return value


def _read_json(body: bytes) -> dict[str, PlistValue]:
    try:
        value: PlistValue = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedMessage("not JSON") from None
    if not isinstance(value, dict):
        raise MalformedMessage("the root of the JSON is not an object")
    return value
