"""The one place where refusals become status codes on the doors for devices.

401, 403 with `com.apple.unrecognized.device`, and 410 make a device or a user leave. No refusal maps to them: a
fault of ours, or of a proxy, must not cost a device. 410 has one writer, for users that policy does not manage.
"""

from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device.http import Reply

BAD_REQUEST, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED = 400, 403, 404, 405
TIMED_OUT, GONE, TOO_LARGE, UNAVAILABLE = 408, 410, 413, 503

STATUS: dict[RefusalCode, int] = {
    RefusalCode.SIGNATURE_MISSING: FORBIDDEN,
    RefusalCode.SIGNATURE_BAD: BAD_REQUEST,
    RefusalCode.CERTIFICATE_MALFORMED: BAD_REQUEST,
    RefusalCode.ALGORITHM_REFUSED: BAD_REQUEST,
    RefusalCode.IDENTITY_UNKNOWN: FORBIDDEN,
    RefusalCode.IDENTITY_OF_ANOTHER_DEVICE: FORBIDDEN,
    RefusalCode.IDENTITY_NOT_PINNED: FORBIDDEN,
    RefusalCode.IDENTITY_SUPERSEDED: FORBIDDEN,
    RefusalCode.IDENTITY_EXPIRED: FORBIDDEN,
    RefusalCode.IDENTITY_OF_EARLIER_LIFE: FORBIDDEN,
    RefusalCode.IDENTITY_NOT_FOR_ENROLLMENT: FORBIDDEN,
    RefusalCode.IDENTITY_MISMATCH: FORBIDDEN,
    RefusalCode.CHANNEL_UNKNOWN: FORBIDDEN,
    RefusalCode.DEVICE_NOT_YET_ENROLLED: UNAVAILABLE,
    RefusalCode.REJECTED: FORBIDDEN,
    RefusalCode.REFUSED_ON_ENROLL: FORBIDDEN,
    RefusalCode.REFUSED_ON_RESTORE: FORBIDDEN,
    RefusalCode.BODY_TOO_LARGE: TOO_LARGE,
    RefusalCode.BODY_MALFORMED: BAD_REQUEST,
    RefusalCode.MESSAGE_UNKNOWN: BAD_REQUEST,
    RefusalCode.SERVICE_UNKNOWN: BAD_REQUEST,
    RefusalCode.LINK_UNKNOWN: NOT_FOUND,
    RefusalCode.LINK_EXPIRED: FORBIDDEN,
    RefusalCode.LINK_USED_UP: FORBIDDEN,
    RefusalCode.LINK_REVOKED: FORBIDDEN,
    RefusalCode.LINK_BUSY: FORBIDDEN,
    RefusalCode.CHALLENGE_UNKNOWN: FORBIDDEN,
    RefusalCode.CHALLENGE_EXPIRED: FORBIDDEN,
    RefusalCode.CHALLENGE_USED: FORBIDDEN,
    RefusalCode.DEVICE_NOT_ATTESTED: FORBIDDEN,
    RefusalCode.DEVICE_NOT_EXPECTED: FORBIDDEN,
    RefusalCode.PUSH_CERTIFICATE_MISSING: UNAVAILABLE,
    RefusalCode.NOT_FOUND: NOT_FOUND,
    RefusalCode.SIGN_IN_NEEDED: FORBIDDEN,
    RefusalCode.SIGN_IN_WRONG: FORBIDDEN,
    RefusalCode.SIGN_IN_LIMITED: FORBIDDEN,
}
"""The status of each refusal a device can meet; one that is missing here is a bad request."""

RETRY_AFTER = (b"retry-after", b"30")
"""Seconds; devices have a schedule of their own, other clients may heed it."""


def refusal_reply(refusal: Refusal) -> Reply:
    """Write a refusal: plain text, no Apple error code, never a status that makes a device leave."""
    status = STATUS.get(refusal.code, BAD_REQUEST)
    text = refusal.message if not refusal.remedy else f"{refusal.message}\n{refusal.remedy}"
    headers = (RETRY_AFTER,) if status == UNAVAILABLE else ()
    return Reply(status, f"{text}\n".encode(), headers=headers)


def method_reply(*allowed: str) -> Reply:
    """Write which methods this door knows (RFC 9110, section 15.5.6)."""
    return Reply(METHOD_NOT_ALLOWED, headers=((b"allow", ", ".join(allowed).encode()),))


def timed_out_reply() -> Reply:
    """Write that the request did not come to its end; mostly nobody is there to read it."""
    return Reply(TIMED_OUT)


def user_not_managed_reply() -> Reply:
    """Tell a Mac that this user is not managed (Apple, "UserAuthenticate"): the one writer of 410."""
    return Reply(GONE)


def declaration_unknown_reply() -> Reply:
    """Tell a device that a declaration does not exist, so that it drops it."""
    return Reply(NOT_FOUND)


def unavailable_reply() -> Reply:
    """Say that we can't now; the device keeps what it has to say, and comes back."""
    return Reply(UNAVAILABLE, b"The server can't answer now; try again later.\n", headers=(RETRY_AFTER,))
