"""Which question shows whether a command was carried out, and what in its answer does."""

import pytest

from muster.domain.command_verification import VERIFIED_BY, VERIFYING_REQUEST_TYPES, shows_effect, verifying_query
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue
from muster.protocol.profile_contents import ProfileContents

NAMED: dict[str, PlistValue] = {"Item": "DeviceName", "DeviceName": "A"}


@pytest.mark.parametrize(
    ("request_type", "keys", "query"),
    [
        ("InstallProfile", {}, CommandRequest("ProfileList")),
        ("RemoveApplication", {}, CommandRequest("ManagedApplicationList")),
        ("EnableRemoteDesktop", {}, CommandRequest("SecurityInfo")),
        (
            "Settings",
            {"Settings": [{"Item": "HostName", "HostName": "a.example"}, NAMED]},
            CommandRequest("DeviceInformation", {"Queries": ["DeviceName", "HostName"]}),
        ),
        ("Settings", {"Settings": [{"Item": "Bluetooth"}, NAMED]}, None),
        ("Settings", {"Settings": [{"Item": "DeviceName"}]}, None),
        ("Settings", {"Settings": "DeviceName"}, None),
        ("Settings", {"Settings": []}, None),
        ("EraseDevice", {}, None),
        ("ProfileList", {}, None),
    ],
)
def test_command_is_verified_by_the_question_that_shows_its_effect(
    request_type: str, keys: dict[str, PlistValue], query: CommandRequest | None
) -> None:
    assert verifying_query(CommandRequest(request_type, keys)) == query


@pytest.mark.parametrize("request_type", sorted({*VERIFYING_REQUEST_TYPES, *VERIFYING_REQUEST_TYPES.values()}))
def test_commands_and_questions_are_apples(request_type: str) -> None:
    assert find_command(request_type) is not None


def test_every_command_that_is_asked_for_is_looked_for_in_the_answer() -> None:
    looked_for = {(command, question) for question, commands in VERIFIED_BY.items() for command in commands}

    assert looked_for == {*VERIFYING_REQUEST_TYPES.items(), ("Settings", "DeviceInformation")}


PROFILE = ProfileContents((), is_encrypted=False, identifier="p", payload_uuid="P-1")
APP = "org.example.app"


def profiles(*items: PlistValue) -> dict[str, PlistValue]:
    return {"ProfileList": [*items]}


def listed(identifier: str, uuid: str) -> PlistValue:
    return {"PayloadIdentifier": identifier, "PayloadUUID": uuid}


def apps(**statuses: PlistValue) -> dict[str, PlistValue]:
    return {"ManagedApplicationList": {f"org.example.{name}": {"Status": one} for name, one in statuses.items()}}


@pytest.mark.parametrize(
    ("request_type", "keys", "question", "answer", "is_shown"),
    [
        ("InstallProfile", {}, {}, profiles(listed("p", "P-1")), True),
        ("InstallProfile", {}, {"ManagedOnly": True}, profiles("nonsense", listed("p", "P-1")), True),
        ("InstallProfile", {}, {}, profiles(listed("p", "P-0")), False),
        ("InstallProfile", {}, {}, profiles(), False),
        ("InstallProfile", {}, {}, {"ProfileList": "p"}, False),
        ("RemoveProfile", {"Identifier": "p"}, {}, profiles(listed("q", "Q")), True),
        ("RemoveProfile", {"Identifier": "p"}, {}, profiles(listed("p", "P-1")), False),
        ("RemoveProfile", {"Identifier": "p"}, {}, profiles("nonsense"), False),
        ("RemoveProfile", {"Identifier": "p"}, {"ManagedOnly": True}, profiles(), False),
        ("RemoveProfile", {"Identifier": "p"}, {}, {}, False),
        ("RemoveProvisioningProfile", {"UUID": "U"}, {}, {"ProvisioningProfileList": [{"UUID": "V"}]}, True),
        ("RemoveProvisioningProfile", {"UUID": "U"}, {}, {"ProvisioningProfileList": [{"UUID": "U"}]}, False),
        ("InstallApplication", {}, {}, apps(app="Installing"), True),
        ("InstallApplication", {}, {}, apps(app="UserRejected"), False),
        ("InstallApplication", {}, {}, apps(app=7), False),
        ("InstallApplication", {}, {}, apps(other="Managed"), False),
        ("RemoveApplication", {}, {}, apps(other="Managed"), True),
        ("RemoveApplication", {}, {"Identifiers": [APP]}, apps(app="ManagedButUninstalled"), True),
        ("RemoveApplication", {}, {"Identifiers": ["org.example.other"]}, apps(other="Managed"), False),
        ("RemoveApplication", {}, {}, apps(app="Managed"), False),
        ("RemoveApplication", {}, {}, {"ManagedApplicationList": []}, False),
        ("EnableRemoteDesktop", {}, {}, {"SecurityInfo": {"RemoteDesktopEnabled": True}}, True),
        ("DisableRemoteDesktop", {}, {}, {"SecurityInfo": {"RemoteDesktopEnabled": True}}, False),
        ("DisableRemoteDesktop", {}, {}, {"SecurityInfo": {}}, False),
        ("Settings", {"Settings": [NAMED]}, {}, {"QueryResponses": {"DeviceName": "A"}}, True),
        ("Settings", {"Settings": [NAMED]}, {}, {"QueryResponses": {"DeviceName": "B"}}, False),
        ("Settings", {"Settings": [NAMED, {"Item": "Bluetooth"}]}, {}, {"QueryResponses": {"DeviceName": "A"}}, False),
        ("EraseDevice", {}, {}, {}, False),
    ],
)
def test_effect_is_shown_by_what_the_answer_says_and_by_nothing_less(
    request_type: str,
    keys: dict[str, PlistValue],
    question: dict[str, PlistValue],
    answer: dict[str, PlistValue],
    is_shown: bool,
) -> None:
    assert shows_effect(CommandRequest(request_type, keys), PROFILE, APP, question, answer) is is_shown


def test_profile_and_app_that_are_not_known_are_never_shown() -> None:
    nameless = ProfileContents((), is_encrypted=True)
    install, remove = CommandRequest("InstallApplication"), CommandRequest("RemoveApplication")

    assert not shows_effect(CommandRequest("InstallProfile"), nameless, None, {}, profiles({}))
    assert not shows_effect(CommandRequest("InstallProfile"), None, None, {}, profiles(listed("p", "P-1")))
    assert not any(shows_effect(one, None, None, {}, apps()) for one in (install, remove))
