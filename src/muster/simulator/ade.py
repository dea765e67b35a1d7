"""Apple's list of an organization's devices, as Automated Device Enrollment keeps it, without its HTTP service.

Source: Apple, "Device Assignment": sync of devices (`op_type` added, modified, deleted; `profile_status` empty,
assigned, pushed, removed).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class ProfileStatus(StrEnum):
    """What Apple says of the enrollment profile of a device."""

    EMPTY = "empty"
    ASSIGNED = "assigned"
    PUSHED = "pushed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class AdeEntry:
    """One device in the list, as a server's sync shows it. *is_here*: it is assigned to that server; one that isn't,
    or is not the organization's any more (*is_deleted*), comes as deleted."""

    serial_number: str
    profile_status: ProfileStatus
    is_here: bool
    is_deleted: bool
    changed_at: datetime


class SimulatedADE:
    """The list, and what changed in it. *token_is_good*: whether Apple takes the server's token."""

    def __init__(self) -> None:
        self.token_is_good = True
        self.entries: dict[str, AdeEntry] = {}
        self._changes: list[AdeEntry] = []

    def add(self, serial_number: str, now: datetime) -> None:
        """Have a device bought, and assigned to the server with a profile."""
        self._set(AdeEntry(serial_number, ProfileStatus.ASSIGNED, is_here=True, is_deleted=False, changed_at=now))

    def set_profile(self, serial_number: str, status: ProfileStatus, now: datetime) -> None:
        """Change the status of its profile. Raises KeyError for one that isn't in the list."""
        self._set(replace(self.entries[serial_number], profile_status=status, changed_at=now))

    def assign(self, serial_number: str, now: datetime, *, is_here: bool) -> None:
        """Assign it to the server, or to another one. Raises KeyError for one that isn't in the list."""
        status = ProfileStatus.ASSIGNED if is_here else ProfileStatus.EMPTY
        entry = self.entries[serial_number]
        self._set(replace(entry, is_here=is_here, profile_status=status, changed_at=now))

    def release(self, serial_number: str, now: datetime) -> None:
        """Give it up for good. Raises KeyError for one that isn't in the list."""
        entry = self.entries[serial_number]
        self._set(replace(entry, is_here=False, is_deleted=True, profile_status=ProfileStatus.EMPTY, changed_at=now))

    def is_ours(self, serial_number: str) -> bool:
        """Whether a device that is set up now comes to the server."""
        entry = self.entries.get(serial_number)
        has_profile = entry is not None and entry.profile_status in (ProfileStatus.ASSIGNED, ProfileStatus.PUSHED)
        return entry is not None and entry.is_here and has_profile

    def changes_since(self, cursor: int) -> tuple[tuple[AdeEntry, ...], int]:
        """What changed since *cursor* (0: everything), in order, and the next cursor."""
        return tuple(self._changes[cursor:]), len(self._changes)

    def _set(self, entry: AdeEntry) -> None:
        self.entries[entry.serial_number] = entry
        self._changes.append(entry)
