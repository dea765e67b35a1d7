"""What is typed into the form of a command becomes its keys, or is said to be wrong beside where it was typed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.edges.console.command_forms import COMMON, Widget, inputs_of, read_request
from muster.edges.console.forms import Form
from muster.protocol.catalogue.commands import all_commands, command_names, find_command
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue, write_plist

PROFILE = '<?xml version="1.0"?><plist version="1.0"><dict/></plist>'


def typed(request_type: str, **keys: str) -> CommandRequest | dict[str, str]:
    return read_request(request_type, Form([(f"key.{name}", value) for name, value in keys.items()]))


@pytest.mark.parametrize(
    ("request_type", "keys", "expected"),
    [
        ("DeviceLock", {"PIN": "012345", "Message": "Lost\r\nCall us"}, {"PIN": "012345", "Message": "Lost\nCall us"}),
        ("DeviceLock", {"PIN": " ", "Message": ""}, {}),
        ("DeviceInformation", {"Queries": "DeviceName\r\n\r\n OSVersion "}, {"Queries": ["DeviceName", "OSVersion"]}),
        ("ProfileList", {"ManagedOnly": "true"}, {"ManagedOnly": True}),
        ("InstallProfile", {"Payload": PROFILE}, {"Payload": PROFILE.encode()}),
        ("InstallProfile", {"Payload": "aGVs\nbG8="}, {"Payload": b"hello"}),
        ("ScheduleOSUpdate", {"Updates": '[{"MaxUserDeferrals": 3}]'}, {"Updates": [{"MaxUserDeferrals": 3}]}),
    ],
)
def test_what_is_typed_becomes_keys(request_type: str, keys: dict[str, str], expected: dict[str, PlistValue]) -> None:
    read = typed(request_type, **keys)

    assert isinstance(read, CommandRequest)
    assert read.keys == expected


@pytest.mark.parametrize(
    ("request_type", "key", "value", "says"),
    [
        ("ProfileList", "ManagedOnly", "perhaps", "true or false"),
        ("InstallProfile", "Payload", "no base64!", "base64"),
        ("ScheduleOSUpdate", "Updates", "[", "JSON"),
        ("ScheduleOSUpdate", "Updates", "[null]", "null"),
        ("ScheduleOSUpdate", "Updates", "[" * 25 + "]" * 25, "deeper"),
        ("ScheduleOSUpdate", "Updates", "[" * 30_000, "JSON"),
        ("ScheduleOSUpdate", "Updates", f"[{2**70}]", "number"),
        ("DeviceLock", "Message", "a\x00b", "control character"),
    ],
)
def test_what_is_wrong_is_said_of_its_key(request_type: str, key: str, value: str, says: str) -> None:
    faults = typed(request_type, **{key: value})

    assert isinstance(faults, dict)
    assert list(faults) == [key]
    assert says in faults[key]


def test_every_command_has_a_form_that_asks_first_for_what_is_needed() -> None:
    for facts in all_commands():
        inputs = inputs_of(facts)

        needed = [one.is_required for one in inputs]
        assert needed == sorted(needed, reverse=True)
        assert all(one.choices for one in inputs if one.widget is Widget.CHOICE)


def test_what_was_typed_stands_there_again() -> None:
    facts = find_command("DeviceLock")
    assert facts is not None

    inputs = inputs_of(facts, Form([("key.Message", "Call us")]), {"Message": "too short"})

    [message] = [one for one in inputs if one.label == "Message"]
    assert (message.value, message.fault) == ("Call us", "too short")


def test_the_common_commands_are_apples() -> None:
    assert {one.request_type for one in COMMON} <= set(command_names())


@settings(max_examples=150)
@given(request_type=st.sampled_from(sorted(command_names())), text=st.text(max_size=80))
def test_whatever_is_typed_is_a_command_or_a_fault(request_type: str, text: str) -> None:
    facts = find_command(request_type)
    assert facts is not None

    read = typed(request_type, **{key.name: text for key in facts.request})

    if isinstance(read, CommandRequest):
        write_plist(read.keys)
    else:
        assert set(read) <= {key.name for key in facts.request}
