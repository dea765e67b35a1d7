"""Forms of our own pages: read within bounds, and held against a token that no other site can know.

Beside the look at where a request comes from (`sessions.SameOriginOnly`), each form of somebody who is signed in
carries a token made from the session's: whoever plants a request has neither.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from muster.domain.errors import Refusal, RefusalCode

MAXIMUM_BYTES: Final = 64 * 1024
"""Of most forms: a scope of many groups is a few thousand."""
MAXIMUM_FIELDS: Final = 200
BODY_SECONDS: Final = 60
"""For the body of a form: the largest, with files, over a slow line."""
TOKEN_FIELD: Final = "form_token"  # noqa: S105 - its name
"""The name of the hidden field."""


class BadForm(Exception):
    """The body is no form of ours, too long, or without its token."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Form:
    """What was typed: the last value of a name, empty where there is none; all of them, where there are several."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        """Return the last value of *name*, or nothing."""
        return next((value for each, value in reversed(self._fields) if each == name), "")

    def pairs(self, *, but: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return what was typed, name by name, without the fields *but*."""
        return tuple((name, value) for name, value in self._fields if name not in but)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of *name* that is not empty."""
        return tuple(value for each, value in self._fields if each == name and value)


async def read_form(request: Request, session_token: str | None = None, *, maximum_bytes: int = MAXIMUM_BYTES) -> Form:
    """Read the form that *request* brings; with *session_token*, it has to carry the token made from that.

    Raises BadForm.
    """
    body = await read_body(request, maximum_bytes)
    try:
        form = Form(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_FIELDS)
        )
    except ValueError as error:  # no ASCII, no UTF-8 behind the percent signs, too many fields
        raise BadForm(_UNREADABLE) from error
    if session_token is not None and not hmac.compare_digest(
        form_token(session_token).encode(), form[TOKEN_FIELD].encode()
    ):
        raise BadForm(_NO_TOKEN)
    return form


async def read_body(request: Request, maximum_bytes: int) -> bytes:
    """Read the whole body. Raises BadForm for one that is too long, or doesn't come: anybody may begin to send one."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > maximum_bytes:
                    raise BadForm(Refusal(RefusalCode.BODY_TOO_LARGE, f"this form has at most {maximum_bytes:,} bytes"))
    except (ClientDisconnect, TimeoutError) as error:
        raise BadForm(_UNFINISHED) from error
    return bytes(body)


def form_token(session_token: str) -> str:
    """Return the token that forms of this session carry; the session's own can't be told from it."""
    return hashlib.sha256(f"form {session_token}".encode()).hexdigest()


def hidden(session_token: str | None) -> Mapping[str, str]:
    """Return what templates put into the hidden field of their forms."""
    return {"name": TOKEN_FIELD, "value": "" if session_token is None else form_token(session_token)}


_UNREADABLE: Final = Refusal(RefusalCode.BODY_MALFORMED, "this is not what a form of the console sends")
_UNFINISHED: Final = Refusal(
    RefusalCode.BODY_MALFORMED, f"the form did not come to its end within {BODY_SECONDS} seconds", "Send it again."
)
_NO_TOKEN: Final = Refusal(
    RefusalCode.BODY_MALFORMED,
    "this form was made in another session",
    "Open the page again, and send the form from there.",
)
