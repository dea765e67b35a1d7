"""Profiles are installed on channels, and removed, and what became of each is kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.installed_profiles import OURS, InstalledProfile, ProfileState
from muster.domain.permissions import Permission
from muster.operations.check_profiles import INSTALL_PROFILE, REMOVE_PROFILE
from muster.operations.context import Context
from muster.operations.permit import act
from muster.operations.queue_command import CommandOrder, QueuedCommand, QueueOutcome, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId
from muster.protocol.profile_contents import ProfileContents, read_profile_contents
from muster.storage import enrollments, installed_profiles
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ProfileOrder:
    """A profile to install on each of *channel_ids* (at least one), in place of what they have by its identifier.

    *mobileconfig* is sent byte for byte, signed or not. *is_secret*: it holds a secret, and is kept sealed until it is
    handed out. *anyway*: also where the catalogue warns.
    """

    channel_ids: tuple[ChannelId, ...]
    mobileconfig: bytes
    is_secret: bool = False
    anyway: bool = False
    account_id: str | None = None
    """The account that it was made for."""


@dataclass(frozen=True, slots=True)
class ProfileSent:
    """A profile that waits for its channels, and the command that brings it."""

    identifier: str
    payload_uuid: str | None
    name: str | None
    queued: QueuedCommand


ProfileOutcome: TypeAlias = ProfileSent | Refusal


@dataclass(frozen=True, slots=True)
class ProfileRemovalOrder:
    """A profile to remove from each of *channel_ids* (at least one). *anyway*: also where we did not install it."""

    channel_ids: tuple[ChannelId, ...]
    identifier: str
    anyway: bool = False


@act(Permission.COMMAND, about=lambda _tx, order: order.channel_ids)
def install_profiles(tx: Transaction, orders: Sequence[ProfileOrder], ctx: Context) -> list[ProfileOutcome]:
    """Queue InstallProfile for each of *orders*, and note what was sent.

    Refused as commands are, and when the profile has no PayloadIdentifier, by which it is known afterwards.
    """
    return [_install(tx, order, ctx) for order in orders]


@act(Permission.COMMAND, about=lambda _tx, order: order.channel_ids)
def remove_profiles(tx: Transaction, orders: Sequence[ProfileRemovalOrder], ctx: Context) -> list[QueueOutcome]:
    """Queue RemoveProfile for each of *orders*; refused as commands are, which a profile that is not ours counts as."""
    return [_remove(tx, order, ctx) for order in orders]


def _install(tx: Transaction, order: ProfileOrder, ctx: Context) -> ProfileOutcome:
    contents = _contents(order.mobileconfig)
    if isinstance(contents, Refusal):
        return contents
    request = CommandRequest(INSTALL_PROFILE, {"Payload": order.mobileconfig})
    command = CommandOrder(order.channel_ids, request, is_secret=order.is_secret, anyway=order.anyway)
    queued = queue_commands(tx, [command], ctx)[0]
    if isinstance(queued, Refusal):
        return queued
    assert contents.identifier is not None, "checked with its contents"
    stored = enrollments.find(tx, queued.queued_on)
    digest = hashlib.sha256(order.mobileconfig).digest()
    installed_profiles.add(
        tx,
        [
            InstalledProfile(
                channel_id=channel_id,
                command_uuid=queued.command_uuid,
                epoch=stored[channel_id].epoch,
                identifier=contents.identifier,
                payload_uuid=contents.payload_uuid,
                name=contents.display_name,
                digest=digest,
                account_id=order.account_id,
                state=ProfileState.SENT,
                reason=None,
                sent_at=ctx.now,
                changed_at=ctx.now,
            )
            for channel_id in queued.queued_on
        ],
    )
    return ProfileSent(contents.identifier, contents.payload_uuid, contents.display_name, queued)


def _contents(mobileconfig: bytes) -> ProfileContents | Refusal:
    """Read what the profile holds. Refused when it can't be read, or has no identifier."""
    try:
        contents = read_profile_contents(mobileconfig)
    except MalformedMessage as error:
        return Refusal(
            RefusalCode.PROFILE_UNFIT, f"it is no configuration profile: {error}", "Give a .mobileconfig file."
        )
    if contents.identifier is None:
        remedy = "Give it one, such as org.example.wifi, and keep it over all its revisions."
        return Refusal(RefusalCode.PROFILE_UNFIT, "the profile has no PayloadIdentifier", remedy)
    return contents


def _remove(tx: Transaction, order: ProfileRemovalOrder, ctx: Context) -> QueueOutcome:
    request = CommandRequest(REMOVE_PROFILE, {"Identifier": order.identifier})
    queued = queue_commands(tx, [CommandOrder(order.channel_ids, request, anyway=order.anyway)], ctx)[0]
    if isinstance(queued, Refusal):
        return queued
    for enrollment in enrollments.find(tx, queued.queued_on).values():
        profiles = installed_profiles.of_channel(tx, enrollment.channel.id, enrollment.epoch, order.identifier)
        going = [one for one in profiles if one.state in OURS and one.state is not ProfileState.SENT]
        installed_profiles.start_removal(tx, going)
    return queued
