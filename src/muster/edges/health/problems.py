"""Errors as problem documents (RFC 9457)."""

import json
from collections.abc import Mapping

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    extensions: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document: *title* for its kind, *detail* for this occurrence.

    *extensions* are members of our own beside those of the RFC, JSON values.
    """
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail, **(extensions or {})}
    return Response(json.dumps(members), status, {**NOT_KEPT, **(headers or {})}, MEDIA_TYPE)


NOT_KEPT = {"Cache-Control": "no-store"}
