"""The enrollment profile: the file a device installs to be managed.

Sources: Apple's device management schema, profiles "TopLevel", "CommonPayloadKeys" and "com.apple.mdm"; the payloads
of identities and certificates are in `profile_payloads`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import (
    optional_array,
    optional_dictionary,
    optional_flag,
    optional_integer,
    optional_text,
    present,
    required_text,
)
from muster.protocol.plist import PlistValue, read_plist, write_plist
from muster.protocol.profile_payloads import (
    MAX_CERTIFICATE_BYTES,
    ROOT,
    SIGNING_AND_ENCRYPTION,
    IdentityPayload,
    Pkcs12Payload,
    ScepPayload,
    TrustAnchor,
    decode_identity,
    decode_trust_anchor,
    encode_identity,
    encode_payload,
    encode_trust_anchor,
    payloads_of,
)

__all__ = [
    "ALL_ACCESS_RIGHTS",
    "BOOTSTRAP_TOKEN",
    "GET_TOKEN",
    "MAX_CERTIFICATE_BYTES",
    "PER_USER_CONNECTIONS",
    "PROFILE_MEDIA_TYPE",
    "SIGNING_AND_ENCRYPTION",
    "EnrollmentMode",
    "EnrollmentProfile",
    "IdentityPayload",
    "Pkcs12Payload",
    "ScepPayload",
    "TrustAnchor",
    "decode_enrollment_profile",
    "encode_enrollment_profile",
]

PROFILE_MEDIA_TYPE: Final = "application/x-apple-aspen-config"

ALL_ACCESS_RIGHTS: Final = 8191
"""All thirteen bits of AccessRights. The user approves them at installation; an update may only take some away."""

PER_USER_CONNECTIONS: Final = "com.apple.mdm.per-user-connections"
BOOTSTRAP_TOKEN: Final = "com.apple.mdm.bootstraptoken"  # noqa: S105 - the name of a capability
GET_TOKEN: Final = "com.apple.mdm.token"  # noqa: S105 - the name of a capability

MAX_CONSENT_CHARACTERS: Final = 16 * 1024
"""Of ConsentText: some pages, more than anybody reads in a dialog."""

_MDM: Final = "com.apple.mdm"


class EnrollmentMode(StrEnum):
    """How an account-driven enrollment manages: the user's own device (BYOD), or the whole device (ADDE)."""

    BYOD = "BYOD"
    ADDE = "ADDE"


@dataclass(frozen=True, slots=True)
class EnrollmentProfile:
    """What is to be chosen in an enrollment profile.

    payload_identifier must never change: renewals replace the profile by it. payload_uuid and mdm_payload_uuid may.
    identity: where the device's identity comes from; its payload is the one that the MDM payload names.
    check_in_url: None = server_url serves both. access_rights: None only in user enrollments, which have none.
    trust_anchors are made known before the MDM payload uses them; each certificate once. enrollment_mode and
    assigned_managed_apple_id: of account-driven enrollments, where both are required; None in all others.
    is_removal_disallowed: the user may not remove the profile; heeded on supervised devices only. consent_text: what
    the user must agree to before installing, in one language for all. part_identifiers: of payloads whose identifier is
    not the profile's and a suffix of ours, by that suffix: a device replaces a payload by its identifier.
    """

    payload_identifier: str
    payload_uuid: str
    mdm_payload_uuid: str
    display_name: str
    topic: str
    server_url: str
    identity: IdentityPayload
    organization: str | None = None
    description: str | None = None
    check_in_url: str | None = None
    access_rights: int | None = ALL_ACCESS_RIGHTS
    server_capabilities: tuple[str, ...] = (PER_USER_CONNECTIONS, BOOTSTRAP_TOKEN, GET_TOKEN)
    sign_message: bool = True
    check_out_when_removed: bool = True
    trust_anchors: tuple[TrustAnchor, ...] = ()
    enrollment_mode: EnrollmentMode | None = None
    assigned_managed_apple_id: str | None = None
    is_removal_disallowed: bool = False
    consent_text: str | None = None
    part_identifiers: tuple[tuple[str, str], ...] = ()


def encode_enrollment_profile(profile: EnrollmentProfile) -> bytes:
    """*profile* as an unsigned XML property list, of System scope (a Mac refuses the MDM payload in the user's).

    A user enrollment (BYOD) has neither AccessRights nor PayloadRemovalDisallowed, whatever *profile* says: Apple
    forbids them there. Not checked: what the device checks, above all that the URLs begin with https:// and the topic
    with com.apple.mgmt.
    """
    identifier = profile.payload_identifier
    content: list[PlistValue] = [encode_trust_anchor(identifier, anchor) for anchor in profile.trust_anchors]
    content.append(encode_identity(identifier, profile.identity))
    content.append(_mdm_payload(profile))
    own = {f"{identifier}.{suffix}": named for suffix, named in profile.part_identifiers}
    for payload in content:
        assert isinstance(payload, dict), "payloads are dictionaries"
        payload["PayloadIdentifier"] = own.get(str(payload["PayloadIdentifier"]), payload["PayloadIdentifier"])
    is_user_enrollment = profile.enrollment_mode is EnrollmentMode.BYOD
    return write_plist(
        present(
            {
                "PayloadType": "Configuration",
                "PayloadVersion": 1,
                "PayloadIdentifier": identifier,
                "PayloadUUID": profile.payload_uuid,
                "PayloadDisplayName": profile.display_name,
                "PayloadDescription": profile.description,
                "PayloadOrganization": profile.organization,
                "PayloadScope": "System",
                "PayloadRemovalDisallowed": True if profile.is_removal_disallowed and not is_user_enrollment else None,
                "ConsentText": None if profile.consent_text is None else {"default": profile.consent_text},
                "PayloadContent": content,
            }
        )
    )


