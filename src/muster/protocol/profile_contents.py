"""What kinds of payloads a configuration profile holds, whoever made it.

Source: Apple's device management schema, profiles "TopLevel" and "CommonPayloadKeys".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from muster.crypto.cms.signed_data import parse_signed_data
from muster.crypto.errors import CryptoError
from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist

MDM_PAYLOAD: Final = "com.apple.mdm"
_BEGINNING_OF_DER: Final = b"\x30"  # a SEQUENCE; no property list begins with a zero


@dataclass(frozen=True, slots=True)
class ProfileContents:
    """The types of all payloads, in any depth, as they are written. *is_encrypted*: there are more, for the device
    alone to read."""

    payload_types: tuple[str, ...]
    is_encrypted: bool

    @property
    def has_mdm_payload(self) -> bool:
        """True when installing it would enroll the device, or change how it is enrolled."""
        return any(one.strip().casefold() == MDM_PAYLOAD for one in self.payload_types)


def read_profile_contents(mobileconfig: bytes) -> ProfileContents:
    """The contents of a profile, signed or not.

    Raises MalformedMessage when *mobileconfig* is neither a property list nor a signed one. Not checked: the signature,
    and whether it is a profile that a device would install.
    """
    profile = read_plist(_unwrapped(mobileconfig))
    return ProfileContents(tuple(_payload_types(profile)), "EncryptedPayloadContent" in profile)


def _unwrapped(mobileconfig: bytes) -> bytes:
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
