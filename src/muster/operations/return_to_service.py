"""Return to Service: a device that is erased enrolls by itself again, because an administrator wanted it so.

Its new profile says what it is enrolled with now, and its challenge is good for that device alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from muster.domain.access import Grant
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import Enrollment, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.return_to_service import COMMAND_CHALLENGE_LIFETIME, MAXIMUM_WIFI_PROFILE_BYTES, can_return
from muster.operations.context import Context
from muster.operations.enrollment_profiles import make_profile
from muster.operations.permit import act
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.checkin_replies import ReturnToServiceReply
from muster.protocol.command import CommandRequest
from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import required_text
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.protocol.plist import PlistValue, read_plist
from muster.protocol.profile import encode_enrollment_profile
from muster.storage import enrollment_profiles, enrollments, evidence, known_facts, people, return_to_service
from muster.storage.engine import Transaction
from muster.storage.return_to_service import ALL_DEVICES, ReturnSetUp

_DER_SEQUENCE = 0x30
"""The first octet of a signed profile (CMS)."""


# --- what an administrator sets ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReturnPolicyOrder:
    """Whether a device (None: all that have nothing of their own) returns to service when it is erased locally."""

    device_id: DeviceId | None
    is_enabled: bool
    wifi_profile: bytes | None = field(default=None, repr=False)


@act(Permission.ENROLL, about=lambda _tx, order: None if order.device_id is None else (order.device_id,))
def set_return_policies(
    tx: Transaction, orders: Sequence[ReturnPolicyOrder], ctx: Context
) -> list[ReturnSetUp | Refusal]:
    """Set what stands for devices that ask when they are erased; refused for an unknown device, or no Wi-Fi profile."""
    return [_set(tx, order, ctx) for order in orders]


def _set(tx: Transaction, order: ReturnPolicyOrder, ctx: Context) -> ReturnSetUp | Refusal:
    scope = order.device_id or ALL_DEVICES
    if order.device_id is not None:
        channel = ChannelId(order.device_id)
        if channel not in enrollments.find(tx, [channel]):
            return _unknown(order.device_id)
    refusal = _unfit_profile(order.wifi_profile)
    if refusal is not None:
        return refusal
    sealed = (
        None
        if order.wifi_profile is None
        else ctx.seal(order.wifi_profile, table="return_to_service", column="wifi_profile_sealed", row=scope)
    )
    set_up = ReturnSetUp(scope, order.is_enabled, sealed, ctx.now, ctx.actor.name)
    return_to_service.write(tx, set_up)
    detail = {"is_enabled": order.is_enabled, "has_wifi_profile": order.wifi_profile is not None}
    people.record_act(tx, ctx.actor, "return_to_service.set", scope or "all devices", detail, ctx.now)
    return set_up


# --- a device asks ----------------------------------------------------------------------------------------------------


def answer_return(tx: Transaction, device: Enrollment, ctx: Context, source: str) -> ReturnToServiceReply:
    """Answer a device that is being erased: it returns to service only where an administrator has set that it does."""
    device_id = device.channel.device_id
    set_up = return_to_service.read(tx, device_id)
    if set_up is None or not set_up.is_enabled:
        return ReturnToServiceReply(enabled=False)
    profile = _profile_for(tx, device_id, ctx, expires_at=ctx.now + ctx.policy.challenge_lifetime)
    outcome = "return_to_service" if isinstance(profile, bytes) else "return_to_service_refused"
    detail = {"reason": None if isinstance(profile, bytes) else profile.message}
    told = Observation(ChannelId(device_id), Signal.PROFILE_FETCHED, outcome, ctx.now, device.epoch, source, detail)
    evidence.append(tx, [told], ctx.new_id)
    if isinstance(profile, Refusal):
        return ReturnToServiceReply(enabled=False)
    return ReturnToServiceReply(enabled=True, wifi_profile_data=_wifi_profile(set_up, ctx), mdm_profile_data=profile)


def _wifi_profile(set_up: ReturnSetUp, ctx: Context) -> bytes | None:
    if set_up.wifi_profile_sealed is None:
        return None
    return ctx.open(
        set_up.wifi_profile_sealed, table="return_to_service", column="wifi_profile_sealed", row=set_up.scope
    )


# --- an administrator sends it ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReturnOrder:
    """Erase a device, and have it enroll by itself again. *wifi_profile* is needed without Ethernet or cellular."""

    device_id: DeviceId
    wifi_profile: bytes | None = field(default=None, repr=False)
    named_count: int | None = None
    """1, for more than the hour's limit of commands that disrupt work."""


