"""The one place where devices that are not enrolled yet are told in Apple's error codes why they get no profile.

One of the codes makes an enrolled device remove its management. It is answered here to devices in Setup Assistant,
which have none; check-ins and connects don't come here.
"""

from muster.domain.automated_enrollment import NotListed, UpdateFirst
from muster.edges.device.errors import FORBIDDEN
from muster.edges.device.http import Reply, Request
from muster.protocol.enrollment_errors import (
    JSON_MEDIA_TYPE,
    PLIST_MEDIA_TYPE,
    ErrorReply,
    encode_error_json,
    encode_error_plist,
    software_update_required,
    unrecognized_device,
    well_known_failed,
)


def not_listed_reply(request: Request, _outcome: NotListed) -> Reply:
    """Tell a device in Setup Assistant that it is none of ours."""
    message = "This device is not registered with your organization. Ask your administrator."
    return _reply(request, unrecognized_device(description="not among the link's serial numbers", message=message))


def update_first_reply(request: Request, outcome: UpdateFirst) -> Reply:
    """Tell a device that understands it to update itself first."""
    message = f"Your organization requires version {outcome.os_version} or later."
    return _reply(request, software_update_required(outcome.os_version, outcome.build_version, message=message))


def not_offered_reply(request: Request) -> Reply:
    """Tell a device that no account is enrolled on devices of its kind."""
    message = "Your organization does not offer enrollment by account for this kind of device."
    return _reply(request, well_known_failed(description="no open link for this model family", message=message))


def _reply(request: Request, error: ErrorReply) -> Reply:
    """Write JSON, or a property list where that alone is accepted; the Content-Type has to say which."""
    accepted = (request.header(b"accept") or b"").lower()
    headers = ((b"cache-control", b"no-store"),)
    if b"xml" in accepted and b"json" not in accepted and b"*/*" not in accepted:
        return Reply(FORBIDDEN, encode_error_plist(error), PLIST_MEDIA_TYPE.encode(), headers)
    return Reply(FORBIDDEN, encode_error_json(error), JSON_MEDIA_TYPE.encode(), headers)
