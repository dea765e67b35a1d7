"""Which channel a message speaks for: NanoMDM's five shapes, and what is none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import (
    SHARED_IPAD_USER_ID,
    Channel,
    ChannelId,
    ChannelKind,
    DeviceId,
    Identifiers,
    identifier_keys,
    read_identifiers,
    resolve_channel,
)
from muster.protocol.plist import PlistValue

SHAPES = [
    (Identifiers(udid="D"), "D", "D", ChannelKind.DEVICE),
    (Identifiers(udid="D", user_short_name="ada"), "D", "D", ChannelKind.DEVICE),
    (Identifiers(udid="D", enrollment_id="E"), "D", "D", ChannelKind.DEVICE),
    (Identifiers(udid="D", user_id="U"), "D:U", "D", ChannelKind.USER),
    (Identifiers(udid="D", user_id="U:V"), "D:U:V", "D", ChannelKind.USER),
    (
        Identifiers(udid="D", user_id=SHARED_IPAD_USER_ID, user_short_name="ada@x.example"),
        "D:ada@x.example",
        "D",
        ChannelKind.SHARED_IPAD,
    ),
    (Identifiers(enrollment_id="E"), "E", "E", ChannelKind.USER_ENROLLMENT_DEVICE),
    (Identifiers(enrollment_id="E", enrollment_user_id="U"), "E:U", "E", ChannelKind.USER_ENROLLMENT_USER),
    (
        Identifiers(enrollment_id="E", enrollment_user_id="U", user_id="V"),
        "E:U",
        "E",
        ChannelKind.USER_ENROLLMENT_USER,
    ),
]


@pytest.mark.parametrize(("identifiers", "channel_id", "device_id", "kind"), SHAPES)
def test_shape_names_its_channel(identifiers: Identifiers, channel_id: str, device_id: str, kind: ChannelKind) -> None:
    assert resolve_channel(identifiers) == Channel(ChannelId(channel_id), DeviceId(device_id), kind)


@pytest.mark.parametrize(
    "identifiers",
    [
        Identifiers(),
        Identifiers(user_id="U", enrollment_user_id="U", user_short_name="ada"),
        Identifiers(udid="D:U"),
        Identifiers(enrollment_id="E:U"),
        Identifiers(udid="D", user_id=SHARED_IPAD_USER_ID),
        Identifiers(udid="D", enrollment_user_id="U"),
        Identifiers(enrollment_id="E", user_id="U"),
    ],
)
def test_shape_that_names_no_channel_is_refused(identifiers: Identifiers) -> None:
    with pytest.raises(MalformedMessage):
        resolve_channel(identifiers)


def test_only_device_kinds_are_the_device_itself() -> None:
    channels = {kind: Channel(ChannelId("D"), DeviceId("D"), kind) for kind in ChannelKind}

    assert {kind for kind, channel in channels.items() if channel.is_device} == {
        ChannelKind.DEVICE,
        ChannelKind.USER_ENROLLMENT_DEVICE,
    }


def test_kinds_are_written_as_nanomdm_writes_them() -> None:
    assert set(ChannelKind) == {"Device", "User", "User Enrollment (Device)", "User Enrollment", "Shared iPad"}


LIMITS = [
    ("UDID", 128),
    ("UserID", 128),
    ("EnrollmentID", 128),
    ("EnrollmentUserID", 128),
    ("UserShortName", 254),
    ("UserLongName", 254),
]


@pytest.mark.parametrize(("key", "limit"), LIMITS)
def test_identifier_has_at_most_its_limit_of_characters(key: str, limit: int) -> None:
    read_identifiers({key: "ä" * limit})
    with pytest.raises(MalformedMessage, match=f"{key} is longer than {limit}"):
        read_identifiers({key: "ä" * (limit + 1)})


@pytest.mark.parametrize(("key", "_limit"), LIMITS)
@pytest.mark.parametrize("value", [7, True, b"D", ["D"], {"D": "D"}])
def test_identifier_is_a_string(key: str, _limit: int, value: PlistValue) -> None:
    with pytest.raises(MalformedMessage, match=f"{key} is not a string"):
        read_identifiers({key: value})


@pytest.mark.parametrize("character", ["\x00", "\n", "\t", "\x1b", "\x7f", "\x85", "\ufffd"])
def test_identifier_holds_no_control_character(character: str) -> None:
    with pytest.raises(MalformedMessage, match="UDID holds a control character"):
        read_identifiers({"UDID": f"D{character}"})


def test_empty_identifier_is_an_absent_one() -> None:
    assert read_identifiers({"UDID": "D", "UserID": "", "UserShortName": ""}) == Identifiers(udid="D")


def test_case_is_kept() -> None:
    assert read_identifiers({"UDID": "aBcD"}).udid == "aBcD"


NAMES = st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


@given(st.builds(Identifiers, NAMES, NAMES, NAMES, NAMES, NAMES, NAMES))
def test_identifiers_are_read_as_they_were_written(identifiers: Identifiers) -> None:
    assert read_identifiers(identifier_keys(identifiers)) == identifiers


@given(st.builds(Identifiers, NAMES, NAMES, NAMES, NAMES, NAMES, NAMES))
def test_channel_id_tells_its_device(identifiers: Identifiers) -> None:
    try:
        channel = resolve_channel(identifiers)
    except MalformedMessage:
        return

    assert channel.id.partition(":")[0] == channel.device_id
    assert channel.is_device == (":" not in channel.id)
