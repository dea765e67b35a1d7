"""What an identity provider says of its refusal: an error of OAuth 2.0 (RFC 6749, 4.1.2.1 and 5.2)."""

import re
from collections.abc import Mapping
from typing import Final

MAXIMUM_EXPLANATION: Final = 300
"""Characters that are told of each part: a sentence or two, for a page and for the log."""
_UNSAYABLE: Final = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]+")
"""All but what the RFC allows in an error and its description."""


def explanation(told: object) -> str:
    """Return what an error of OAuth 2.0 says (RFC 6749, 4.1.2.1 and 5.2), bounded; nothing where it is none."""
    if not isinstance(told, Mapping):
        return ""
    code, text = (
        _UNSAYABLE.sub(" ", str(told.get(name) or ""))[:MAXIMUM_EXPLANATION] for name in ("error", "error_description")
    )
    said = f"{code} ({text})" if code and text else code
    return f": {said}" if said else ""
