"""Base64 as it comes in headers: strict, but for the white space that proxies and old header folding leave."""

import binascii

from muster.protocol.errors import MalformedMessage


def read_base64(text: str | bytes, name: str, maximum: int) -> bytes:
    """The octets in *text*. Raises MalformedMessage, which calls it *name*, when it has more than *maximum* characters
    or is not base64 (RFC 4648 section 4)."""
    if len(text) > maximum:
        raise MalformedMessage(f"{name}: longer than {maximum} characters")
    try:
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except ValueError:
            compact = "".join(text.split()) if isinstance(text, str) else b"".join(text.split())
            return binascii.a2b_base64(compact, strict_mode=True)
    except ValueError:  # binascii.Error is one; text beyond ASCII is another
        raise MalformedMessage(f"{name}: not base64") from None
