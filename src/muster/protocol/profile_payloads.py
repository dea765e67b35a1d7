"""The payloads of certificates and identities that profiles of ours hold, and what all payloads have in common.

Sources: Apple's device management schema, profiles "CommonPayloadKeys", "com.apple.security.scep",
"com.apple.security.pkcs12" and "com.apple.security.root".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from muster.crypto.certificates import fingerprint
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
from muster.protocol.plist import PlistValue

SIGNING_AND_ENCRYPTION: Final = 5
"""Key Usage 1 (signing) and 4 (encryption): the identity signs Mdm-Signature, and SCEP encrypts to it."""

MAX_CERTIFICATE_BYTES: Final = 64 * 1024
"""Of one trust anchor; certificates have one to five kilobytes."""

MAX_PKCS12_BYTES: Final = 64 * 1024
"""Of one identity with its key and chain, which have three to ten kilobytes."""

SCEP: Final = "com.apple.security.scep"
PKCS12: Final = "com.apple.security.pkcs12"
ROOT: Final = "com.apple.security.root"

_ANCHOR_DIGITS: Final = 16
"""Hexadecimal digits of a trust anchor's SHA-256 in its identifier: 64 bits tell a profile's few anchors apart."""


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
class Pkcs12Payload:
    """An identity made by the server, key included: for devices that cannot reach SCEP.

    content: the PKCS #12 file. Whoever has the profile has the identity, so each must be made for one device. On
    Macs the key is not extractable; other platforms do not know the choice.
    """

    payload_uuid: str
    content: bytes = field(repr=False)
    password: str = field(repr=False)
    file_name: str = "identity.p12"


IdentityPayload: TypeAlias = ScepPayload | Pkcs12Payload


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A root certificate that the device shall trust."""

    payload_uuid: str
    display_name: str
    certificate_der: bytes


def encode_payload(profile_identifier: str, payload_type: str, payload_uuid: str, suffix: str) -> dict[str, PlistValue]:
    """The keys that every payload has. Its identifier is the profile's and *suffix*, unique within the profile.

    *suffix* must not change over renewals: a device replaces a payload by its identifier.
    """
    return {
        "PayloadType": payload_type,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{profile_identifier}.{suffix}",
        "PayloadUUID": payload_uuid,
    }


def encode_trust_anchor(profile_identifier: str, anchor: TrustAnchor) -> dict[str, PlistValue]:
    """The payload of *anchor*. Its identifier follows from the certificate, so that it is the same in each renewal."""
    digest = fingerprint(anchor.certificate_der).hex()[:_ANCHOR_DIGITS]
    return {
        **encode_payload(profile_identifier, ROOT, anchor.payload_uuid, f"root.{digest}"),
        "PayloadDisplayName": anchor.display_name,
        "PayloadContent": anchor.certificate_der,
    }


def decode_trust_anchor(payload: Mapping[str, PlistValue]) -> TrustAnchor:
    """The reverse of `encode_trust_anchor`. Raises MalformedMessage; that it holds a certificate is not checked."""
    return TrustAnchor(
        payload_uuid=required_text(payload, "PayloadUUID"),
        display_name=optional_text(payload, "PayloadDisplayName") or "",
        certificate_der=required_data(payload, "PayloadContent", MAX_CERTIFICATE_BYTES),
    )


def encode_identity(profile_identifier: str, identity: IdentityPayload) -> dict[str, PlistValue]:
    """The payload of *identity*."""
    match identity:
        case ScepPayload():
            return _encode_scep(profile_identifier, identity)
        case Pkcs12Payload():
            return _encode_pkcs12(profile_identifier, identity)
        case _:
            assert_never(identity)


def decode_identity(payloads: Sequence[Mapping[str, PlistValue]], payload_uuid: str) -> IdentityPayload:
    """The identity payload of that UUID among *payloads*.

    Raises MalformedMessage when none of them is a SCEP or PKCS #12 payload of that UUID, and when a key of it is
    absent or has another form.
    """
    for payload in payloads:
        if payload.get("PayloadUUID") == payload_uuid:
            match payload.get("PayloadType"):
                case "com.apple.security.scep":
                    return _decode_scep(payload, payload_uuid)
                case "com.apple.security.pkcs12":
                    return _decode_pkcs12(payload, payload_uuid)
    raise MalformedMessage("IdentityCertificateUUID names no identity payload that is known here")


def payloads_of(profile: Mapping[str, PlistValue]) -> list[dict[str, PlistValue]]:
    """The payloads in a decoded *profile*, in order. Raises MalformedMessage when one is no dictionary."""
    payloads: list[dict[str, PlistValue]] = []
    for payload in optional_array(profile, "PayloadContent") or []:
        if not isinstance(payload, dict):
            raise MalformedMessage("an item of PayloadContent is not a dictionary")
        payloads.append(payload)
    return payloads


def _encode_scep(profile_identifier: str, scep: ScepPayload) -> dict[str, PlistValue]:
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
    return {**encode_payload(profile_identifier, SCEP, scep.payload_uuid, "scep"), "PayloadContent": content}


def _decode_scep(payload: Mapping[str, PlistValue], payload_uuid: str) -> ScepPayload:
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


def _encode_pkcs12(profile_identifier: str, identity: Pkcs12Payload) -> dict[str, PlistValue]:
    return {
        **encode_payload(profile_identifier, PKCS12, identity.payload_uuid, "pkcs12"),
        "PayloadCertificateFileName": identity.file_name,
        "PayloadContent": identity.content,
        "Password": identity.password,
        "KeyIsExtractable": False,
    }


def _decode_pkcs12(payload: Mapping[str, PlistValue], payload_uuid: str) -> Pkcs12Payload:
    return Pkcs12Payload(
        payload_uuid=payload_uuid,
        content=required_data(payload, "PayloadContent", MAX_PKCS12_BYTES),
        password=optional_text(payload, "Password") or "",
        file_name=optional_text(payload, "PayloadCertificateFileName") or "identity.p12",
    )
