"""What kinds of payloads a configuration profile holds, whoever made it.

Source: Apple's device management schema, profiles "TopLevel" and "CommonPayloadKeys".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from muster.crypto.cms.signed_data import parse_signed_data
from muster.crypto.errors import CryptoError
from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist

MDM_PAYLOAD: Final = "com.apple.mdm"
_BEGINNING_OF_DER: Final = b"\x30"  # a SEQUENCE; no property list begins with a zero


ACCOUNT_PAYLOADS: Final = frozenset(
    {
        "com.apple.mail.managed",
        "com.apple.eas.account",
        "com.apple.ews.account",
        "com.apple.caldav.account",
        "com.apple.carddav.account",
        "com.apple.subscribedcalendar.account",
        "com.apple.ldap.account",
        "com.apple.google-oauth",
        "com.apple.jabber.account",
    }
)
"""Payloads each of which makes an account on the device."""

CERTIFICATE_PAYLOADS: Final = frozenset({"com.apple.wifi.managed", "com.apple.vpn.managed"})
"""Payloads that count as an account where they name a certificate: it has to be renewed with them."""

MAX_IDENTIFIER_CHARACTERS: Final = 1024
"""Of a profile's PayloadIdentifier, which is like a domain name; a database's index takes no longer ones."""


@dataclass(frozen=True, slots=True)
class ProfileContents:
    """The types of all payloads, in any depth, as they are written. *is_encrypted*: there are more, for the device
    alone to read.

    *identifier*, *payload_uuid* and *display_name* are the profile's own; None: absent, too long, or no string.
    *accounts* are the types of payloads that make an account each, or use a certificate of their own.
    """

    payload_types: tuple[str, ...]
    is_encrypted: bool
    identifier: str | None = None
    payload_uuid: str | None = None
    display_name: str | None = None
    accounts: tuple[str, ...] = ()

    @property
    def has_mdm_payload(self) -> bool:
        """True when installing it would enroll the device, or change how it is enrolled."""
        return any(one.strip().casefold() == MDM_PAYLOAD for one in self.payload_types)


def read_profile_contents(mobileconfig: bytes) -> ProfileContents:
    """The contents of a profile, signed or not.

    Raises MalformedMessage when *mobileconfig* is neither a property list nor a signed one. Not checked: the signature,
    and whether it is a profile that a device would install.
    """
    profile = read_plist(unwrapped(mobileconfig))
    return ProfileContents(
        tuple(_payload_types(profile)),
        "EncryptedPayloadContent" in profile,
        identifier=_short_text(profile, "PayloadIdentifier"),
        payload_uuid=_short_text(profile, "PayloadUUID"),
        display_name=_short_text(profile, "PayloadDisplayName"),
        accounts=tuple(_accounts(profile.get("PayloadContent"))),
    )


def _short_text(profile: Mapping[str, PlistValue], key: str) -> str | None:
    value = profile.get(key)
    is_fit = isinstance(value, str) and 0 < len(value) <= MAX_IDENTIFIER_CHARACTERS and value.isprintable()
    return value if is_fit and isinstance(value, str) else None


def _accounts(payloads: PlistValue | None) -> Iterator[str]:
    """Name the type of each payload that is an account of its own."""
    for payload in payloads if isinstance(payloads, list) else ():
        payload_type = payload.get("PayloadType") if isinstance(payload, dict) else None
        if not isinstance(payload_type, str):
            continue
        names_certificate = payload_type in CERTIFICATE_PAYLOADS and _names_certificate(payload)
        if payload_type in ACCOUNT_PAYLOADS or names_certificate:
            yield payload_type


def _names_certificate(payload: PlistValue) -> bool:
    """Tell whether PayloadCertificateUUID stands anywhere in *payload*, as in the IKEv2 dictionary of a VPN."""
    if not isinstance(payload, dict):
        return False
    return "PayloadCertificateUUID" in payload or any(_names_certificate(one) for one in payload.values())


def unwrapped(mobileconfig: bytes) -> bytes:
    if not mobileconfig.startswith(_BEGINNING_OF_DER):
        return mobileconfig
    try:
        content = parse_signed_data(mobileconfig).content
    except CryptoError as error:
        raise MalformedMessage(f"the signed profile: {error}") from error
    if content is None:
        raise MalformedMessage("the signed profile has no content")
    return content


def _payload_types(value: PlistValue) -> Iterator[str]:
    """Name what is called PayloadType anywhere in *value*; property lists are bounded in depth."""
    if isinstance(value, dict):
        payload_type = value.get("PayloadType")
        if isinstance(payload_type, str):
            yield payload_type
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _payload_types(one)
