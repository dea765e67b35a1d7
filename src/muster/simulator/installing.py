"""The installation of an enrollment profile: identity, Authenticate, TokenUpdate, and what a Mac adds to it.

Sources: Apple, "MDM" payload, "Authenticate", "Token Update".
"""

from contextlib import suppress
from typing import assert_never

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.errors import CryptoError
from muster.crypto.pkcs12 import read_pkcs12
from muster.protocol.checkin import Authenticate, TokenUpdate
from muster.protocol.errors import MalformedMessage
from muster.protocol.profile import (
    BOOTSTRAP_TOKEN,
    EnrollmentProfile,
    IdentityPayload,
    Pkcs12Payload,
    ScepPayload,
    decode_enrollment_profile,
)
from muster.simulator.behaviour import Step
from muster.simulator.contents import read_profile
from muster.simulator.enrollment import Enrollment, EnrollmentFailed, ReceivedProfile
from muster.simulator.facts import Platform, make_uuid
from muster.simulator.introduction import authenticate, token_update
from muster.simulator.machine import Machine
from muster.simulator.scep_client import obtain_identity
from muster.simulator.signed_profile import unwrap_profile
from muster.simulator.transport import ConnectionLost

BOOTSTRAP_TOKEN_BYTES = 64
"""Opaque; real ones have some hundred bytes."""


def read_mobileconfig(mobileconfig: bytes) -> ReceivedProfile:
    """Read an enrollment profile, signed or not. Raises EnrollmentFailed, step "profile"."""
    try:
        profile_xml = unwrap_profile(mobileconfig)
        return ReceivedProfile(decode_enrollment_profile(profile_xml), read_profile(profile_xml))
    except MalformedMessage as error:
        raise EnrollmentFailed("profile", str(error)) from error


async def install(device: Machine, mobileconfig: bytes, *, awaits_configuration: bool = False) -> None:
    """Install the enrollment profile *mobileconfig* on a *device* that has none.

    With *awaits_configuration* the device sits in Setup Assistant until DeviceConfigured, and asks for commands by
    itself. Raises EnrollmentFailed
    when any step fails, or when the device is enrolled already; it is then as it was.
    """
    if device.enrollment is not None:
        raise EnrollmentFailed("profile", "the device is enrolled already")
    received = read_mobileconfig(mobileconfig)
    profile = received.profile
    device.take_terms(profile)
    try:
        enrollment = await _introduced(device, profile, awaits_configuration=awaits_configuration)
    except EnrollmentFailed:
        device.forget_terms()
        raise
    device.enrollment = enrollment
    device.contents.profiles[profile.payload_identifier] = received.installed
    if awaits_configuration:
        device.want_connect(enrollment.device_line)
    await _finish_on_a_mac(device, enrollment)


async def obtain(device: Machine, payload: IdentityPayload) -> SignerIdentity:
    """Get the identity that *payload* says. Raises EnrollmentFailed, step "SCEP" or "PKCS #12"."""
    match payload:
        case Pkcs12Payload(content=content, password=password):
            return _unpack_identity(content, password)
        case ScepPayload():
            return await _obtain_by_scep(device, payload)
        case _:
            assert_never(payload)


async def say(device: Machine, message: Authenticate | TokenUpdate, enrollment: Enrollment) -> None:
    """Check in with *message* under *enrollment*. Raises EnrollmentFailed when it isn't answered by a 2xx."""
    step = type(message).__name__
    try:
        response = await device.check_in(message, enrollment)
    except ConnectionLost as error:
        raise EnrollmentFailed(step, "no connection") from error
    if not response.is_success:
        raise EnrollmentFailed(step, f"answered {response.status}")


async def _introduced(device: Machine, profile: EnrollmentProfile, *, awaits_configuration: bool) -> Enrollment:
    identity = await obtain(device, profile.identity)
    device.presence.bury_abandoned()
    line = device.open_line(profile.topic, device.facts.identifiers, None, make_uuid(device.rng))
    line.is_awaiting_configuration = awaits_configuration
    enrollment = Enrollment(profile, identity, line)
    try:
        _break_off_after(device, Step.SCEP)
        await say(device, authenticate(device.facts, device.contents, enrollment), enrollment)
        _break_off_after(device, Step.AUTHENTICATE)
        await say(device, token_update(device.facts, device.unlock_token(), enrollment, line), enrollment)
    except EnrollmentFailed:
        device.close_line(line)
        raise
    return enrollment


def _break_off_after(device: Machine, step: Step) -> None:
    if device.behaviour.enrollment_ends_after is step:
        raise EnrollmentFailed(step.value, "the installation broke off")


async def _obtain_by_scep(device: Machine, payload: ScepPayload) -> SignerIdentity:
    try:
        device.require_a_voice()
        device.require_trust()
    except ConnectionLost as error:
        raise EnrollmentFailed("SCEP", str(error)) from error
    return await obtain_identity(
        payload,
        device.new_key(),
        device.requests.transport,
        default_common_name=device.facts.enrollment_id or device.facts.udid,
        now=device.now,
        random_bytes=device.rng.randbytes,
    )


def _unpack_identity(content: bytes, password: str) -> SignerIdentity:
    try:
        return read_pkcs12(content, password)
    except CryptoError as error:
        raise EnrollmentFailed("PKCS #12", str(error) or "the password does not open it") from error


async def _finish_on_a_mac(device: Machine, enrollment: Enrollment) -> None:
    """Hand over its bootstrap token, open the channels of who is logged in."""
    if device.facts.platform is not Platform.MAC:
        return
    if BOOTSTRAP_TOKEN in enrollment.profile.server_capabilities and device.facts.is_supervised:
        with suppress(ConnectionLost):  # macOS hands it over again some other time
            await device.set_bootstrap_token(device.rng.randbytes(BOOTSTRAP_TOKEN_BYTES))
    for user in [user for user, is_logged_in in device.users.items() if is_logged_in]:
        if device.enrollment is enrollment:
            await device.log_in(user)
