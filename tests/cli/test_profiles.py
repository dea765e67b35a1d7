"""`muster profiles`."""

import plistlib
from pathlib import Path

from tests.cli.conftest import MAC
from tests.support.command_line import CommandLine

WIFI = plistlib.dumps(
    {"PayloadType": "Configuration", "PayloadIdentifier": "org.example.wifi", "PayloadDisplayName": "Office Wi-Fi"}
)


def test_profile_that_was_sent_is_listed(muster: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "wifi.mobileconfig").write_bytes(WIFI)

    code, out, said = muster.run("profiles", "install", MAC, str(tmp_path / "wifi.mobileconfig"))
    listed = muster("profiles", "list", MAC)

    assert code == 0
    assert said == f"org.example.wifi waits for {MAC}, which is pushed.\n"
    assert [(one["command_uuid"], one["name"], one["state"]) for one in listed] == [
        (out.strip(), "Office Wi-Fi", "sent")
    ]


def test_profile_that_did_not_come_from_here_is_removed_only_by_who_insists(muster: CommandLine) -> None:
    code, _, said = muster.run("profiles", "remove", MAC, "org.example.other")

    assert code == 4
    assert "was installed from here" in said
    assert "--anyway" in said
    assert muster.run("profiles", "remove", MAC, "org.example.other", "--anyway")[0] == 0


def test_file_that_is_not_there_or_no_profile_is_said(muster: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")

    absent = muster.run("profiles", "install", MAC, str(tmp_path / "absent"))
    unfit = muster.run("profiles", "install", MAC, str(tmp_path / "text"))

    assert (absent[0], unfit[0]) == (2, 4)
    assert "can't be read" in absent[2]
    assert "no configuration profile" in unfit[2]


def test_profiles_are_verified_by_a_question(muster: CommandLine) -> None:
    asked = muster("profiles", "verify", MAC)

    assert muster("commands", "show", asked["command_uuid"])["request_type"] == "ProfileList"


def test_list_says_where_nothing_was_installed(muster: CommandLine) -> None:
    assert muster.run("profiles", "list", MAC)[1] == "No profiles were installed from here.\n"
    assert muster.run("profiles", "list", "NOBODY")[0] == 3
