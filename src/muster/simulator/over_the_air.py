"""Enrollment over the air, as a device does its three phases.

Source: Apple, "Over-the-Air Profile Delivery and Configuration".
"""

from datetime import timedelta

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import make_self_signed
from muster.protocol.errors import MalformedMessage
from muster.protocol.profile_service import (
    DeviceAttributes,
    ProfileService,
    decode_profile_service,
    decode_scep_only_profile,
    encode_device_attributes,
)
from muster.simulator.device_authority import device_authority
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.installing import install, obtain
from muster.simulator.machine import Machine
from muster.simulator.setup_assistant import post_signed, profile_in
from muster.simulator.signed_profile import unwrap_profile
from muster.simulator.web_view import Credentials, visit

OWN_CERTIFICATE_LIFETIME = timedelta(days=3650)
"""Of the certificate that a Mac without one from the factory makes itself."""


async def enroll_over_the_air(
    device: Machine, url: str, *, credentials: Credentials | None = None, has_factory_identity: bool = True
) -> None:
    """Open *url* in the browser, say what is asked, get an identity by SCEP, prove it, and install what comes.

    *has_factory_identity* false: some Macs sign phase 2 with a certificate of their own making. Raises
    EnrollmentFailed when any step fails; the device is then as it was.
    """
    landing = await visit(device.requests.transport, url, credentials=credentials)
    if landing.profile is None:
        raise EnrollmentFailed("download", "the page ended without a profile")
    try:
        service = decode_profile_service(unwrap_profile(landing.profile))
    except MalformedMessage as error:
        raise EnrollmentFailed("profile", str(error)) from error
    attributes = _attributes(device, service)
    signer, chain = _first_signer(device, has_factory_identity=has_factory_identity)
    first = await post_signed(device, service.url, encode_device_attributes(attributes, signer, chain))
    try:
        scep = decode_scep_only_profile(unwrap_profile(profile_in(first))).scep
    except MalformedMessage as error:
        raise EnrollmentFailed("profile", str(error)) from error
    identity = await obtain(device, scep)
    second = await post_signed(device, service.url, encode_device_attributes(attributes, identity))
    await install(device, profile_in(second))


def _attributes(device: Machine, service: ProfileService) -> DeviceAttributes:
    """What was asked for, as far as this device has it."""
    facts = device.facts
    known = {
        "UDID": facts.udid,
        "VERSION": facts.build_version,
        "PRODUCT": facts.product.product_name,
        "SERIAL": facts.serial_number,
        "IMEI": facts.imei,
        "DEVICE_NAME": facts.device_name,
        "MAC_ADDRESS_EN0": facts.wifi_mac,
    }
    told = {key: known.get(key) for key in service.device_attributes}
    return DeviceAttributes(
        udid=told.get("UDID"),
        version=told.get("VERSION"),
        product=told.get("PRODUCT"),
        serial=told.get("SERIAL"),
        imei=told.get("IMEI"),
        mac_address_en0=told.get("MAC_ADDRESS_EN0"),
        device_name=told.get("DEVICE_NAME"),
        challenge=service.challenge,
    )


def _first_signer(device: Machine, *, has_factory_identity: bool) -> tuple[SignerIdentity, tuple[bytes, ...]]:
    if has_factory_identity or device.facts.platform is not Platform.MAC:
        born_with = device_authority().certify(device.facts)
        return born_with.signer, born_with.chain
    key = device.new_key()
    certificate = make_self_signed(
        device.facts.udid, key, now=device.now, lifetime=OWN_CERTIFICATE_LIFETIME, serial_number=1
    )
    return SignerIdentity(certificate, key), ()
