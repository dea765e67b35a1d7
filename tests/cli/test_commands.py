"""`muster commands`."""

import io
import plistlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.support.command_line import CommandLine
from tests.support.runner import NOW

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import reports
from muster.storage.sqlite import SqliteEngine

UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def sent(muster: CommandLine, *arguments: str) -> Any:
    """The keys of a command that was sent, as the device will get them."""
    made = muster("commands", "send", MAC, *arguments)
    return muster.body(made["command_uuid"])["Command"]


def test_send_prints_the_commands_uuid_and_nothing_else(muster: CommandLine) -> None:
    code, out, said = muster.run("commands", "send", MAC, "SecurityInfo")

    assert code == 0
    assert UUID.fullmatch(out.strip())
    assert said == f"SecurityInfo waits for {MAC}, which is pushed.\n"


def test_send_tells_programs_what_was_sent_to_whom(muster: CommandLine) -> None:
    made = muster("commands", "send", USER, "ProfileList")

    assert UUID.fullmatch(made.pop("command_uuid"))
    assert made == {"request_type": "ProfileList", "id": USER, "findings": []}


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("Flag=true", True),
        ("Flag=false", False),
        ("Flag=True", "True"),
        ("Count=42", 42),
        ("Count=-7", -7),
        ("Count=0", 0),
        ("Code=012345", "012345"),
        ("Code=1234567890123456789012", "1234567890123456789012"),
        ("Text=a=b", "a=b"),
        ("Text=", ""),
        ('Text="7"', "7"),
        ("Share=0.5", "0.5"),
        ("Names[]=a,b,7", ["a", "b", 7]),
        ("Names[]=", []),
        ('Names[]={"a": 1}', [{"a": 1}]),
        ('Settings=[{"Item": "DeviceName", "N": 1.5}]', [{"Item": "DeviceName", "N": 1.5}]),
        ('Options={"A": [true]}', {"A": [True]}),
    ],
)  # fmt: skip
def test_values_of_set_are_taken_for_what_they_look_like(
    muster: CommandLine, assignment: str, expected: object
) -> None:
    key = re.split(r"\[\]=|=", assignment)[0]

    assert sent(muster, "SomeNewCommand", "--set", assignment, "--anyway")[key] == expected


@pytest.mark.parametrize(
    ("request_type", "assignment", "expected"),
    [
        ("DeviceLock", "PIN=123456", "123456"),
        ("DeviceLock", "Message=true", "true"),
        ("DeleteUser", "UserName=42", "42"),
        ("DeleteUser", "ForceDeletion=true", True),
        ("DeviceInformation", "Queries[]=UDID,OSVersion", ["UDID", "OSVersion"]),
        ("InstalledApplicationList", "Identifiers[]=7,true", ["7", "true"]),
        ("InstallApplication", "iTunesStoreID=361309726", 361309726),
    ],
)
def test_what_apple_defines_as_text_is_text_whatever_it_looks_like(
    muster: CommandLine, request_type: str, assignment: str, expected: object
) -> None:
    key = re.split(r"\[\]=|=", assignment)[0]

    assert sent(muster, request_type, "--set", assignment, "--anyway")[key] == expected


PROFILE = plistlib.dumps({"PayloadType": "Configuration", "PayloadIdentifier": "org.example", "PayloadContent": []})


def test_set_takes_a_files_content_as_data(muster: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "wifi.mobileconfig").write_bytes(PROFILE)

    keys = sent(muster, "InstallProfile", "--set", f"Payload=@{tmp_path / 'wifi.mobileconfig'}")

    assert keys == {"RequestType": "InstallProfile", "Payload": PROFILE}


# --- what is held against it ------------------------------------------------------------------------------------------


def test_command_of_the_wrong_form_is_wrong_usage_whoever_insists(muster: CommandLine) -> None:
    for insisting in ([], ["--anyway"]):
        code, out, said = muster.run("commands", "send", MAC, "DeviceInformation", "--set", "Queries=UDID", *insisting)

        assert (code, out) == (2, "")
        assert said.splitlines() == [
            "muster: DeviceInformation can't be sent as it is",
            "  Queries must be an array, and is a string; the device answers with an error",
            "  See `muster commands describe DeviceInformation` for its keys.",
        ]
    assert muster("commands", "list", MAC) == []


