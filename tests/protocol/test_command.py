"""Commands, and the files in which people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.protocol.command import Command, CommandRequest, decode_command, encode_command, read_command_file
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import PlistValue, read_plist, write_plist


def test_command_stands_in_its_own_dictionary() -> None:
    command = Command(CommandUUID("C"), "DeviceInformation", {"Queries": ["UDID"]})

    assert read_plist(encode_command(command)) == {
        "Command": {"RequestType": "DeviceInformation", "Queries": ["UDID"]},
        "CommandUUID": "C",
    }


MALFORMED: list[dict[str, PlistValue]] = [
    {},
    {"CommandUUID": "C"},
    {"CommandUUID": "C", "Command": "DeviceLock"},
    {"CommandUUID": "C", "Command": {}},
    {"CommandUUID": "C", "Command": {"RequestType": ""}},
    {"CommandUUID": "C", "Command": {"RequestType": 7}},
    {"CommandUUID": "C", "Command": {"RequestType": "Device Lock"}},
    {"CommandUUID": "C", "Command": {"RequestType": "DeviceLock\n"}},
    {"CommandUUID": "C", "Command": {"RequestType": "Gerät"}},
    {"CommandUUID": "C", "Command": {"RequestType": "L" * 65}},
    {"CommandUUID": "", "Command": {"RequestType": "DeviceLock"}},
    {"CommandUUID": 7, "Command": {"RequestType": "DeviceLock"}},
    {"CommandUUID": "C" * 256, "Command": {"RequestType": "DeviceLock"}},
    {"Command": {"RequestType": "DeviceLock"}},
]


@pytest.mark.parametrize("keys", MALFORMED, ids=str)
def test_malformed_command_is_refused(keys: dict[str, PlistValue]) -> None:
    with pytest.raises(MalformedMessage):
        decode_command(write_plist(keys))


def test_longest_names_are_accepted() -> None:
    keys: dict[str, PlistValue] = {"CommandUUID": "C" * 255, "Command": {"RequestType": "L" * 64}}

    assert decode_command(write_plist(keys)) == Command(CommandUUID("C" * 255), "L" * 64)


@pytest.mark.parametrize(
    "keys",
    [
        {"Command": {"RequestType": "DeviceLock", "PIN": "123456"}, "CommandUUID": "C"},
        {"Command": {"RequestType": "DeviceLock", "PIN": "123456"}},
        {"RequestType": "DeviceLock", "PIN": "123456"},
    ],
)
def test_file_holds_the_whole_or_the_inner_dictionary(keys: dict[str, PlistValue]) -> None:
    assert read_command_file(write_plist(keys)) == CommandRequest("DeviceLock", {"PIN": "123456"})


@pytest.mark.parametrize("keys", [{}, {"Command": "DeviceLock"}, {"Command": {}}, {"CommandUUID": "C"}])
def test_file_without_request_type_is_refused(keys: dict[str, PlistValue]) -> None:
    with pytest.raises(MalformedMessage):
        read_command_file(write_plist(keys))


TEXT = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20)
COMMANDS = st.builds(
    Command,
    TEXT.map(CommandUUID),
    st.from_regex(r"\A[A-Za-z0-9]{1,64}\Z"),
    st.dictionaries(TEXT.map("Key ".__add__), TEXT | st.booleans() | st.binary(max_size=9), max_size=3),
)


@given(COMMANDS)
def test_any_command_is_read_as_it_was_written(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


@given(st.binary(max_size=60))
def test_only_malformed_message_escapes_from_noise(noise: bytes) -> None:
    for read in (decode_command, read_command_file):
        with pytest.raises(MalformedMessage):
            read(noise)
