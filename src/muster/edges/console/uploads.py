"""Forms with files: read within bounds, as browsers send them (RFC 7578), and held against their token."""

import hmac
import re
from typing import Final

from starlette.requests import Request

from muster.domain.errors import Refusal, RefusalCode
from muster.edges.console.forms import MAXIMUM_FIELDS, TOKEN_FIELD, BadForm, Form, form_token, read_body

MAXIMUM_BYTES: Final = 512 * 1024
"""Of a form with files: certificates with their chains have some kilobytes."""
MAXIMUM_HEAD: Final = 4096
"""Of what stands before a part."""
_BOUNDARY: Final = re.compile(
    r'multipart/form-data\s*;.*?boundary=(?:"([^"]{1,70})"|([0-9A-Za-z\'()+_,./:=?-]{1,70}))', re.IGNORECASE | re.ASCII
)
"""A boundary has 1 to 70 characters (RFC 2046, 5.1.1)."""
_DISPOSITION: Final = re.compile(
    r'^content-disposition:\s*form-data;\s*name="([^"\r\n]*)"(;\s*filename="([^"\r\n]*)")?',
    re.IGNORECASE | re.MULTILINE,
)
"""As all browsers write it: names in double quotes, in which they escape quotes and line ends (WHATWG, HTML)."""


async def read_upload(request: Request, session_token: str) -> tuple[Form, dict[str, bytes]]:
    """Read the fields and the files of a form; a file input that was left empty is absent. Raises BadForm."""
    body = await read_body(request, MAXIMUM_BYTES)
    try:
        fields, files = split_parts(request.headers.get("content-type", ""), body)
    except ValueError as error:
        raise BadForm(Refusal(RefusalCode.BODY_MALFORMED, "this is not what a form of the console sends")) from error
    form = Form(fields)
    if not hmac.compare_digest(form_token(session_token).encode(), form[TOKEN_FIELD].encode()):
        raise BadForm(
            Refusal(
                RefusalCode.BODY_MALFORMED,
                "this form was made in another session",
                "Open the page again, and send the form from there.",
            )
        )
    return form, files


def split_parts(content_type: str, body: bytes) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """Split a body of multipart/form-data into fields and files, those of no name and no octet left out.

    Raises ValueError for what is none, for parts without a name, text that isn't UTF-8, and more than MAXIMUM_FIELDS.
    """
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise ValueError("it is no multipart/form-data with a boundary")
    boundary = b"\r\n--" + (found[1] or found[2]).encode()
    opening, *parts = (b"\r\n" + body).split(boundary, MAXIMUM_FIELDS + 2)
    if opening or not parts or len(parts) > MAXIMUM_FIELDS + 1 or not parts[-1].startswith(b"--"):
        raise ValueError("it doesn't begin and end with its boundary")
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for part in parts[:-1]:
        head, separator, content = part.partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head.decode().strip()) if len(head) <= MAXIMUM_HEAD else None
        if not separator or disposition is None:
            raise ValueError("a part has no name")
        if disposition[2] is None:
            fields.append((disposition[1], content.decode()))
        elif disposition[3] or content:
            files[disposition[1]] = content
    return fields, files
