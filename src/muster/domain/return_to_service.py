"""Whether a device can return to service: be erased, and enroll by itself with a profile it was given beforehand."""

from datetime import timedelta

from muster.domain.enrolled_terms import EnrolledTerms
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.profile import EnrollmentMode

ERASE_RIGHT = 8
"""Bit 3 of AccessRights."""
COMMAND_CHALLENGE_LIFETIME = timedelta(days=365)
"""Of the challenge in a queued EraseDevice: a device that lay in a drawer for months must not be erased and then find
that it can't come back. The challenge is good for that device alone, once, and sealed until it is handed out."""
MAXIMUM_WIFI_PROFILE_BYTES = 256 * 1024
"""Of a profile for Wi-Fi, certificates included; they have some kilobytes."""
_WITHOUT = ("Mac", "iMac", "VirtualMac", "Watch")
"""How PRODUCT begins where EraseDevice knows no ReturnToService (Apple, "Erase Device")."""


def can_return(terms: EnrolledTerms | None, product_name: str | None) -> Refusal | None:
    """Tell why a device that is enrolled with *terms* can't return to service, or None."""
    if terms is None:
        reason = "what the device was enrolled with is not known here, so no profile can be made for its return"
    elif terms.enrollment_mode is EnrollmentMode.BYOD:
        reason = "a device in User Enrollment is its user's, and can't be erased"
    elif (product_name or "").startswith(_WITHOUT):
        reason = f"{product_name} does not know Return to Service"
    elif not (terms.access_rights or 0) & ERASE_RIGHT:
        reason = f"the device was enrolled without the right to erase it ({ERASE_RIGHT})"
    else:
        return None
    return Refusal(RefusalCode.CANNOT_RETURN, reason)
