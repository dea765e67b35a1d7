"""What devices answered about profiles is followed: what is installed, what failed, what a list lacks."""

import hashlib
from collections.abc import Mapping, Sequence

from muster.domain.answered_commands import AnsweredCommand
from muster.domain.faults import Fault
from muster.domain.installed_profiles import (
    InstalledProfile,
    ProfileState,
    after_installation,
    after_listing,
    after_removal,
)
from muster.operations.check_profiles import profile_of
from muster.operations.context import Context
from muster.protocol.connect import Report, Status
from muster.protocol.plist import PlistValue
from muster.storage import installed_profiles
from muster.storage.engine import Transaction

MAX_REASON_CHARACTERS = 500
"""Of what a device said of a failure: devices quote whole payloads."""


def follow_installation(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Note whether a profile was installed, also one that was sent as a plain command."""
    contents = profile_of(answered.request)
    if not answered.is_of_this_life or contents is None or contents.identifier is None or contents.has_mdm_payload:
        return []
    profiles = _known(tx, answered, contents.identifier)
    failure = failure_of(answered)
    if failure is None and all(one.command_uuid != answered.command_uuid for one in profiles):
        payload = answered.request.keys["Payload"]
        assert isinstance(payload, bytes), "its contents were read"
        sent = InstalledProfile(
            channel_id=answered.enrollment.channel.id,
            command_uuid=answered.command_uuid,
            epoch=answered.epoch,
            identifier=contents.identifier,
            payload_uuid=contents.payload_uuid,
            name=contents.display_name,
            digest=hashlib.sha256(payload).digest(),
            account_id=None,
            state=ProfileState.SENT,
            reason=None,
            sent_at=answered.reported_at,
            changed_at=answered.reported_at,
        )
        installed_profiles.add(tx, [sent])
        profiles = (sent, *profiles)
    changes = after_installation(profiles, answered.command_uuid, failure, answered.reported_at)
    installed_profiles.change(tx, changes)
    return []


def follow_removal(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Note whether a profile was removed."""
    identifier = answered.request.keys.get("Identifier")
    if answered.is_of_this_life and isinstance(identifier, str):
        profiles = _known(tx, answered, identifier)
        installed_profiles.change(tx, after_removal(profiles, failure_of(answered), answered.reported_at))
    return []


def follow_profile_list(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:  # noqa: ARG001 - the shape of readers
    """Hold what we installed against what the device lists."""
    if answered.status is not Status.ACKNOWLEDGED or not answered.is_of_this_life:
        return []
    listed = answered.report.answer.get("ProfileList")
    if not isinstance(listed, list):
        return [Fault("ProfileList", "is missing or no array")]
    profiles = installed_profiles.of_channel(tx, answered.enrollment.channel.id, answered.epoch)
    installed_profiles.change(tx, after_listing(profiles, _uuids(listed), answered.reported_at))
    return []


def failure_of(answered: AnsweredCommand) -> str | None:
    """Say in the device's words why it refused; None when it acknowledged."""
    return None if answered.status is Status.ACKNOWLEDGED else words_of(answered.report)


def words_of(report: Report) -> str:
    """Put an error chain into one line: each description once, the topmost first."""
    said = [
        one.us_english_description or one.localized_description or f"{one.error_domain} {one.error_code}"
        for one in report.error_chain
    ]
    text = "; ".join(dict.fromkeys(said)) or f"the device answered {report.head.status_text}"
    return text[:MAX_REASON_CHARACTERS]


def _known(tx: Transaction, answered: AnsweredCommand, identifier: str) -> tuple[InstalledProfile, ...]:
    return installed_profiles.of_channel(tx, answered.enrollment.channel.id, answered.epoch, identifier)


def _uuids(listed: Sequence[PlistValue]) -> Mapping[str, str | None]:
    """Map the listed PayloadIdentifiers to PayloadUUIDs; what has none is passed over."""
    uuids: dict[str, str | None] = {}
    for item in listed:
        if isinstance(item, dict) and isinstance(identifier := item.get("PayloadIdentifier"), str):
            uuid = item.get("PayloadUUID")
            uuids[identifier] = uuid if isinstance(uuid, str) else None
    return uuids
