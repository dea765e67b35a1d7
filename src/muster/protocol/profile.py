"""The enrollment profile: the file a device installs to be managed.

Sources: Apple's device management schema, profiles "TopLevel", "CommonPayloadKeys", "com.apple.mdm",
"com.apple.security.scep" and "com.apple.security.root".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import (
    optional_array,
    optional_data,
    optional_dictionary,
    optional_flag,
    optional_integer,
    optional_text,
    present,
    required_data,
    required_text,
)
from muster.protocol.plist import PlistValue, read_plist, write_plist

PROFILE_MEDIA_TYPE: Final = "application/x-apple-aspen-config"

ALL_ACCESS_RIGHTS: Final = 8191
"""All thirteen bits of AccessRights. The user approves them at installation; an update may only take some away."""

PER_USER_CONNECTIONS: Final = "com.apple.mdm.per-user-connections"
BOOTSTRAP_TOKEN: Final = "com.apple.mdm.bootstraptoken"  # noqa: S105 - the name of a capability
GET_TOKEN: Final = "com.apple.mdm.token"  # noqa: S105 - the name of a capability

SIGNING_AND_ENCRYPTION: Final = 5
"""Key Usage 1 (signing) and 4 (encryption): the identity signs Mdm-Signature, and SCEP encrypts to it."""

MAX_CERTIFICATE_BYTES: Final = 64 * 1024
"""Of one trust anchor; certificates have one to five kilobytes."""

_MDM: Final = "com.apple.mdm"
_SCEP: Final = "com.apple.security.scep"
_ROOT: Final = "com.apple.security.root"


@dataclass(frozen=True, slots=True)
class ScepPayload:
    """Where and how the device gets its identity.

    subject: one (attribute, value) pair for each relative distinguished name, in order; attributes are C, L, ST, O,
    OU, CN or dotted OIDs. ca_fingerprint: the digest by which the device knows the authority when SCEP is not under
    TLS.
    """

    payload_uuid: str
    url: str
    subject: tuple[tuple[str, str], ...]
    name: str | None = None
    challenge: str | None = None
    key_size: int = 2048
    key_usage: int = SIGNING_AND_ENCRYPTION
    ca_fingerprint: bytes | None = None
    key_is_extractable: bool = False


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A root certificate that the device shall trust."""

    payload_uuid: str
    display_name: str
    certificate_der: bytes


@dataclass(frozen=True, slots=True)
class EnrollmentProfile:
    """What is to be chosen in an enrollment profile.

    payload_identifier must never change: renewals replace the profile by it. payload_uuid and mdm_payload_uuid may.
    check_in_url: None = server_url serves both. access_rights: None only in user enrollments, which have none.
    trust_anchors are made known before the MDM payload uses them.
    """

    payload_identifier: str
    payload_uuid: str
    mdm_payload_uuid: str
    display_name: str
    topic: str
    server_url: str
    scep: ScepPayload
    organization: str | None = None
    description: str | None = None
    check_in_url: str | None = None
    access_rights: int | None = ALL_ACCESS_RIGHTS
    server_capabilities: tuple[str, ...] = (PER_USER_CONNECTIONS, BOOTSTRAP_TOKEN, GET_TOKEN)
    sign_message: bool = True
    check_out_when_removed: bool = True
    trust_anchors: tuple[TrustAnchor, ...] = ()


def encode_enrollment_profile(profile: EnrollmentProfile) -> bytes:
    """*profile* as an unsigned XML property list, of System scope (a Mac refuses the MDM payload in the user's).

    Not checked: what the device checks, above all that the URLs begin with https:// and the topic with com.apple.mgmt.
    """
    content: list[PlistValue] = [_root_payload(profile, anchor) for anchor in profile.trust_anchors]
    content.append(_scep_payload(profile))
    content.append(_mdm_payload(profile))
    return write_plist(
        present(
            {
                "PayloadType": "Configuration",
                "PayloadVersion": 1,
                "PayloadIdentifier": profile.payload_identifier,
                "PayloadUUID": profile.payload_uuid,
                "PayloadDisplayName": profile.display_name,
                "PayloadDescription": profile.description,
                "PayloadOrganization": profile.organization,
                "PayloadScope": "System",
                "PayloadContent": content,
            }
        )
    )


def decode_enrollment_profile(profile_xml: bytes) -> EnrollmentProfile:
    """The enrollment profile in *profile_xml*, unsigned, as `encode_enrollment_profile` writes them.

    For simulated devices and for tests. Payloads of other types and keys not named in the classes are passed over.

    Raises MalformedMessage when *profile_xml* is no property list or no profile, when it has not exactly one MDM
    payload and the SCEP payload which that names as its identity, and when a key is absent or has another form.
    """
    keys = read_plist(profile_xml)
    if required_text(keys, "PayloadType") != "Configuration":
        raise MalformedMessage("PayloadType is not Configuration")
    payloads = _payloads(keys)
    mdm_payloads = [payload for payload in payloads if payload.get("PayloadType") == _MDM]
    if len(mdm_payloads) != 1:
        raise MalformedMessage("the profile has not exactly one MDM payload")
    mdm = mdm_payloads[0]
    return EnrollmentProfile(
        payload_identifier=required_text(keys, "PayloadIdentifier"),
        payload_uuid=required_text(keys, "PayloadUUID"),
        mdm_payload_uuid=required_text(mdm, "PayloadUUID"),
        display_name=optional_text(keys, "PayloadDisplayName") or "",
        organization=optional_text(keys, "PayloadOrganization"),
        description=optional_text(keys, "PayloadDescription"),
        topic=required_text(mdm, "Topic"),
        server_url=required_text(mdm, "ServerURL"),
        check_in_url=optional_text(mdm, "CheckInURL"),
        access_rights=optional_integer(mdm, "AccessRights"),
        server_capabilities=_texts(mdm, "ServerCapabilities"),
        sign_message=optional_flag(mdm, "SignMessage") or False,
        check_out_when_removed=optional_flag(mdm, "CheckOutWhenRemoved") or False,
        scep=_decode_scep(payloads, required_text(mdm, "IdentityCertificateUUID")),
        trust_anchors=tuple(_decode_anchor(p) for p in payloads if p.get("PayloadType") == _ROOT),
    )


