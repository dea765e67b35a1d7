"""What browsers send: cookies, forms, and where a form comes from. Read within bounds, over bare ASGI."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from muster.edges.device.http import BodyReader, Request

MAXIMUM_FORM_BYTES = 16 * 1024
"""A user name and a password, each character of them up to twelve bytes long (%F0%9F%8D%8E)."""
MAXIMUM_FIELDS = 16
"""Of a form; ours have two."""
FORM_TYPE = b"application/x-www-form-urlencoded"
MAXIMUM_COOKIE_BYTES = 8 * 1024
"""Of the header; servers commonly take no more, and ours is 60."""


class NotAForm(Exception):
    """The body is no form that one of our pages makes."""


async def read_form(request: Request, bodies: BodyReader) -> Mapping[str, str]:
    """Read a form (WHATWG URL, application/x-www-form-urlencoded), each field once.

    Raises NotAForm, and what `BodyReader.body` raises.
    """
    if (request.header(b"content-type") or b"").split(b";")[0].strip().lower() != FORM_TYPE:
        raise NotAForm
    async with bodies.body(request, MAXIMUM_FORM_BYTES) as body:
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_FIELDS
            )
        except ValueError:  # UnicodeDecodeError is one
            raise NotAForm from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NotAForm
    return fields


def cookie(request: Request, name: str) -> str | None:
    """Return the value of the cookie *name*; None when there is none, or the header is too long to be ours."""
    header = request.header(b"cookie")
    if header is None or len(header) > MAXIMUM_COOKIE_BYTES:
        return None
    for pair in header.decode("latin-1").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return None


def comes_from_elsewhere(request: Request) -> bool:
    """Tell whether another site's page made this request (W3C, Fetch Metadata; else RFC 6454's Origin).

    Web views of older systems send neither header; a form that signs in harms nobody when they are believed.
    """
    site = request.header(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = request.header(b"origin")
    if origin is None:
        return False
    host = request.header(b"host") or b""
    return urlsplit(origin.decode("latin-1")).netloc.lower() != host.decode("latin-1").lower()


def wants_page(request: Request) -> bool:
    """Tell whether a browser asks, that is: somebody who reads."""
    return b"text/html" in (request.header(b"accept") or b"").lower()
