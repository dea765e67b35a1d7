"""One-time passwords by the clock (RFC 6238, on RFC 4226), as every authenticator application makes them.

SHA-1, six digits, thirty seconds: other parameters are defined, and ignored by most applications.
"""

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Final

STEP_SECONDS: Final = 30
"""RFC 6238, 5.2."""
DIGITS: Final = 6
SECRET_BYTES: Final = 20
"""As long as SHA-1's output (RFC 4226, 4, R6)."""
STEPS_OFF: Final = 1
"""How many steps a phone's clock may be off, to either side, and as late a person may be (RFC 6238, 5.2)."""


def step_at(now: datetime) -> int:
    """Return the number of the time step that *now*, aware, is in."""
    return int(now.timestamp()) // STEP_SECONDS


def password_of(secret: bytes, step: int) -> str:
    """Return the one-time password of a time step (RFC 4226, 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: bytes, typed: str, now: datetime, last_step: int | None) -> int | None:
    """Return the time step whose password was typed, blanks aside; None when it is none of those that count now.

    A step up to *last_step*, the last one that was used, counts no more: a password is good once (RFC 6238, 5.2).
    """
    given = "".join(typed.split()).encode()
    found = None
    for step in range(step_at(now) - STEPS_OFF, step_at(now) + STEPS_OFF + 1):
        if hmac.compare_digest(password_of(secret, step).encode(), given) and step > (last_step or 0):
            found = step
    return found


def as_text(secret: bytes) -> str:
    """Return a secret as people type it: base32 in groups of four."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def set_up_uri(secret: bytes, *, name: str, issuer: str) -> str:
    """Return what a QR code tells an application (Key URI Format; RFC 6238 names none)."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return f"otpauth://totp/{_percent(issuer)}:{_percent(name)}?secret={text}&issuer={_percent(issuer)}"


_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _percent(text: str) -> str:
    """Encode *text* for a URI (RFC 3986, 2.1)."""
    return "".join(chr(one) if one in _UNRESERVED else f"%{one:02X}" for one in text.encode())
