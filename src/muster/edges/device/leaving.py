"""The replies that make a device remove its management: 401, and 403 with Apple's code. Written here, nowhere else.

An operation decides on it, as the order of an administrator or the policy of one; no error leads here.
"""

from typing import assert_never

from muster.domain.letting_go import LeavingReply
from muster.edges.device.errors import FORBIDDEN
from muster.edges.device.http import Reply
from muster.protocol.enrollment_errors import JSON_MEDIA_TYPE, encode_error_json, unrecognized_device

UNAUTHORIZED = 401


def leaving_reply(how: LeavingReply) -> Reply:
    """Tell a device that it is not managed any more (Apple, "ErrorCodeUnrecognizedDevice", and the check-in's 401)."""
    match how:
        case LeavingReply.UNAUTHORIZED:
            # without WWW-Authenticate, in spite of RFC 9110: it would ask account-driven enrollments to sign in
            return Reply(UNAUTHORIZED)
        case LeavingReply.UNRECOGNIZED_DEVICE:
            body = encode_error_json(unrecognized_device(description="This server does not manage this device."))
            return Reply(FORBIDDEN, body, JSON_MEDIA_TYPE.encode())
        case _:
            assert_never(how)
