"""Values of property lists as JSON has them: data and dates are objects of one member, `$data` and `$date`."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime

from muster.edges.api.plist_values import DATA, DATE
from muster.edges.api.problems import FaultyMember, malformed
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue, write_plist


def read_request(request_type: str, keys: Mapping[str, object]) -> CommandRequest:
    """Make a command of its keys in JSON. Raises Problem for what no property list can hold."""
    request = CommandRequest(request_type, {key: _read(one, f"body.keys.{key[:100]}") for key, one in keys.items()})
    if "RequestType" in keys:
        raise malformed(FaultyMember("body.keys.RequestType", "it stands in request_type"))
    try:
        write_plist(request.keys)
    except (ValueError, OverflowError) as error:
        raise malformed(FaultyMember("body.keys", f"no property list holds it: {error}")) from error
    return request


def _read(value: object, path: str) -> PlistValue:
    if isinstance(value, dict):
        if value.keys() == {DATA}:
            return _data(value[DATA], path)
        if value.keys() == {DATE}:
            return _date(value[DATE], path)
        return {key: _read(one, f"{path}.{key[:100]}") for key, one in value.items()}
    if isinstance(value, list):
        return [_read(one, f"{path}[{index}]") for index, one in enumerate(value)]
    if isinstance(value, str | int | float):
        return value
    raise malformed(FaultyMember(path, "property lists have no null"))


def _data(value: object, path: str) -> bytes:
    return read_base64(value if isinstance(value, str) else "?", path)


def read_base64(text: str, path: str) -> bytes:
    """Read what stands at *path* in base64 (RFC 4648, 4). Raises Problem where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise malformed(FaultyMember(path, "it is no base64")) from error


def _date(value: object, path: str) -> datetime:
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise malformed(FaultyMember(path, f"{DATE} holds no time with an offset"))
