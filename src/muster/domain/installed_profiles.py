"""What becomes of the profiles that we install: by what devices answer, and by what their lists hold.

A profile is told from others by its PayloadIdentifier, which is what devices replace it by, and one revision of it from
another by its PayloadUUID.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from muster.protocol.identifiers import ChannelId, CommandUUID


class ProfileState(StrEnum):
    """Where a profile stands on a channel."""

    SENT = "sent"
    """Queued or handed out; the device did not say yet."""
    INSTALLED = "installed"
    FAILED = "failed"
    """The device refused it."""
    REMOVING = "removing"
    REMOVED = "removed"
    MISSING = "missing"
    """It was installed, and is not in the device's list any more."""
    DRIFTED = "drifted"
    """Another profile stands in its place: of the same identifier, with another PayloadUUID."""
    REPLACED = "replaced"
    """A later one of ours has taken its place."""


_STANDING: Final = frozenset(
    {ProfileState.INSTALLED, ProfileState.REMOVING, ProfileState.MISSING, ProfileState.DRIFTED}
)
"""States that an acknowledged installation is in, until it is replaced or removed."""
OURS: Final = _STANDING | {ProfileState.SENT}
"""States in which the profile is, or may be, on the device because we sent it."""


@dataclass(frozen=True, slots=True)
class InstalledProfile:
    """One installation on one channel. *digest* is the SHA-256 of what was sent; *reason* what went wrong.

    *verified_at* is when a list last had this revision; None: none had so far.
    """

    channel_id: ChannelId
    command_uuid: CommandUUID
    epoch: int
    identifier: str
    payload_uuid: str | None
    name: str | None
    digest: bytes
    account_id: str | None
    state: ProfileState
    reason: str | None
    sent_at: datetime
    changed_at: datetime
    verified_at: datetime | None = None


def after_installation(
    profiles: Sequence[InstalledProfile], command_uuid: CommandUUID, failure: str | None, at: datetime
) -> list[InstalledProfile]:
    """Tell which of *profiles*, those of one identifier on one channel, change by the answer to an InstallProfile.

    *failure* is what the device said when it refused, None when it acknowledged. A list may have told before that it
    is installed; an answer that comes after a later one of ours was installed changes nothing but its own.
    """
    own = next((one for one in profiles if one.command_uuid == command_uuid), None)
    if own is None or own.state is not ProfileState.SENT:
        return []
    if failure is not None:
        return [replace(own, state=ProfileState.FAILED, reason=failure, changed_at=at)]
    return list(_take_over(own, profiles, at))


def after_removal(profiles: Sequence[InstalledProfile], failure: str | None, at: datetime) -> list[InstalledProfile]:
    """Tell which of *profiles*, those of one identifier on one channel, change by the answer to a RemoveProfile.

    What was sent after it was removed, and is not answered yet, stays as it is. A removal that failed leaves the
    profile installed as far as is known; a list tells better.
    """
    if failure is not None:
        return [
            replace(one, state=ProfileState.INSTALLED, reason=failure, changed_at=at)
            for one in profiles
            if one.state is ProfileState.REMOVING
        ]
    return [
        replace(one, state=ProfileState.REMOVED, reason=None, changed_at=at)
        for one in profiles
        if one.state in _STANDING and one.changed_at <= at
    ]


def after_listing(
    profiles: Sequence[InstalledProfile], listed: Mapping[str, str | None], at: datetime
) -> list[InstalledProfile]:
    """Tell which of *profiles*, all those of a channel, change by what it lists: PayloadUUIDs by identifier.

    *profiles* come the latest first, as they are read. A list from before a profile's last change tells nothing of it.
    What was sent and not answered counts as installed when the list has its PayloadUUID, and no former revision of
    ours has the same.
    """
    changes: dict[CommandUUID, InstalledProfile] = {}
    for one in profiles:
        if at < one.changed_at:
            continue
        is_listed, uuid = one.identifier in listed, listed.get(one.identifier)
        match one.state:
            case ProfileState.SENT:
                if uuid is not None and uuid == one.payload_uuid and not _had(profiles, one):
                    changes |= {other.command_uuid: other for other in _take_over(one, profiles, at)}
                    changes[one.command_uuid] = replace(changes[one.command_uuid], verified_at=at)
            case ProfileState.INSTALLED | ProfileState.MISSING | ProfileState.DRIFTED:
                changes.setdefault(one.command_uuid, _verified(one, is_listed=is_listed, uuid=uuid, at=at))
            case ProfileState.REMOVING:
                if not is_listed:
                    changes[one.command_uuid] = replace(one, state=ProfileState.REMOVED, reason=None, changed_at=at)
            case ProfileState.FAILED | ProfileState.REMOVED | ProfileState.REPLACED:
                pass
            case _:
                assert_never(one.state)
    return list(changes.values())


def _take_over(own: InstalledProfile, profiles: Sequence[InstalledProfile], at: datetime) -> Iterator[InstalledProfile]:
    """Yield *own* as installed, and those of its identifier that it replaces."""
    yield replace(own, state=ProfileState.INSTALLED, reason=None, changed_at=at)
    for other in profiles:
        if other.identifier == own.identifier and other.command_uuid != own.command_uuid and other.state in _STANDING:
            yield replace(other, state=ProfileState.REPLACED, reason=None, changed_at=at)


def _had(profiles: Sequence[InstalledProfile], sent: InstalledProfile) -> bool:
    """Tell whether an earlier installation had the PayloadUUID of *sent* already."""
    return any(
        one.identifier == sent.identifier
        and one.payload_uuid == sent.payload_uuid
        and one.command_uuid != sent.command_uuid
        and one.state is not ProfileState.FAILED
        for one in profiles
    )


def _verified(profile: InstalledProfile, *, is_listed: bool, uuid: str | None, at: datetime) -> InstalledProfile:
    if not is_listed:
        state, reason = ProfileState.MISSING, "the device doesn't list it any more"
    elif profile.payload_uuid is not None and uuid != profile.payload_uuid:
        state, reason = ProfileState.DRIFTED, f"the device lists {uuid or 'one without PayloadUUID'} in its place"
    else:
        since = profile.changed_at if profile.state is ProfileState.INSTALLED else at
        return replace(profile, state=ProfileState.INSTALLED, changed_at=since, verified_at=at)
    since = profile.changed_at if profile.state is state else at
    return replace(profile, state=state, reason=reason, changed_at=since)
