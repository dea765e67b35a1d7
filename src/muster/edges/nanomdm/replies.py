"""What programs are answered: JSON as Go's encoder writes it, byte for byte, and errors as its `http.Error` does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

REALM: Final = "nanomdm"
_ESCAPED: Final = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
"""As Go escapes them, so that JSON may stand in HTML. None of them stands outside of strings."""


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """What came of one id. Each is left out where it is empty."""

    push_error: str = ""
    push_result: str = ""
    """The push's apns-id."""
    command_error: str = ""

    @property
    def is_failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.push_error or self.command_error)


@dataclass(frozen=True, slots=True)
class ApiResult:
    """What came of a command or a push, in the order in which its members are written. *ids*: how many were named."""

    ids: int
    status: Mapping[str, ChannelStatus] = field(default_factory=dict)
    no_push: bool = False
    push_error: str = ""
    command_error: str = ""
    command_uuid: str = ""
    request_type: str = ""

    @property
    def http_status(self) -> int:
        """200 without errors, 207 where some ids failed, 500 where all did or nothing was done."""
        if self.push_error or self.command_error:
            return 500
        failed = sum(one.is_failed for one in self.status.values())
        if failed == 0:
            return 200
        return 207 if failed < self.ids else 500


def api_result(result: ApiResult) -> Response:
    """Answer with what came of a command or a push; the ids in the order of their characters, as Go sorts them."""
    status = {one: _present(_members(result.status[one])) for one in sorted(result.status, key=str.encode)}
    members = {
        "status": status,
        "no_push": result.no_push,
        "push_error": result.push_error,
        "command_error": result.command_error,
        "command_uuid": result.command_uuid,
        "request_type": result.request_type,
    }
    return as_json(_present(members), result.http_status)


def as_json(members: Mapping[str, object], status: int = 200) -> Response:
    """Answer in JSON, indented by tabs, with a line's end."""
    text = json.dumps(members, indent="\t", ensure_ascii=False) + "\n"
    content = text.translate(_ESCAPED).encode("utf-8", "replace")
    return Response(content, status, {"Content-Type": "application/json"})


def json_error(message: str, status: int = 500) -> Response:
    """Answer with an error of a door that has no ids."""
    return as_json({"error": message}, status)


def text_error(status: HTTPStatus, text: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a line of text, by default the status's own words."""
    sent = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(f"{text or status.phrase}\n", status, sent)


def unauthorized() -> Response:
    """Ask who it is."""
    return text_error(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": f'Basic realm="{REALM}"'})


def _members(status: ChannelStatus) -> dict[str, object]:
    return {
        "push_error": status.push_error,
        "push_result": status.push_result,
        "command_error": status.command_error,
    }


def _present(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value}