def test_command_that_the_device_would_refuse_is_refused_with_what_to_do(muster: CommandLine) -> None:
    code, out, said = muster.run("commands", "send", MAC, "UserLst", "--set", "Pin=1")

    assert (code, out) == (4, "")
    assert said.splitlines() == [
        f"muster: UserLst was not queued for {MAC}",
        "  no command UserLst is known here: devices that don't know it answer with an error; did you mean UserList?",
        "  To send it nevertheless, add --anyway.",
    ]


def test_who_insists_is_told_what_was_overruled(muster: CommandLine) -> None:
    code, out, said = muster.run("commands", "send", USER, "UserList", "--anyway")

    assert code == 0
    assert UUID.fullmatch(out.strip())
    assert said.splitlines()[0] == (
        "warning: UserList is for the device's channel, not for its users': the device would answer with an error; "
        "send it to the other one"
    )


def test_programs_are_told_what_was_found(muster: CommandLine) -> None:
    (finding,) = muster("commands", "send", USER, "UserList", "--anyway")["findings"]

    assert finding.pop("message")
    assert finding == {"severity": "warning", "code": "wrong_channel", "key_path": ""}


def test_no_more_is_said_than_somebody_reads(muster: CommandLine) -> None:
    queries = "Queries[]=" + ",".join(f"New{number}" for number in range(30))

    _, _, said = muster.run("commands", "send", MAC, "DeviceInformation", "--set", queries, "--anyway")

    assert [line.split(":")[0] for line in said.splitlines()[:10]] == ["warning"] * 10
    assert said.splitlines()[10] == "and 20 more; --json shows all"


def test_a_property_list_is_held_against_the_same(muster: CommandLine, tmp_path: Path) -> None:
    file = plist_file(tmp_path / "lock.plist", {"RequestType": "DeviceLock", "PIN": 123456})

    code, _, said = muster.run("commands", "send", MAC, "--plist", file)

    assert code == 2
    assert "PIN must be a string, and is a whole number" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name the command"),
        (["Device Information"], "no RequestType"),
        (["Settings", "--set", "Key"], "'Key' is not KEY=VALUE"),
        (["Settings", "--set", "=x"], "is not KEY=VALUE"),
        (["Settings", "--set", "[]=x"], "is not KEY=VALUE"),
        (["Settings", "--set", "Key={"], "is not JSON"),
        (["Settings", "--set", 'Key={"a": [null]}'], "has a null"),
        (["Settings", "--set", "Key=@nowhere"], "nowhere can't be read: No such file or directory"),
        (["--plist", "nowhere"], "nowhere can't be read: No such file or directory"),
    ],
)
def test_what_makes_no_command_is_wrong_usage(muster: CommandLine, arguments: list[str], complaint: str) -> None:
    code, out, said = muster.run("commands", "send", MAC, *arguments)

    assert (code, out) == (2, "")
    assert complaint in said


def plist_file(path: Path, keys: Mapping[str, object]) -> str:
    path.write_bytes(plistlib.dumps(dict(keys)))
    return str(path)


LOCK = {"RequestType": "DeviceLock", "PIN": "012345"}


@pytest.mark.parametrize("keys", [LOCK, {"Command": LOCK}])
def test_a_property_list_may_hold_the_whole_command_or_its_inner_part(
    muster: CommandLine, tmp_path: Path, keys: Mapping[str, object]
) -> None:
    assert sent(muster, "--plist", plist_file(tmp_path / "lock.plist", keys)) == LOCK


def test_a_property_list_may_come_from_standard_input(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(plistlib.dumps(LOCK))))

    assert sent(muster, "--plist", "-") == LOCK


