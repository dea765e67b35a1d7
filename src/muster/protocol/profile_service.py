"""Over-the-air enrollment: a device tells what it is before it gets an identity, and proves that before it is managed.

Phase 1: the user opens a profile of type "Profile Service". Phase 2: the device POSTs its attributes, signed with its
built-in identity, and gets a profile that holds a SCEP payload only. Phase 3: it POSTs the same to the same URL, signed
with the identity that SCEP gave it, and gets the enrollment profile. Who signed tells phase 2 from phase 3.

Source: Apple, "Over-the-Air Profile Delivery and Configuration".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from muster.crypto.algorithms import Digest
from muster.crypto.cms.signing import SignerIdentity, sign_attached
from muster.protocol.device_signature import open_signed_by_device
from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import (
    optional_array,
    optional_dictionary,
    optional_text,
    present,
    required_text,
)
from muster.protocol.identifiers import read_identifier, read_udid
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile_payloads import ScepPayload, decode_identity, encode_identity, payloads_of

DEVICE_ATTRIBUTES: Final = ("UDID", "VERSION", "PRODUCT", "SERIAL", "MEID", "IMEI", "DEVICE_NAME")
"""What a server asks for unless it knows better; a device leaves out what it does not have."""

MAX_CHALLENGE_CHARACTERS: Final = 1024
"""Ours have 32."""


@dataclass(frozen=True, slots=True)
class ProfileService:
    """The profile of phase 1. *url* is where the device POSTs its attributes, in both phases that follow."""

    payload_identifier: str
    payload_uuid: str
    display_name: str
    url: str
    device_attributes: tuple[str, ...] = DEVICE_ATTRIBUTES
    challenge: str | None = field(default=None, repr=False)
    organization: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ScepOnlyProfile:
    """The profile of phase 2's reply: the identity by which phase 3 is signed."""

    payload_identifier: str
    payload_uuid: str
    display_name: str
    scep: ScepPayload
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceAttributes:
    """What a device says of itself. None: it was not asked, or has none. version is the build (21A329)."""

    udid: str | None = None
    version: str | None = None
    product: str | None = None
    serial: str | None = None
    meid: str | None = None
    imei: str | None = None
    iccid: str | None = None
    mac_address_en0: str | None = None
    device_name: str | None = None
    challenge: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignedDeviceAttributes:
    """What was said, who signed it, and every certificate of the message (DER).

    Nothing is verified about who issued the signer's certificate: in phase 2 `device_signature.verify_device_chain`
    tells, in phase 3 the authority must be ours. is_legacy: signed with SHA-1 or a short RSA key.
    """

    attributes: DeviceAttributes
    signer_certificate_der: bytes
    certificates_der: tuple[bytes, ...]
    is_legacy: bool


def encode_profile_service(service: ProfileService) -> bytes:
    """*service* as an unsigned XML property list. Devices show by whom it is signed, so sign it."""
    content = present(
        {
            "URL": service.url,
            "DeviceAttributes": list(service.device_attributes),
            "Challenge": service.challenge,
        }
    )
    keys: dict[str, PlistValue | None] = {
        "PayloadType": "Profile Service",
        "PayloadVersion": 1,
        "PayloadIdentifier": service.payload_identifier,
        "PayloadUUID": service.payload_uuid,
        "PayloadDisplayName": service.display_name,
        "PayloadDescription": service.description,
        "PayloadOrganization": service.organization,
        "PayloadContent": content,
    }
    return write_plist(present(keys))


def decode_profile_service(profile_xml: bytes) -> ProfileService:
    """The reverse of `encode_profile_service`, for simulated devices.

    Raises MalformedMessage when *profile_xml* is no property list or not of that type, and when a key is absent or
    has another form.
    """
    keys = read_plist(profile_xml)
    if required_text(keys, "PayloadType") != "Profile Service":
        raise MalformedMessage("PayloadType is not Profile Service")
    content = optional_dictionary(keys, "PayloadContent")
    if content is None:
        raise MalformedMessage("PayloadContent is missing")
    attributes: list[str] = []
    for attribute in optional_array(content, "DeviceAttributes") or []:
        if not isinstance(attribute, str):
            raise MalformedMessage("an item of DeviceAttributes is not a string")
        attributes.append(attribute)
    return ProfileService(
        payload_identifier=required_text(keys, "PayloadIdentifier"),
        payload_uuid=required_text(keys, "PayloadUUID"),
        display_name=optional_text(keys, "PayloadDisplayName") or "",
        url=required_text(content, "URL"),
        device_attributes=tuple(attributes),
        challenge=optional_text(content, "Challenge", MAX_CHALLENGE_CHARACTERS),
        organization=optional_text(keys, "PayloadOrganization"),
        description=optional_text(keys, "PayloadDescription"),
    )


