"""Profiles are held against the channels they go to: what may not be replaced there, and what is ours to remove."""

from collections.abc import Mapping, Sequence

from muster.domain.command_findings import Finding, FindingCode, Severity
from muster.domain.enrollment import Enrollment
from muster.protocol.command import CommandRequest
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.protocol.profile_contents import ProfileContents, read_profile_contents
from muster.storage import installations, installed_profiles
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction

INSTALL_PROFILE = "InstallProfile"
REMOVE_PROFILE = "RemoveProfile"


def check_profiles(
    tx: Transaction,
    request: CommandRequest,
    enrolled: Sequence[Enrollment],
    devices: Mapping[DeviceId, StoredTarget],
) -> dict[ChannelId, tuple[Finding, ...]]:
    """Tell of each channel what is to be said of an InstallProfile or RemoveProfile; of other commands nothing.

    *devices*: with the terms of their enrollment profiles, where they are known. A profile that would take the
    enrollment profile's place is an error whatever it holds; to remove a profile that nobody sent from here is a
    warning, and removing the enrollment profile itself is always allowed.
    """
    match request.request_type:
        case "InstallProfile":
            contents = profile_of(request)
            identifier = None if contents is None or contents.has_mdm_payload else contents.identifier
        case "RemoveProfile":
            value = request.keys.get("Identifier")
            identifier = value if isinstance(value, str) else None
        case _:
            return {}
    if identifier is None:
        return {}
    own = _enrolled_identifiers(tx, enrolled, devices)
    enrolling = {one.channel.id for one in enrolled if own[one.channel.device_id] == identifier}
    if request.request_type == INSTALL_PROFILE:
        return {channel_id: (_replaces_enrollment(identifier),) for channel_id in enrolling}
    others = {one.channel.id for one in enrolled} - enrolling
    foreign = others - installed_profiles.holding(tx, others, identifier)
    return {channel_id: (_not_ours(identifier),) for channel_id in foreign}


def profile_of(request: CommandRequest) -> ProfileContents | None:
    """Read what the profile of an InstallProfile holds; None when it has none that can be read."""
    payload = request.keys.get("Payload")
    if request.request_type != INSTALL_PROFILE or not isinstance(payload, bytes):
        return None
    try:
        return read_profile_contents(payload)
    except MalformedMessage:
        return None


def _enrolled_identifiers(
    tx: Transaction, enrolled: Sequence[Enrollment], devices: Mapping[DeviceId, StoredTarget]
) -> dict[DeviceId, str | None]:
    """Tell by which PayloadIdentifier each device's enrollment profile goes: ours, where that is not known."""
    here = installations.read(tx)
    ours = None if here is None else here.profile_identifier
    known = {device_id: one.terms.payload_identifier for device_id, one in devices.items() if one.terms is not None}
    return {one.channel.device_id: known.get(one.channel.device_id, ours) for one in enrolled}


def _replaces_enrollment(identifier: str) -> Finding:
    message = (
        f"Payload has the PayloadIdentifier of the enrollment profile ({identifier}) and would take its place, which "
        "cuts the device off; give it another one"
    )
    return Finding(Severity.ERROR, FindingCode.REPLACES_ENROLLMENT, "Payload", message)


def _not_ours(identifier: str) -> Finding:
    message = (
        f"no profile {identifier[:200]} was installed from here: devices remove none that others installed, and answer "
        "with an error"
    )
    return Finding(Severity.WARNING, FindingCode.PROFILE_NOT_OURS, "Identifier", message)