def test_set_adds_to_a_property_list_and_wins(muster: CommandLine, tmp_path: Path) -> None:
    file = plist_file(tmp_path / "lock.plist", LOCK)

    keys = sent(muster, "DeviceLock", "--plist", file, "--set", "PIN=999999", "--set", "Message=Found?")

    assert keys == {**LOCK, "PIN": "999999", "Message": "Found?"}


def test_a_property_list_of_another_command_is_wrong_usage(muster: CommandLine, tmp_path: Path) -> None:
    file = plist_file(tmp_path / "lock.plist", LOCK)

    code, _, said = muster.run("commands", "send", MAC, "EraseDevice", "--plist", file)

    assert code == 2
    assert "the file holds a DeviceLock, not a EraseDevice" in said


def test_a_file_that_is_no_command_is_wrong_usage(muster: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("DeviceLock")

    code, _, said = muster.run("commands", "send", MAC, "--plist", str(tmp_path / "other"))

    assert code == 2
    assert "other is not a command" in said


def test_the_uuid_of_a_file_is_kept_for_each_channel_once(muster: CommandLine, tmp_path: Path) -> None:
    file = plist_file(tmp_path / "lock.plist", {"Command": LOCK, "CommandUUID": "my-own"})

    first = muster("commands", "send", MAC, "--plist", file)
    other = muster("commands", "send", USER, "--plist", file, "--anyway")
    again, _, said = muster.run("commands", "send", MAC, "--plist", file)
    changed, _, _ = muster.run("commands", "send", FORMER, "--plist", file, "--set", "PIN=654321")

    assert (first["command_uuid"], other["command_uuid"]) == ("my-own", "my-own")
    assert (again, changed) == (5, 5)
    assert "a command my-own was sent before" in said
    assert {row["channel_id"] for row in muster("commands", "show", "my-own")["channels"]} == {MAC, USER}


def test_an_id_that_is_not_known_is_absent_and_one_that_is_not_enrolled_refused(muster: CommandLine) -> None:
    absent, _, said_absent = muster.run("commands", "send", "nobody", "DeviceLock")
    refused, _, said_refused = muster.run("commands", "send", FORMER, "DeviceLock")

    assert (absent, refused) == (3, 4)
    assert said_absent == "muster: no enrollment nobody is known\n  See `muster devices list`.\n"
    assert said_refused.startswith(f"muster: {FORMER} is not enrolled now (ended)\n  ")


def test_list_shows_what_waits_in_its_order(muster: CommandLine) -> None:
    late = muster.send(MAC, "ProfileList")
    soon = muster.send(MAC, "SecurityInfo", "--priority", "5")

    rows = muster("commands", "list", MAC)
    _, table, _ = muster.run("commands", "list", MAC)

    assert [(row["command_uuid"], row["status"]) for row in rows] == [(soon, "waiting"), (late, "waiting")]
    assert rows[0].keys() >= {"request_type", "queued_at", "handed_out_count", "not_now_count", "reported_at"}
    assert [line.split()[0] for line in table.splitlines()] == ["UUID", soon, late]
    assert muster.run("commands", "list", USER)[1] == "No commands.\n"


def test_show_gives_the_answer_decoded(muster: CommandLine, data_dir: Path) -> None:
    command_uuid = muster.send(MAC, "DeviceInformation", "--set", "Queries[]=OSVersion")
    answer(data_dir, command_uuid, plistlib.dumps({"QueryResponses": {"OSVersion": "15.5"}}))

    shown = muster("commands", "show", command_uuid)
    _, text, _ = muster.run("commands", "show", command_uuid)

    assert shown["request_type"] == "DeviceInformation"
    assert shown["answers"] == {MAC: {"QueryResponses": {"OSVersion": "15.5"}}}
    assert "Acknowledged" in {row["status"] for row in shown["channels"]}
    assert "<string>15.5</string>" in text


def answer(
    data_dir: Path,
    command_uuid: str,
    body: bytes,
    *,
    is_sealed: bool = False,
    status: str = "Acknowledged",
    channel_id: str = MAC,
) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(
        lambda tx: reports.record_unqueued(
            tx,
            ChannelId(channel_id),
            CommandUUID(command_uuid),
            request_type="DeviceInformation",
            status=status,
            body=body,
            is_sealed=is_sealed,
            epoch=1,
            at=NOW,
        )
    )
    engine.close()


def test_command_that_holds_a_secret_is_not_shown(muster: CommandLine) -> None:
    command_uuid = muster.send(MAC, "DeviceLock", "--set", "PIN=483920", "--anyway")

    shown = muster("commands", "show", command_uuid)

    assert shown["command"] == "kept secret; see `muster secrets`"
    assert "483920" not in muster.run("commands", "show", command_uuid, "--json")[1]


def test_answer_that_holds_a_secret_is_not_shown(muster: CommandLine, data_dir: Path) -> None:
    command_uuid = muster.send(MAC, "ActivationLockBypassCode", "--anyway")
    answer(data_dir, command_uuid, b"sealed", is_sealed=True)

    shown = muster("commands", "show", command_uuid)
    _, text, _ = muster.run("commands", "show", command_uuid)

    assert shown["answers"] == {MAC: "kept secret; see `muster secrets`"}
    assert "sealed" not in text
    assert "kept secret" in text


REFUSAL = plistlib.dumps(
    {
        "Status": "Error",
        "UDID": MAC,
        "ErrorChain": [
            {"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "USEnglishDescription": "Unknown command"}
        ],
    }
)


def test_why_a_device_refused_stands_in_the_list(muster: CommandLine, data_dir: Path) -> None:
    command_uuid = muster.send(MAC, "SecurityInfo")
    answer(data_dir, command_uuid, REFUSAL, status="Error")

    _, table, _ = muster.run("commands", "list", MAC)

    assert "Error: Unknown command (MCMDMErrorDomain 12021)" in table


@pytest.mark.parametrize("body", [b"no property list", plistlib.dumps({"Status": "Error", "ErrorChain": 5})])
def test_a_refusal_that_can_not_be_read_is_an_error_without_a_reason(
    muster: CommandLine, data_dir: Path, body: bytes
) -> None:
    command_uuid = muster.send(MAC, "SecurityInfo")
    answer(data_dir, command_uuid, body, status="Error")

    assert muster("commands", "list", MAC)[-1]["failure"] is None


def test_a_command_to_many_is_shown_in_a_table_with_those_that_refused_first(
    muster: CommandLine, data_dir: Path
) -> None:
    command_uuid = muster.send(MAC, "SecurityInfo")
    for number in range(5):
        answer(data_dir, command_uuid, plistlib.dumps({"Status": "Acknowledged"}), channel_id=f"D{number}")
    answer(data_dir, command_uuid, REFUSAL, status="Error", channel_id="REFUSES")

    _, text, _ = muster.run("commands", "show", command_uuid)
    lines = text.splitlines()

    assert lines[1] == "5 Acknowledged, 1 waiting, 1 Error"
    assert lines[4].split()[:2] == ["REFUSES", "Error:"]
    assert "<plist" not in text
    assert muster("commands", "show", command_uuid)["counts"] == {"Acknowledged": 5, "waiting": 1, "Error": 1}


def test_one_channels_answer_is_shown_when_asked_for(muster: CommandLine, data_dir: Path) -> None:
    command_uuid = muster.send(MAC, "SecurityInfo")
    answer(data_dir, command_uuid, REFUSAL, status="Error", channel_id="REFUSES")

    shown = muster("commands", "show", command_uuid, "REFUSES")
    absent, _, said = muster.run("commands", "show", command_uuid, "nobody")

    assert list(shown["answers"]) == ["REFUSES"]
    assert [row["channel_id"] for row in shown["channels"]] == ["REFUSES"]
    assert (absent, said) == (3, f"muster: {command_uuid} did not go to nobody\n")


@pytest.mark.parametrize("arguments", [["list", "nobody"], ["show", "nothing"]])
def test_what_is_not_known_is_absent(muster: CommandLine, arguments: list[str]) -> None:
    code, out, said = muster.run("commands", *arguments)

    assert (code, out) == (3, "")
    assert "is known" in said
