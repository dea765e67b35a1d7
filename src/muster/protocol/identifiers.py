"""Which channel a message speaks for.

Every check-in message and report names its sender by up to six keys. `resolve_channel` turns them into one of five
kinds of channel, written as NanoMDM writes its enrollment ids, so that a fleet can move over without being enrolled
again.

Sources: Apple, "Authenticate", "Token Update" and "Command Response" (keys UDID, EnrollmentID, UserID,
EnrollmentUserID, UserShortName, UserLongName).
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, NewType

from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import optional_text
from muster.protocol.plist import PlistValue
from muster.protocol.records import record

ChannelId = NewType("ChannelId", str)
"""`DEVICE` for a device channel, `DEVICE:USER` for a user channel."""

DeviceId = NewType("DeviceId", str)
"""The UDID, or in a user enrollment the EnrollmentID. Never holds a colon."""

CommandUUID = NewType("CommandUUID", str)
"""The server's name for one command. Opaque, despite its name: any text of bounded length."""

SHARED_IPAD_USER_ID: Final = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"
"""The UserID which every user of a Shared iPad has; UserShortName tells them apart."""

MAX_IDENTIFIER_CHARACTERS: Final = 128
"""Three times the longest identifier seen (a UDID of 40 characters); short enough to be indexed and logged."""

MAX_USER_NAME_CHARACTERS: Final = 254
"""UserShortName is a Managed Apple Account on a Shared iPad, thus an e-mail address (RFC 5321: 254 characters)."""

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")  # U+FFFD: see plist_values.xml_characters


class ChannelKind(StrEnum):
    """The five shapes of a sender; the values are NanoMDM's enrollment types."""

    DEVICE = "Device"
    USER = "User"
    USER_ENROLLMENT_DEVICE = "User Enrollment (Device)"
    USER_ENROLLMENT_USER = "User Enrollment"
    SHARED_IPAD = "Shared iPad"


DEVICE_KINDS: Final = frozenset({ChannelKind.DEVICE, ChannelKind.USER_ENROLLMENT_DEVICE})
"""Those of devices themselves; all others are of users."""


@record(frozen=True, slots=True)
class Identifiers:
    """The identifying keys of one message, as sent. None = the key is absent or empty, which devices mean alike."""

    udid: str | None = None
    user_id: str | None = None
    user_short_name: str | None = None
    user_long_name: str | None = None
    enrollment_id: str | None = None
    enrollment_user_id: str | None = None


class Channel(NamedTuple):
    """One channel of one device: what is pushed to, holds a queue, and reports."""

    id: ChannelId
    device_id: DeviceId
    kind: ChannelKind

    @property
    def is_device(self) -> bool:
        """True for the device's own channel, False for a user's."""
        return self.kind in DEVICE_KINDS


_BOUNDS: Final = {
    "UDID": MAX_IDENTIFIER_CHARACTERS,
    "UserID": MAX_IDENTIFIER_CHARACTERS,
    "UserShortName": MAX_USER_NAME_CHARACTERS,
    "UserLongName": MAX_USER_NAME_CHARACTERS,
    "EnrollmentID": MAX_IDENTIFIER_CHARACTERS,
    "EnrollmentUserID": MAX_IDENTIFIER_CHARACTERS,
}

IDENTIFIER_KEYS: Final = frozenset(_BOUNDS)
"""The keys which `read_identifiers` looks at."""


def read_identifiers(dictionary: Mapping[str, PlistValue]) -> Identifiers:
    """The identifying keys of a decoded message; which channel they mean is for `resolve_channel`.

    Raises MalformedMessage when one of them is not a string, is too long, or holds a control character (they go into
    database keys, URLs and logs). Case is kept: identifiers are opaque.
    """
    found = {key: read_identifier(dictionary, key, maximum) for key, maximum in _BOUNDS.items()}
    return Identifiers(
        udid=found.get("UDID"),
        user_id=found.get("UserID"),
        user_short_name=found.get("UserShortName"),
        user_long_name=found.get("UserLongName"),
        enrollment_id=found.get("EnrollmentID"),
        enrollment_user_id=found.get("EnrollmentUserID"),
    )


