"""Why the simulated APNs does not take a push. Source: Apple, "Handling notification responses from APNs"."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from muster.protocol.apns import REASONS

_STATUSES = {reason: status for status, reason in REASONS}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why APNs did not take a push: Apple's *reason*, and for a token no longer in use since when (aware UTC).

    Raises ValueError for a reason which APNs does not have.
    """

    reason: str
    unregistered_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check the reason."""
        if self.reason not in _STATUSES:
            raise ValueError(f"APNs has no reason {self.reason!r}")

    @property
    def status(self) -> int:
        """The HTTP status which goes with the reason."""
        return _STATUSES[self.reason]


class TlsAlert(StrEnum):
    """By which words TLS refuses a client's certificate, before there is any request (RFC 8446, 6.2)."""

    CERTIFICATE_EXPIRED = "certificate expired"
    BAD_CERTIFICATE = "bad certificate"
    """Also for one that is not valid yet."""