def encode_scep_only_profile(profile: ScepOnlyProfile) -> bytes:
    """*profile* as an unsigned XML property list."""
    keys: dict[str, PlistValue | None] = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": profile.payload_identifier,
        "PayloadUUID": profile.payload_uuid,
        "PayloadDisplayName": profile.display_name,
        "PayloadOrganization": profile.organization,
        "PayloadContent": [encode_identity(profile.payload_identifier, profile.scep)],
    }
    return write_plist(present(keys))


def decode_scep_only_profile(profile_xml: bytes) -> ScepOnlyProfile:
    """The reverse of `encode_scep_only_profile`, for simulated devices.

    Raises MalformedMessage when *profile_xml* is no property list or no profile, when it holds anything else than one
    SCEP payload, and when a key is absent or has another form.
    """
    keys = read_plist(profile_xml)
    if required_text(keys, "PayloadType") != "Configuration":
        raise MalformedMessage("PayloadType is not Configuration")
    payloads = payloads_of(keys)
    if len(payloads) != 1:
        raise MalformedMessage("the profile has not exactly one payload")
    scep = decode_identity(payloads, required_text(payloads[0], "PayloadUUID"))
    if not isinstance(scep, ScepPayload):
        raise MalformedMessage("the payload is not of SCEP")
    return ScepOnlyProfile(
        payload_identifier=required_text(keys, "PayloadIdentifier"),
        payload_uuid=required_text(keys, "PayloadUUID"),
        display_name=optional_text(keys, "PayloadDisplayName") or "",
        scep=scep,
        organization=optional_text(keys, "PayloadOrganization"),
    )


def decode_device_attributes(cms: bytes, *, allow_legacy: bool) -> SignedDeviceAttributes:
    """The attributes in *cms*, DER or BER, of phase 2 or 3. Keys that are unknown are passed over.

    Raises MalformedMessage when *cms* is not one signed message of at most 64 KiB around a property list, or a key has
    another type, is too long, or holds control characters where an identifier belongs; BadSignature when the signature
    does not cover the content; RefusedAlgorithm when an algorithm is unknown, or legacy without *allow_legacy*. Not
    checked: who issued the signer's certificate, and the challenge.
    """
    verified = open_signed_by_device(cms, allow_legacy=allow_legacy)
    keys = read_plist(verified.content)
    attributes = DeviceAttributes(
        udid=read_udid(keys),
        version=optional_text(keys, "VERSION"),
        product=optional_text(keys, "PRODUCT"),
        serial=read_identifier(keys, "SERIAL"),
        meid=read_identifier(keys, "MEID"),
        imei=read_identifier(keys, "IMEI"),
        iccid=read_identifier(keys, "ICCID"),
        mac_address_en0=read_identifier(keys, "MAC_ADDRESS_EN0"),
        device_name=optional_text(keys, "DEVICE_NAME"),
        challenge=_decode_challenge(keys),
    )
    return SignedDeviceAttributes(
        attributes, verified.signer_certificate_der, verified.certificates_der, verified.is_legacy
    )


def encode_device_attributes(
    attributes: DeviceAttributes, signer: SignerIdentity, chain: Sequence[bytes] = (), *, digest: Digest = Digest.SHA256
) -> bytes:
    """*attributes* as a simulated device POSTs them, signed by *signer*, with *chain* (DER) behind its certificate."""
    keys: dict[str, PlistValue | None] = {
        "UDID": attributes.udid,
        "VERSION": attributes.version,
        "PRODUCT": attributes.product,
        "SERIAL": attributes.serial,
        "MEID": attributes.meid,
        "IMEI": attributes.imei,
        "ICCID": attributes.iccid,
        "MAC_ADDRESS_EN0": attributes.mac_address_en0,
        "DEVICE_NAME": attributes.device_name,
        "CHALLENGE": attributes.challenge,
    }
    return sign_attached(write_plist(present(keys)), signer, chain=chain, digest=digest)


def _decode_challenge(keys: Mapping[str, PlistValue]) -> str | None:
    """The challenge, which comes back in the type that the profile had it in: text, or data of old servers."""
    value = keys.get("CHALLENGE")
    if isinstance(value, bytes):
        try:
            value = value.decode("ascii")
        except UnicodeDecodeError:
            raise MalformedMessage("CHALLENGE is not text") from None
        return optional_text({"CHALLENGE": value}, "CHALLENGE", MAX_CHALLENGE_CHARACTERS)
    return optional_text(keys, "CHALLENGE", MAX_CHALLENGE_CHARACTERS)