ReturnOutcome: TypeAlias = QueuedCommand | Refusal


@act(Permission.ERASE, about=lambda _tx, order: (order.device_id,))
def return_devices(tx: Transaction, orders: Sequence[ReturnOrder], ctx: Context) -> list[ReturnOutcome]:
    """Queue EraseDevice with ReturnToService for each device, its body sealed, for it carries a challenge."""
    return [_return(tx, order, ctx) for order in orders]


def _return(tx: Transaction, order: ReturnOrder, ctx: Context) -> ReturnOutcome:
    channel = ChannelId(order.device_id)
    enrollment = enrollments.find(tx, [channel]).get(channel)
    if enrollment is None or not enrollment.channel.is_device:
        return _unknown(order.device_id)
    refusal = _unfit_profile(order.wifi_profile)
    if refusal is not None:
        return refusal
    profile = _profile_for(tx, order.device_id, ctx, expires_at=ctx.now + COMMAND_CHALLENGE_LIFETIME)
    if isinstance(profile, Refusal):
        return profile
    returning: dict[str, PlistValue] = {"Enabled": True, "MDMProfileData": profile}
    if order.wifi_profile is not None:
        returning["WiFiProfileData"] = order.wifi_profile
    request = CommandRequest("EraseDevice", {"ReturnToService": returning})
    erasing = CommandOrder((channel,), request, is_secret=True, anyway=True, named_count=order.named_count)
    outcome = queue_commands(tx, [erasing], ctx)[0]
    if isinstance(outcome, QueuedCommand):
        detail: people.AuditDetail = {
            "command_uuid": outcome.command_uuid,
            "has_wifi_profile": order.wifi_profile is not None,
        }
        people.record_act(tx, ctx.actor, "device.return_to_service", order.device_id, detail, ctx.now)
    return outcome


def _profile_for(tx: Transaction, device_id: DeviceId, ctx: Context, *, expires_at: datetime) -> bytes | Refusal:
    """Make the profile that brings a device back. It is not signed: it reaches the device in an answer of ours."""
    terms = enrollment_profiles.of_device(tx, device_id)
    facts = known_facts.facts_of(tx, ChannelId(device_id))
    refusal = can_return(terms, facts.product_name)
    if refusal is not None or terms is None:
        return refusal or Refusal(RefusalCode.CANNOT_RETURN, "the device can't return to service")
    grant = Grant(Provenance.LINK, expected_udid=device_id)
    return encode_enrollment_profile(make_profile(tx, terms, grant, ctx, expires_at=expires_at))


def _unfit_profile(profile: bytes | None) -> Refusal | None:
    """Tell why bytes are no profile to install, or None. What a signed one holds is not looked at."""
    if profile is None or (profile[:1] == bytes([_DER_SEQUENCE]) and len(profile) <= MAXIMUM_WIFI_PROFILE_BYTES):
        return None
    reason = f"the Wi-Fi profile has more than {MAXIMUM_WIFI_PROFILE_BYTES} bytes"
    if len(profile) <= MAXIMUM_WIFI_PROFILE_BYTES:
        try:
            if required_text(read_plist(profile), "PayloadType") == "Configuration":
                return None
            reason = "the Wi-Fi profile is no configuration profile"
        except MalformedMessage as error:
            reason = f"the Wi-Fi profile can't be read: {error}"
    return Refusal(RefusalCode.PROFILE_UNFIT, reason, "Give a .mobileconfig that joins the Wi-Fi network.")


def _unknown(device_id: str) -> Refusal:
    return Refusal(RefusalCode.NOT_FOUND, f"no device {device_id} is known", "See `muster devices list`.")