def read_identifier(
    dictionary: Mapping[str, PlistValue], key: str, maximum: int = MAX_IDENTIFIER_CHARACTERS
) -> str | None:
    """The identifier under *key*; None when absent or empty.

    Raises MalformedMessage when it is not a string, has more than *maximum* characters, or holds a control character.
    """
    value = optional_text(dictionary, key, maximum)
    if value is not None and _CONTROL_CHARACTER.search(value):
        raise MalformedMessage(f"{key} holds a control character")
    return value or None


def read_udid(dictionary: Mapping[str, PlistValue]) -> str | None:
    """The UDID, if it can be a device's id. As `read_identifier`, and MalformedMessage when it holds a colon."""
    udid = read_identifier(dictionary, "UDID")
    return None if udid is None else _device_id("UDID", udid)


def identifier_keys(identifiers: Identifiers) -> dict[str, PlistValue]:
    """The reverse of `read_identifiers`: Apple's keys in Apple's spelling, those which are None left out."""
    named = {
        "UDID": identifiers.udid,
        "EnrollmentID": identifiers.enrollment_id,
        "EnrollmentUserID": identifiers.enrollment_user_id,
        "UserID": identifiers.user_id,
        "UserShortName": identifiers.user_short_name,
        "UserLongName": identifiers.user_long_name,
    }
    return {key: value for key, value in named.items() if value}


def resolve_channel(identifiers: Identifiers) -> Channel:
    """The channel that *identifiers* name.

    UDID comes before EnrollmentID; a device sends one of them. A user's channel is the device's id, a colon, and
    UserID, except on a Shared iPad, where it is UserShortName. Nothing here says that the sender may speak for the
    channel.

    Raises MalformedMessage when neither UDID nor EnrollmentID is there; when that identifier holds a colon, which
    would let a device pass for another's user; when a Shared iPad's user has no UserShortName; and when a user key of
    the other family stands alone (UserID beside EnrollmentID, EnrollmentUserID beside UDID): taken for the device's
    channel, a user's token would overwrite the device's.
    """
    if identifiers.udid is not None:
        device_id = _device_id("UDID", identifiers.udid)
        if identifiers.user_id == SHARED_IPAD_USER_ID:
            if identifiers.user_short_name is None:
                raise MalformedMessage("UserShortName is missing for the user of a Shared iPad")
            return _user_channel(device_id, identifiers.user_short_name, ChannelKind.SHARED_IPAD)
        if identifiers.user_id is not None:
            return _user_channel(device_id, identifiers.user_id, ChannelKind.USER)
        if identifiers.enrollment_user_id is not None:
            raise MalformedMessage("EnrollmentUserID does not belong beside UDID")
        return Channel(ChannelId(device_id), device_id, ChannelKind.DEVICE)
    if identifiers.enrollment_id is not None:
        device_id = _device_id("EnrollmentID", identifiers.enrollment_id)
        if identifiers.enrollment_user_id is not None:
            return _user_channel(device_id, identifiers.enrollment_user_id, ChannelKind.USER_ENROLLMENT_USER)
        if identifiers.user_id is not None:
            raise MalformedMessage("UserID does not belong beside EnrollmentID")
        return Channel(ChannelId(device_id), device_id, ChannelKind.USER_ENROLLMENT_DEVICE)
    raise MalformedMessage("neither UDID nor EnrollmentID is present")


def _device_id(key: str, value: str) -> DeviceId:
    if ":" in value:
        raise MalformedMessage(f"{key} holds a colon")
    return DeviceId(value)


def _user_channel(device_id: DeviceId, user: str, kind: ChannelKind) -> Channel:
    return Channel(ChannelId(f"{device_id}:{user}"), device_id, kind)
