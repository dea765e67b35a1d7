"""What Automated Device Enrollment says of a device, as its sync brings it (S11)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AdeProfileStatus(StrEnum):
    """What became of the enrollment profile at Apple. Source: Apple, "Device" (profile_status)."""

    EMPTY = "empty"
    ASSIGNED = "assigned"
    PUSHED = "pushed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class AdeObservation:
    """One device as the service had it at *at*. *assigned_here*: to one of our servers; *is_deleted*: it is no longer
    in the organization. *token*: the name of the server token by which we were told.
    """

    serial_number: str
    profile_status: AdeProfileStatus
    assigned_here: bool
    is_deleted: bool
    at: datetime
    token: str = ""

    @property
    def standing(self) -> str:
        """The word by which evidence has it: what it says about the device's next activation."""
        if self.is_deleted:
            return "deleted"
        return self.profile_status.value if self.assigned_here else "assigned_elsewhere"


@dataclass(frozen=True, slots=True)
class AdeTokenObservation:
    """Whether the service spoke with us at *at* by the server token *token*. *why*: what it said where it did not."""

    token: str
    is_ok: bool
    at: datetime
    why: str = ""
