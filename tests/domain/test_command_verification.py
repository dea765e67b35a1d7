"""Which question shows whether a command was carried out."""

import pytest

from muster.domain.command_verification import VERIFYING_REQUEST_TYPES, verifying_query
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue


@pytest.mark.parametrize(
    ("request_type", "keys", "query"),
    [
        ("InstallProfile", {}, CommandRequest("ProfileList")),
        ("RemoveApplication", {}, CommandRequest("ManagedApplicationList")),
        (
            "Settings",
            {"Settings": [{"Item": "Bluetooth"}, {"Item": "DeviceName", "DeviceName": "A"}]},
            CommandRequest("DeviceInformation", {"Queries": ["DeviceName"]}),
        ),
        ("Settings", {"Settings": [{"Item": "Wallpaper"}]}, None),
        ("Settings", {"Settings": "DeviceName"}, None),
        ("EraseDevice", {}, None),
        ("ProfileList", {}, None),
    ],
)
def test_command_is_verified_by_the_list_that_shows_its_effect(
    request_type: str, keys: dict[str, PlistValue], query: CommandRequest | None
) -> None:
    assert verifying_query(CommandRequest(request_type, keys)) == query


@pytest.mark.parametrize("request_type", sorted({*VERIFYING_REQUEST_TYPES, *VERIFYING_REQUEST_TYPES.values()}))
def test_commands_and_questions_are_apples(request_type: str) -> None:
    assert find_command(request_type) is not None
