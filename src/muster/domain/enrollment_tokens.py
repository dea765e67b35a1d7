"""The token that a person gets for signing in on a device, and with which that device fetches its profile.

Source: Apple, "Implementing the simple authentication user-enrollment flow". How long a token is good for, and for how
many devices, is ours to say.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.domain.access import EnrollmentLink, LinkKind
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.account_driven import ModelFamily, ServiceVersion
from muster.protocol.profile import EnrollmentMode

TOKEN_LIFETIME = timedelta(hours=1)
"""From signing in to the profile; the device asks for it at once, and a person who was called away signs in again."""
DEFAULT_FAMILY = "default"
"""The model family, in the policy, for which no other link is named."""

MODES = {LinkKind.ACCOUNT_USER: EnrollmentMode.BYOD, LinkKind.ACCOUNT_DEVICE: EnrollmentMode.ADDE}
VERSIONS = {LinkKind.ACCOUNT_USER: ServiceVersion.BYOD, LinkKind.ACCOUNT_DEVICE: ServiceVersion.ADDE}
"""What a link offers, in the words of the profile and of service discovery; they have to agree."""


@dataclass(frozen=True, slots=True)
class EnrollmentToken:
    """A token, known by its hash. *used_by* is the SHA-256 of the certificate of the device that used it first."""

    user_name: str
    link_id: str
    expires_at: datetime
    used_by: bytes | None


def link_for(policy: dict[str, str], family: ModelFamily | None) -> str | None:
    """Tell which link people use on devices of *family*; None when they can't."""
    return policy.get(DEFAULT_FAMILY if family is None else family.value, policy.get(DEFAULT_FAMILY))


def may_use_token(token: EnrollmentToken | None, link: EnrollmentLink, device: bytes, now: datetime) -> Refusal | None:
    """Tell why the device with the certificate *device* gets no profile at *link* for its token, or None.

    A token is good for one device; the same one may ask again, its reply having been lost.
    """
    if token is None or token.link_id != link.id:
        return Refusal(RefusalCode.BEARER_UNKNOWN, "the token of the sign-in is not known")
    if token.used_by not in (None, device):
        return Refusal(RefusalCode.BEARER_USED, "the token of the sign-in was used by another device")
    if now >= token.expires_at:
        return Refusal(RefusalCode.BEARER_EXPIRED, f"the token of the sign-in expired at {token.expires_at:%H:%M} UTC")
    return None
