"""What is said of a command before it is queued."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.crypto.material import ec_identity
from tests.support.valid_commands import PROFILE, full_request, minimal_request, paths, shown

from muster.crypto.cms.signing import sign_attached
from muster.domain.command_findings import CommandTarget, Finding, Severity
from muster.domain.command_validation import MAX_FINDINGS, check_command, check_request
from muster.protocol.catalogue.commands import all_commands, command_names
from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, Support, ValueKind
from muster.protocol.command import CommandRequest
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue, write_plist

NOBODY = CommandTarget()
MAC = CommandTarget(OsFamily.MACOS, "15.5", is_user_channel=False, access_rights=8191)
IPHONE = CommandTarget(OsFamily.IOS, "18.5", is_user_channel=False, access_rights=8191)

Path: TypeAlias = tuple[str | int, ...]
commands = st.sampled_from(command_names())


def findings(request_type: str, keys: dict[str, PlistValue], target: CommandTarget = NOBODY) -> list[Finding]:
    return list(check_command(CommandRequest(request_type, keys), [target])[target])


def said(request_type: str, keys: dict[str, PlistValue], target: CommandTarget = NOBODY) -> list[tuple[str, str, str]]:
    """Severity, code and path of each finding."""
    return [(one.severity.value, one.code.value, one.key_path) for one in findings(request_type, keys, target)]


# --- every command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", all_commands(), ids=lambda one: one.request_type)
@pytest.mark.parametrize("make", [minimal_request, full_request])
def test_request_built_from_the_catalogue_has_no_finding(make: Any, command: CommandFacts) -> None:
    request = make(command)

    assert check_command(request) == {NOBODY: ()}


def changed(command: CommandFacts, path: Path, change: Callable[[Any, str | int], None]) -> list[tuple[str, str, str]]:
    """What is said of the full request after *change* was made to what holds the end of *path*."""
    keys = deepcopy(dict(full_request(command).keys))
    holder: Any = keys
    for part in path[:-1]:
        holder = holder[part]
    change(holder, path[-1])
    return said(command.request_type, keys)


@pytest.mark.parametrize("command", all_commands(), ids=lambda one: one.request_type)
def test_each_required_key_that_is_dropped_is_found(command: CommandFacts) -> None:
    for path in [path for path, key in paths(command) if key.is_required]:
        assert ("error", "missing_key", shown(path)) in changed(command, path, lambda holder, name: holder.pop(name))


WRONG: tuple[tuple[ValueKind, PlistValue], ...] = (
    (ValueKind.STRING, "text"),
    (ValueKind.BOOLEAN, False),
    (ValueKind.DATA, b"data"),
    (ValueKind.ARRAY, []),
    (ValueKind.DICTIONARY, {}),
)
"""Values, each with the one type that it is right for."""


@pytest.mark.parametrize("command", all_commands(), ids=lambda one: one.request_type)
def test_each_value_of_another_type_is_found(command: CommandFacts) -> None:
    for path, key in paths(command):
        for value in [value for kind, value in WRONG if key.kind not in (kind, ValueKind.ANY)]:
            found = changed(command, path, lambda holder, name, value=value: holder.update({name: value}))  # type: ignore[misc]

            assert ("error", "wrong_type", shown(path)) in found


@pytest.mark.parametrize("command", all_commands(), ids=lambda one: one.request_type)
def test_each_key_that_the_catalogue_lacks_is_found(command: CommandFacts) -> None:
    holders = [path for path, key in paths(command) if key.kind is ValueKind.DICTIONARY and takes_named_keys(key)]
    for path in [(), *holders]:
        found = changed(command, (*path, "Xyzzy"), lambda holder, name: holder.update({name: True}))

        assert found == [("warning", "unknown_key", shown((*path, "Xyzzy")))]


def takes_named_keys(key: KeyFacts) -> bool:
    return bool(key.members) and not any(member.stands_for_all for member in key.members)


plists: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=10,
)


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_of_whatever_kind_makes_the_check_stumble(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(all_commands()))
    names = st.sampled_from([key.name for key in command.request] + ["Other"])
    keys = data.draw(st.dictionaries(names, plists, max_size=4))

    for finding in findings(command.request_type, keys, IPHONE):
        assert finding.message
        assert finding.severity in Severity


def test_findings_are_bounded() -> None:
    assert len(findings("DeviceInformation", {"Queries": [7] * 1000})) == MAX_FINDINGS


# --- real cases: the form ---------------------------------------------------------------------------------------------

UPDATE: dict[str, PlistValue] = {"ProductKey": "key", "InstallAction": "Default"}
WALLPAPER: dict[str, PlistValue] = {"Item": "Wallpaper", "Image": b"png", "Where": 1}


@pytest.mark.parametrize(
    ("request_type", "keys", "expected"),
    [
        ("SecurityInfo", {}, []),
        ("SecurityInfo", {"RequestRequiresNetworkTether": True}, []),
        ("DeviceInformation", {}, [("error", "missing_key", "Queries")]),
        ("DeviceInformation", {"Queries": "UDID"}, [("error", "wrong_type", "Queries")]),
        ("DeviceInformation", {"Queries": ["UDID", 7]}, [("error", "wrong_type", "Queries[1]")]),
        ("DeviceInformation", {"Queries": ["OsVersion"]}, [("warning", "unknown_value", "Queries[0]")]),
        ("DeviceInformation", {"queries": ["UDID"], "Queries": []}, [("warning", "unknown_key", "queries")]),
        ("DeviceLock", {"PIN": 123456}, [("error", "wrong_type", "PIN")]),
        ("EraseDevice", {"ObliterationBehavior": "Never"}, [("warning", "unknown_value", "ObliterationBehavior")]),
        ("EraseDevice", {"ReturnToService": {}}, [("error", "missing_key", "ReturnToService.Enabled")]),
        ("InstallProfile", {"Payload": "<plist/>"}, [("error", "wrong_type", "Payload")]),
        ("InstallProfile", {}, [("error", "missing_key", "Payload")]),
        ("InstallProfile", {"Payload": PROFILE}, []),
        ("InstallApplication", {"Identifier": "a", "Configuration": {"anything": [1, {"at": "all"}]}}, []),
        ("InstallApplication", {"Identifier": "a", "Options": {"PurchaseMethod": 2}},
         [("warning", "unknown_value", "Options.PurchaseMethod")]),
        ("InstallApplication", {"Identifier": "a", "Options": {"PurchaseMethod": True}},
         [("error", "wrong_type", "Options.PurchaseMethod")]),
        ("Settings", {"Settings": [WALLPAPER]}, []),
        ("Settings", {"Settings": [{"Item": "Wallpaper", "Where": 1}]},
         [("error", "missing_key", "Settings[0].Image")]),
        ("Settings", {"Settings": [{"Enabled": True}]}, [("error", "missing_key", "Settings[0].Item")]),
        ("Settings", {"Settings": [{"Item": 7}]}, [("error", "wrong_type", "Settings[0].Item")]),
        ("Settings", {"Settings": ["Bluetooth"]}, [("error", "wrong_type", "Settings[0]")]),
        ("Settings", {"Settings": [{"Item": "Blutooth"}]}, [("warning", "unknown_value", "Settings[0].Item")]),
        ("ScheduleOSUpdate", {"Updates": [UPDATE]}, []),
        ("ScheduleOSUpdate", {"Updates": UPDATE}, [("error", "wrong_type", "Updates")]),
        ("ScheduleOSUpdate", {"Updates": [{}]}, [("error", "missing_key", "Updates[0].InstallAction")]),
        ("SecurityInfo", {"RequestType": "EraseDevice"}, [("error", "misplaced_key", "RequestType")]),
        ("NewCommand", {"Key": 1}, [("warning", "unknown_command", "")]),
        ("eraseDevice", {}, [("error", "unknown_command", "")]),
        (" EraseDevice", {}, [("error", "unknown_command", "")]),
        ("ERASEDEVICE\u200b", {}, [("error", "unknown_command", "")]),
        ("NewCommand", {"RequestType": "EraseDevice"},
         [("error", "misplaced_key", "RequestType"), ("warning", "unknown_command", "")]),
    ],
)  # fmt: skip
def test_form(request_type: str, keys: dict[str, PlistValue], expected: list[tuple[str, str, str]]) -> None:
    assert said(request_type, keys) == expected


def test_misspelt_names_come_with_what_may_have_been_meant() -> None:
    (command,) = findings("DeviceInfo", {})
    (key,) = findings("DeviceLock", {"Pin": "123456"})
    (value,) = findings("DeviceInformation", {"Queries": ["OsVersion"]})

    assert command.message.endswith("; did you mean DeviceInformation or DeviceLock?")
    assert key.message.endswith("; did you mean PIN?")
    assert "did you mean OSVersion" in value.message


def test_value_of_the_wrong_type_is_not_repeated() -> None:
    (finding,) = findings("DeviceLock", {"PIN": 987654})

    assert finding.message == "PIN must be a string, and is a whole number; the device answers with an error"


def test_bounds_patterns_and_counts_are_checked_where_the_schema_has_them() -> None:
    keys = (
        KeyFacts("Level", ValueKind.REAL, bounds=(0.0, 1.0)),
        KeyFacts("Days", ValueKind.INTEGER, bounds=(1, None)),
        KeyFacts("Code", ValueKind.STRING, pattern=r"^[0-9]{6}$"),
        KeyFacts("Names", ValueKind.ARRAY, repetition=(1, 2)),
    )
    ring = CommandFacts("Ring", {}, keys, ())
    right: dict[str, PlistValue] = {"Level": 1, "Days": 1, "Code": "012345", "Names": ["a"]}
    wrong: dict[str, PlistValue] = {"Level": 1.5, "Days": 0, "Code": "12345", "Names": []}

    assert list(check_request(ring, right, NOBODY)) == []
    assert [(one.code.value, one.key_path) for one in check_request(ring, wrong, NOBODY)] == [
        ("out_of_range", "Level"),
        ("out_of_range", "Days"),
        ("wrong_format", "Code"),
        ("wrong_count", "Names"),
    ]


# --- real cases: the target -------------------------------------------------------------------------------------------

UPDATES: dict[str, PlistValue] = {"Updates": [UPDATE]}
QUERIES: dict[str, PlistValue] = {"Queries": ["OSVersion", "IMEI", "IsAppleSilicon"]}


@pytest.mark.parametrize(
    ("request_type", "keys", "target", "expected"),
    [
        ("EraseDevice", {"PIN": "123456"}, MAC, []),
        ("EraseDevice", {"PIN": "123456"}, IPHONE, [("warning", "not_for_os", "PIN")]),
        ("EraseDevice", {"PIN": "123456"}, NOBODY, []),
        ("RestartDevice", {"NotifyUser": True}, MAC, []),
        ("RestartDevice", {"NotifyUser": True}, IPHONE, [("warning", "not_for_os", "NotifyUser")]),
        ("RestartDevice", {"NotifyUser": True}, CommandTarget(OsFamily.MACOS, "11.2"),
         [("warning", "os_too_old", "NotifyUser")]),
        ("RestartDevice", {}, CommandTarget(OsFamily.IOS, "18.5", is_supervised=False),
         [("warning", "needs_supervision", "")]),
        ("RestartDevice", {}, CommandTarget(OsFamily.IOS, "18.5"), []),
        ("Restrictions", {}, MAC, [("warning", "not_for_os", "")]),
        ("UserList", {}, MAC, []),
        ("UserList", {}, CommandTarget(OsFamily.TVOS), [("warning", "not_for_os", "")]),
        ("UserList", {}, CommandTarget(OsFamily.IOS, is_shared_ipad=False), [("warning", "shared_ipad_only", "")]),
        ("UserList", {}, CommandTarget(OsFamily.MACOS, "10.12"), [("warning", "os_too_old", "")]),
        ("UserList", {}, CommandTarget(OsFamily.MACOS, is_user_channel=True), [("warning", "wrong_channel", "")]),
        ("ActiveNSExtensions", {}, CommandTarget(OsFamily.MACOS, is_user_channel=False),
         [("warning", "wrong_channel", "")]),
        ("ClearPasscode", {"UnlockToken": b"token"}, CommandTarget(OsFamily.IOS, is_shared_ipad=True),
         [("warning", "not_on_shared_ipad", "")]),
        ("DeviceLock", {}, CommandTarget(OsFamily.IOS, access_rights=8191 & ~4),
         [("warning", "right_not_granted", "")]),
        ("DeviceLock", {}, CommandTarget(OsFamily.IOS, access_rights=0, is_user_enrollment=True), []),
        ("EraseDevice", {}, CommandTarget(OsFamily.IOS, is_user_enrollment=True),
         [("warning", "not_in_user_enrollment", "")]),
        ("DeviceConfigured", {}, CommandTarget(OsFamily.MACOS, is_automated_enrollment=False),
         [("warning", "needs_automated_enrollment", "")]),
        ("ScheduleOSUpdate", UPDATES, CommandTarget(OsFamily.IOS, "25.9"), []),
        ("ScheduleOSUpdate", UPDATES, CommandTarget(OsFamily.IOS, "26.1"), [("notice", "deprecated", "")]),
        ("ScheduleOSUpdate", UPDATES, CommandTarget(OsFamily.IOS, "27.0"), [("warning", "removed", "")]),
        ("DeviceInformation", QUERIES, MAC, [("notice", "not_for_os", "Queries[1]")]),
        ("DeviceInformation", {"Queries": ["IMEI"]}, CommandTarget(OsFamily.IOS, "18.5"),
         [("notice", "deprecated", "Queries[0]")]),
        ("Settings", {"Settings": [WALLPAPER]}, MAC, [("warning", "not_for_os", "Settings[0]")]),
        ("Settings", {"Settings": [{"Item": "PersonalHotspot", "Enabled": True}]},
         CommandTarget(OsFamily.IOS, access_rights=2048), [("warning", "right_not_granted", "Settings[0]")]),
        ("SecurityInfo", {}, CommandTarget(OsFamily.IOS, "unknown"), []),
    ],
)  # fmt: skip
def test_target(
    request_type: str, keys: dict[str, PlistValue], target: CommandTarget, expected: list[tuple[str, str, str]]
) -> None:
    assert said(request_type, keys, target) == expected


def test_required_key_that_a_family_does_not_have_is_not_missed_there() -> None:
    keys = (KeyFacts("PIN", ValueKind.STRING, is_required=True, support={OsFamily.IOS: None}),)
    ring = CommandFacts("Ring", {OsFamily.IOS: Support(), OsFamily.MACOS: Support()}, keys, ())

    assert list(check_request(ring, {}, IPHONE)) == []
    assert [one.key_path for target in (MAC, NOBODY) for one in check_request(ring, {}, target)] == ["PIN", "PIN"]


def test_each_target_gets_its_own_findings() -> None:
    found = check_command(CommandRequest("Restrictions"), [MAC, IPHONE])

    assert [[one.severity for one in found[target]] for target in (MAC, IPHONE)] == [[Severity.WARNING], []]


# --- profiles ---------------------------------------------------------------------------------------------------------


def profile(*payload_types: str) -> bytes:
    content: list[PlistValue] = [{"PayloadType": one} for one in payload_types]
    return write_plist({"PayloadType": "Configuration", "PayloadIdentifier": "a", "PayloadContent": content})


def installs(payload: bytes) -> list[tuple[str, str, str]]:
    return said("InstallProfile", {"Payload": payload})


@pytest.mark.parametrize("payload_type", ["com.apple.mdm", "com.apple.MDM", " com.apple.mdm\n"])
def test_profile_that_enrolls_is_an_error_signed_or_not(payload_type: str) -> None:
    unsigned = profile("com.apple.wifi.managed", payload_type)
    signed = sign_attached(unsigned, ec_identity())

    assert installs(unsigned) == installs(signed) == [("error", "mdm_payload", "Payload")]


def test_signed_profile_is_looked_into_whoever_signed_it() -> None:
    assert installs(sign_attached(profile("com.apple.wifi.managed"), ec_identity())) == []


@pytest.mark.parametrize("payload", [b"", b"\x00profile", b"\x30\x03\x02\x01\x00", b"<plist>", b"bplist00"])
def test_payload_that_is_no_profile_is_an_error(payload: bytes) -> None:
    assert installs(payload) == [("error", "profile_unreadable", "Payload")]


def test_profile_that_is_encrypted_for_its_device_is_a_warning() -> None:
    payload = write_plist({"PayloadType": "Configuration", "PayloadIdentifier": "a", "EncryptedPayloadContent": b"cms"})

    assert installs(payload) == [("warning", "profile_encrypted", "Payload")]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_look_into_a_profile_stumble(payload: bytes) -> None:
    installs(payload)
    installs(b"\x30" + payload)