def decode_enrollment_profile(profile_xml: bytes) -> EnrollmentProfile:
    """The enrollment profile in *profile_xml*, unsigned, as `encode_enrollment_profile` writes them.

    For simulated devices and for tests. Payloads of other types and keys not named in the classes are passed over,
    and so is a ConsentText without a default language.

    Raises MalformedMessage when *profile_xml* is no property list or no profile, when it has not exactly one MDM
    payload and the SCEP or PKCS #12 payload which that names as its identity, and when a key is absent or has another
    form.
    """
    keys = read_plist(profile_xml)
    if required_text(keys, "PayloadType") != "Configuration":
        raise MalformedMessage("PayloadType is not Configuration")
    payloads = payloads_of(keys)
    mdm_payloads = [payload for payload in payloads if payload.get("PayloadType") == _MDM]
    if len(mdm_payloads) != 1:
        raise MalformedMessage("the profile has not exactly one MDM payload")
    mdm = mdm_payloads[0]
    consent = optional_dictionary(keys, "ConsentText") or {}
    identity = decode_identity(payloads, required_text(mdm, "IdentityCertificateUUID"))
    profile = EnrollmentProfile(
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
        identity=identity,
        trust_anchors=tuple(decode_trust_anchor(p) for p in payloads if p.get("PayloadType") == ROOT),
        enrollment_mode=_decode_mode(optional_text(mdm, "EnrollmentMode")),
        assigned_managed_apple_id=optional_text(mdm, "AssignedManagedAppleID"),
        is_removal_disallowed=optional_flag(keys, "PayloadRemovalDisallowed") or False,
        consent_text=optional_text(consent, "default", MAX_CONSENT_CHARACTERS),
    )
    return replace(profile, part_identifiers=_part_identifiers(profile, payloads))


def _part_identifiers(
    profile: EnrollmentProfile, payloads: Sequence[Mapping[str, PlistValue]]
) -> tuple[tuple[str, str], ...]:
    """Gather the identifiers of payloads that are not as ours would be."""
    found = []
    for payload in payloads:
        ours = _our_payload(profile, payload)
        named = optional_text(payload, "PayloadIdentifier")
        if ours is not None and named is not None and ours["PayloadIdentifier"] != named:
            found.append((str(ours["PayloadIdentifier"]).removeprefix(f"{profile.payload_identifier}."), named))
    return tuple(sorted(found))


def _our_payload(profile: EnrollmentProfile, payload: Mapping[str, PlistValue]) -> Mapping[str, PlistValue] | None:
    """Return what we would write in the place of a payload; None for those that are none of an enrollment's."""
    if payload.get("PayloadType") == _MDM:
        return _mdm_payload(profile)
    if payload.get("PayloadUUID") == profile.identity.payload_uuid:
        return encode_identity(profile.payload_identifier, profile.identity)
    if payload.get("PayloadType") == ROOT:
        return encode_trust_anchor(profile.payload_identifier, decode_trust_anchor(payload))
    return None


def _mdm_payload(profile: EnrollmentProfile) -> dict[str, PlistValue]:
    is_user_enrollment = profile.enrollment_mode is EnrollmentMode.BYOD
    keys = present(
        {
            "IdentityCertificateUUID": profile.identity.payload_uuid,
            "Topic": profile.topic,
            "ServerURL": profile.server_url,
            "CheckInURL": profile.check_in_url,
            "AccessRights": None if is_user_enrollment else profile.access_rights,
            "ServerCapabilities": list(profile.server_capabilities) or None,
            "SignMessage": profile.sign_message,
            "CheckOutWhenRemoved": profile.check_out_when_removed,
            "EnrollmentMode": profile.enrollment_mode and profile.enrollment_mode.value,
            "AssignedManagedAppleID": profile.assigned_managed_apple_id,
        }
    )
    return encode_payload(profile.payload_identifier, _MDM, profile.mdm_payload_uuid, "mdm") | keys


def _decode_mode(mode: str | None) -> EnrollmentMode | None:
    if mode is None:
        return None
    try:
        return EnrollmentMode(mode)
    except ValueError:
        raise MalformedMessage("EnrollmentMode is neither BYOD nor ADDE") from None


def _texts(keys: Mapping[str, PlistValue], key: str) -> tuple[str, ...]:
    texts: list[str] = []
    for text in optional_array(keys, key) or []:
        if not isinstance(text, str):
            raise MalformedMessage(f"an item of {key} is not a string")
        texts.append(text)
    return tuple(texts)
