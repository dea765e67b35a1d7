"""`muster commands types` and `describe`."""

import pytest
from tests.support.command_line import CommandLine

from muster.cli.command_types import assignments, complete_request_type
from muster.protocol.catalogue.commands import command_names


@pytest.fixture
def muster() -> CommandLine:
    """The command line of somebody who has no installation at hand."""
    return CommandLine()


def test_types_lists_every_command_with_the_versions_that_know_it(muster: CommandLine) -> None:
    _, table, _ = muster.run("commands", "types")

    lines = table.splitlines()
    assert [line.split()[0] for line in lines] == ["COMMAND", *command_names()]
    assert next(line.split() for line in lines if line.startswith("EraseDevice")) == [
        "EraseDevice", "4.0", "10.7", "10.2", "1.1", "10.0",
    ]  # fmt: skip
    assert "9.0 until 27.0" in next(line for line in lines if line.startswith("ScheduleOSUpdate "))


def test_types_of_one_family_say_what_they_need(muster: CommandLine) -> None:
    _, table, _ = muster.run("commands", "types", "--os", "macos")

    lines = {line.split()[0]: line for line in table.splitlines()}
    assert (
        "right to lock the device and clear its passcode (4); device's channel; not in User Enrollment"
        in (lines["DeviceLock"])
    )
    assert "EnableLostMode" not in lines


def test_types_are_facts_for_programs(muster: CommandLine) -> None:
    rows = {row["request_type"]: row["support"] for row in muster("commands", "types", "--os", "tvOS")}

    assert rows["EraseDevice"]["tvOS"] == {"introduced": "10.2", "access_right": 8}
    assert rows["EraseDevice"]["iOS"]["user_enrollment"] == "forbidden"
    assert "UserList" not in rows


def test_a_family_that_there_is_not_is_wrong_usage(muster: CommandLine) -> None:
    code, _, said = muster.run("commands", "types", "--os", "CP/M")

    assert code == 2
    assert "--os" in said


def test_describe_says_in_words_what_a_command_takes(muster: CommandLine) -> None:
    code, page, _ = muster.run("commands", "describe", "erasedevice")

    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert code == 0
    assert lines[0] == "EraseDevice"
    for line in (
        "macOS 10.7 right to erase the device (8); device's channel; not in User Enrollment",
        "PIN string macOS 10.8",
        "one of: Default | DoNotObliterate | ObliterateWithWarning | Always",
        "ReturnToService dictionary iOS 17.0, tvOS 18.0, visionOS 26.0",
        "Enabled boolean, required",
        "the status alone",
    ):
        assert line in lines


def test_describe_names_the_questions_and_the_kinds_of_items(muster: CommandLine) -> None:
    _, information, _ = muster.run("commands", "describe", "DeviceInformation")
    _, settings, _ = muster.run("commands", "describe", "Settings")

    lines = [" ".join(line.split()) for line in (information + settings).splitlines()]
    for line in (
        "Queries array of string, each one of these, required",
        "OSVersion right to query the device (16)",
        "IsAppleSilicon macOS 12.0; right to query the device (16)",
        "Settings array of dictionary, each one of these, required",
        "Bluetooth dictionary iOS 11.3 (supervised), macOS 10.13.4; device's channel; not in User Enrollment",
        "(any name) any",
    ):
        assert line in lines


def test_describe_gives_programs_all_that_is_known(muster: CommandLine) -> None:
    described = muster("commands", "describe", "DeviceLock")

    (pin,) = (key for key in described["request"] if key["name"] == "PIN")
    assert described.keys() == {"request_type", "support", "request", "response"}
    assert pin == {
        "name": "PIN",
        "type": "string",
        "required": False,
        "support": {"iOS": None, "macOS": {"introduced": "10.8"}, "visionOS": None, "watchOS": None},
    }


@pytest.mark.parametrize("name", command_names())
def test_every_command_has_a_page_of_both_kinds(muster: CommandLine, name: str) -> None:
    assert muster("commands", "describe", name)["request_type"] == name
    assert muster.run("commands", "describe", name)[1].startswith(f"{name}\n")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("EraseDevise", "Did you mean EraseDevice?"), ("Xyzzy", "`muster commands types` lists those there are.")],
)
def test_a_command_that_is_not_known_is_absent_and_what_was_meant_is_named(
    muster: CommandLine, name: str, remedy: str
) -> None:
    code, out, said = muster.run("commands", "describe", name)

    assert (code, out) == (3, "")
    assert said == f"muster: no command {name} is known here\n  {remedy}\n"


def test_names_are_completed_in_whatever_case_they_are_typed() -> None:
    assert complete_request_type("eras") == ["EraseDevice"]
    assert complete_request_type("DeviceL") == ["DeviceLocation", "DeviceLock"]
    assert complete_request_type("") == list(command_names())


@pytest.mark.parametrize(
    ("request_type", "typed", "completed"),
    [
        ("DeviceLock", "", ["Message=", "PhoneNumber=", "PIN=", "RequestRequiresNetworkTether="]),
        ("DeviceLock", "p", ["PhoneNumber=", "PIN="]),
        ("EraseDevice", "PreserveDataPlan=t", ["PreserveDataPlan=true"]),
        (
            "EraseDevice",
            "ObliterationBehavior=d",
            ["ObliterationBehavior=Default", "ObliterationBehavior=DoNotObliterate"],
        ),
        ("DeviceLock", "Colour=", []),
        ("NoSuchCommand", "", []),
    ],
)
def test_keys_and_their_words_are_completed(request_type: str, typed: str, completed: list[str]) -> None:
    assert assignments(request_type, typed) == completed