def _payload(profile: EnrollmentProfile, payload_type: str, payload_uuid: str, suffix: str) -> dict[str, PlistValue]:
    """The keys that every payload has. Its identifier is the profile's and a suffix, unique within the profile."""
    return {
        "PayloadType": payload_type,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{profile.payload_identifier}.{suffix}",
        "PayloadUUID": payload_uuid,
    }


def _root_payload(profile: EnrollmentProfile, anchor: TrustAnchor) -> dict[str, PlistValue]:
    return {
        **_payload(profile, _ROOT, anchor.payload_uuid, f"root.{anchor.payload_uuid}"),
        "PayloadDisplayName": anchor.display_name,
        "PayloadContent": anchor.certificate_der,
    }


def _scep_payload(profile: EnrollmentProfile) -> dict[str, PlistValue]:
    scep = profile.scep
    content = present(
        {
            "URL": scep.url,
            "Name": scep.name,
            "Subject": [[[attribute, value]] for attribute, value in scep.subject],
            "Challenge": scep.challenge,
            "Keysize": scep.key_size,
            "Key Type": "RSA",
            "Key Usage": scep.key_usage,
            "CAFingerprint": scep.ca_fingerprint,
            "KeyIsExtractable": scep.key_is_extractable,
        }
    )
    return {**_payload(profile, _SCEP, scep.payload_uuid, "scep"), "PayloadContent": content}


def _mdm_payload(profile: EnrollmentProfile) -> dict[str, PlistValue]:
    keys = present(
        {
            "IdentityCertificateUUID": profile.scep.payload_uuid,
            "Topic": profile.topic,
            "ServerURL": profile.server_url,
            "CheckInURL": profile.check_in_url,
            "AccessRights": profile.access_rights,
            "ServerCapabilities": list(profile.server_capabilities) or None,
            "SignMessage": profile.sign_message,
            "CheckOutWhenRemoved": profile.check_out_when_removed,
        }
    )
    return _payload(profile, _MDM, profile.mdm_payload_uuid, "mdm") | keys


def _payloads(keys: Mapping[str, PlistValue]) -> list[dict[str, PlistValue]]:
    payloads: list[dict[str, PlistValue]] = []
    for payload in optional_array(keys, "PayloadContent") or []:
        if not isinstance(payload, dict):
            raise MalformedMessage("an item of PayloadContent is not a dictionary")
        payloads.append(payload)
    return payloads


def _decode_scep(payloads: list[dict[str, PlistValue]], payload_uuid: str) -> ScepPayload:
    for payload in payloads:
        if payload.get("PayloadUUID") == payload_uuid and payload.get("PayloadType") == _SCEP:
            break
    else:
        raise MalformedMessage("IdentityCertificateUUID names no SCEP payload")
    keys = optional_dictionary(payload, "PayloadContent")
    if keys is None:
        raise MalformedMessage("PayloadContent is missing")
    return ScepPayload(
        payload_uuid=payload_uuid,
        url=required_text(keys, "URL"),
        name=optional_text(keys, "Name"),
        subject=tuple(_decode_attribute(name) for name in optional_array(keys, "Subject") or []),
        challenge=optional_text(keys, "Challenge"),
        # What is absent has Apple's default.
        key_size=optional_integer(keys, "Keysize") or 1024,
        key_usage=optional_integer(keys, "Key Usage") or 0,
        ca_fingerprint=optional_data(keys, "CAFingerprint", 64),
        key_is_extractable=optional_flag(keys, "KeyIsExtractable") is not False,
    )


def _decode_attribute(name: PlistValue) -> tuple[str, str]:
    match name:
        case [[str(attribute), str(value)]]:
            return attribute, value
    raise MalformedMessage("a name of Subject is not one pair of strings")


def _decode_anchor(payload: Mapping[str, PlistValue]) -> TrustAnchor:
    return TrustAnchor(
        payload_uuid=required_text(payload, "PayloadUUID"),
        display_name=optional_text(payload, "PayloadDisplayName") or "",
        certificate_der=required_data(payload, "PayloadContent", MAX_CERTIFICATE_BYTES),
    )


def _texts(keys: Mapping[str, PlistValue], key: str) -> tuple[str, ...]:
    texts: list[str] = []
    for text in optional_array(keys, key) or []:
        if not isinstance(text, str):
            raise MalformedMessage(f"an item of {key} is not a string")
        texts.append(text)
    return tuple(texts)
