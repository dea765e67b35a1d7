"""A command is held against what is known of the devices it goes to, before it is queued."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from muster.domain.access import LinkKind
from muster.domain.command_findings import CommandTarget, Finding, Severity
from muster.domain.command_validation import check_command
from muster.domain.enrollment import Enrollment
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.check_apps import check_apps
from muster.operations.check_profiles import check_profiles
from muster.protocol.command import Command, CommandRequest, encode_command
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, CommandUUID
from muster.protocol.os_family import OsFamily, family_of
from muster.storage import command_targets
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction

_FAMILIES = {ChannelKind.USER: OsFamily.MACOS, ChannelKind.SHARED_IPAD: OsFamily.IOS}
"""Of devices that didn't say what they are, by the users they have."""
MAXIMUM_TARGETS = 5_000
"""Of which findings are kept for one request: more than a fleet has of models, versions and kinds of enrollment."""
_NONE = CommandUUID("")
_USER_ENROLLMENTS = frozenset({ChannelKind.USER_ENROLLMENT_DEVICE, ChannelKind.USER_ENROLLMENT_USER})


def check_channels(
    tx: Transaction, request: CommandRequest, enrolled: Sequence[Enrollment]
) -> dict[ChannelId, tuple[Finding, ...]]:
    """Tell of each channel of *enrolled* what is to be said of *request*; what is not known is held against none."""
    stored = command_targets.find(tx, sorted({one.channel.device_id for one in enrolled}))
    unknown = StoredTarget()
    devices = [stored.get(one.channel.device_id, unknown) for one in enrolled]
    # of devices that are alike one record is read, and by that they are told: a fleet has few kinds of channels
    kinds = [(one.channel.kind, id(device)) for one, device in zip(enrolled, devices, strict=True)]
    targets: dict[tuple[ChannelKind, int], CommandTarget] = {}
    for one, device, kind in zip(enrolled, devices, kinds, strict=True):
        if kind not in targets:
            targets[kind] = target_of(one.channel, device)
    of_targets = _check(request, set(targets.values()))
    of_kinds = {kind: of_targets[target] for kind, target in targets.items()}
    findings = {one.channel.id: of_kinds[kind] for one, kind in zip(enrolled, kinds, strict=True)}
    for others in (check_profiles(tx, request, enrolled, stored), check_apps(tx, request, enrolled)):
        for channel_id, found in others.items():
            findings[channel_id] = (*findings[channel_id], *found)
    return findings


def _check(request: CommandRequest, targets: Collection[CommandTarget]) -> Mapping[CommandTarget, tuple[Finding, ...]]:
    """Check *request* for those of *targets* for which that was not done lately: a fleet is alike part for part."""
    known = _known_findings(hashlib.sha256(encode_command(Command(_NONE, request.request_type, request.keys))).digest())
    missing = [one for one in targets if one not in known]
    if len(known) + len(missing) > MAXIMUM_TARGETS:
        return check_command(request, targets)
    known.update(check_command(request, missing))
    return known


@lru_cache(maxsize=8)
def _known_findings(request: bytes) -> dict[CommandTarget, tuple[Finding, ...]]:  # noqa: ARG001 - what it is kept by
    return {}


def target_of(channel: Channel, device: StoredTarget) -> CommandTarget:
    """Put together what is known of a channel and its device: what the device says, else what its enrollment tells.

    What comes by Automated Device Enrollment is supervised.
    """
    is_user_enrollment = channel.kind in _USER_ENROLLMENTS
    is_automated = None if device.link_kind is None else device.link_kind is LinkKind.ADE
    if device.is_automated_enrollment is not None:
        is_automated = device.is_automated_enrollment
    is_supervised = device.is_supervised if device.is_supervised is not None else is_automated or None
    is_shared = device.has_shared_ipad_users or channel.kind is ChannelKind.SHARED_IPAD or device.is_multi_user
    return CommandTarget(
        family=family_of(device.product_name) or family_of(device.model) or _FAMILIES.get(channel.kind),
        os_version=device.os_version,
        is_user_channel=not channel.is_device,
        is_supervised=False if is_user_enrollment else is_supervised,
        is_user_enrollment=is_user_enrollment,
        is_automated_enrollment=is_automated,
        is_shared_ipad=is_shared,
        access_rights=None if device.terms is None else device.terms.access_rights,
    )


def unwritable(request: CommandRequest) -> Refusal | None:
    """Tell what of the command no property list can say, such as control characters and half a character, or None."""
    try:
        encode_command(Command(_NONE, request.request_type, request.keys))
    except ValueError as error:
        said = "a text has half a character" if isinstance(error, UnicodeEncodeError) else str(error)
        return Refusal(
            RefusalCode.COMMAND_MALFORMED,
            f"{request.request_type} can't be sent as it is\n{said}",
            "Leave them out.",
        )
    return None


def malformed(request: CommandRequest, findings: Iterable[Collection[Finding]]) -> Refusal | None:
    """Tell what of the command's form is wrong, whatever it goes to, or None."""
    errors = [one for found in findings for one in found if one.severity is Severity.ERROR]
    if not errors:
        return None
    message = _lines(f"{request.request_type} can't be sent as it is", errors)
    return Refusal(
        RefusalCode.COMMAND_MALFORMED, message, f"See `muster commands describe {request.request_type}` for its keys."
    )


def unfit_for(request: CommandRequest, findings: Mapping[ChannelId, Collection[Finding]]) -> dict[ChannelId, Refusal]:
    """Tell on which channels the command would be refused or passed over, and why."""
    refused = {}
    for channel_id, found in findings.items():
        warnings = [one for one in found if one.severity is Severity.WARNING]
        if warnings:
            message = _lines(f"{request.request_type} was not queued for {channel_id}", warnings)
            remedy = "To send it nevertheless, add --anyway."
            refused[channel_id] = Refusal(RefusalCode.COMMAND_UNFIT, message, remedy)
    return refused


def _lines(head: str, findings: Iterable[Finding]) -> str:
    """Put what was found below *head*, each sentence once."""
    return "\n".join([head, *dict.fromkeys(finding.message for finding in findings)])
