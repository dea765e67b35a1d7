"""A command whose answer was lost is settled by what the device tells of itself."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from muster.crypto.errors import CannotDecrypt
from muster.crypto.sealing import UnknownSealingKey
from muster.domain.answered_commands import AnsweredCommand
from muster.domain.command_queue import OwnStatus
from muster.domain.command_verification import VERIFIED_BY, shows_effect
from muster.domain.control.evidence import Observation, Signal
from muster.domain.faults import Fault
from muster.domain.installed_profiles import ProfileState
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.push_policy import PushReason
from muster.operations.check_profiles import profile_of
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.follow_apps import follow_app_installation, follow_app_removal, identifier_of
from muster.operations.follow_profiles import follow_installation, follow_removal
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue
from muster.protocol.profile_contents import ProfileContents
from muster.storage import evidence, installed_profiles, inventory, push, queues
from muster.storage.engine import Transaction
from muster.storage.queues import Outstanding


def verify_commands(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Close, as done, the commands that the channel was handed and never answered, and whose effect an answer shows.

    What follows them goes out. Only what was handed out before that answer came: what a device never had it has not
    done, however things look.
    """
    if answered.status is not Status.ACKNOWLEDGED or not answered.is_of_this_life:
        return []
    types = VERIFIED_BY.get(answered.request.request_type, ())
    for one in queues.outstanding(tx, answered.enrollment.channel.id, types, before=answered.reported_at):
        request = _request(one, ctx)
        if request is not None and _is_done(tx, one, request, answered):
            _settle(tx, one, request, answered, ctx)
    return []


def _request(one: Outstanding, ctx: Context) -> CommandRequest | None:
    """Read a command as its device got it; None where it is sealed and can't be opened."""
    body = one.body
    if one.is_sealed:
        try:
            body = ctx.open(body, table="commands", column="body", row=one.command_uuid)
        except (CannotDecrypt, UnknownSealingKey):
            return None
    sent = decode_command(body)
    return CommandRequest(sent.request_type, sent.keys)


def _is_done(tx: Transaction, one: Outstanding, request: CommandRequest, answered: AnsweredCommand) -> bool:
    profile, app = profile_of(request), identifier_of(request)
    if not shows_effect(request, profile, app, answered.request.keys, answered.report.answer):
        return False
    if profile is not None:
        return not _had_other(tx, one, request, profile, answered)
    if app is not None and one.request_type == "InstallApplication":
        items = inventory.items(tx, answered.enrollment.channel.id, InventoryKind.MANAGED_APPLICATION_LIST)
        return app not in items or items[app].since > one.queued_at  # one that was there may have been meant to change
    return True


def _had_other(
    tx: Transaction, one: Outstanding, request: CommandRequest, profile: ProfileContents, answered: AnsweredCommand
) -> bool:
    """Tell whether a profile of the same PayloadUUID and other contents was sent before, so that one may be listed."""
    assert profile.identifier is not None, "what has none is not listed"
    payload = request.keys["Payload"]
    assert isinstance(payload, bytes), "its contents were read"
    digest = hashlib.sha256(payload).digest()
    others = installed_profiles.of_channel(tx, answered.enrollment.channel.id, answered.epoch, profile.identifier)
    return any(
        other.payload_uuid == profile.payload_uuid
        and other.digest != digest
        and other.command_uuid != one.command_uuid
        and other.state is not ProfileState.FAILED
        for other in others
    )


def _settle(
    tx: Transaction, one: Outstanding, request: CommandRequest, answered: AnsweredCommand, ctx: Context
) -> None:
    channel_id, seen_in = answered.enrollment.channel.id, answered.request.request_type
    follow = _FOLLOWED_BY.get(one.request_type)
    if follow is not None:
        report = replace(answered.report, answer=_answer_in_place(request, answered))
        follow(tx, replace(answered, command_uuid=one.command_uuid, request=request, report=report), ctx)
    if close_commands(tx, channel_id, [one.command_uuid], OwnStatus.VERIFIED, ctx, because=f"seen in {seen_in}"):
        push.wish(tx, [channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    about = {"command_uuid": one.command_uuid, "request_type": one.request_type, "seen": seen_in}
    seen = Observation(channel_id, Signal.COMMAND_ANSWER, "acknowledgement_lost", ctx.now, answered.epoch, "", about)
    evidence.append(tx, [seen], ctx.new_id)


_FOLLOWED_BY: Final = {
    "InstallApplication": follow_app_installation,
    "InstallProfile": follow_installation,
    "RemoveApplication": follow_app_removal,
    "RemoveProfile": follow_removal,
}
"""What is done when such a command is acknowledged, and when it is seen to be done, too."""


def _answer_in_place(request: CommandRequest, answered: AnsweredCommand) -> dict[str, PlistValue]:
    """Return what the lost answer said, as far as a list tells it: of an app, its state."""
    app = identifier_of(request)
    match answered.report.answer.get("ManagedApplicationList"):
        case dict() as listed if app is not None and request.request_type == "InstallApplication":
            one = listed.get(app)
            return {"Identifier": app, "State": one["Status"]} if isinstance(one, dict) and "Status" in one else {}
    return {}
