"""`muster secrets`, and the roles of administrators."""

import plistlib
from pathlib import Path

from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine


def test_pin_is_listed_without_its_value_and_revealed(muster: CommandLine) -> None:
    muster.send(MAC, "DeviceLock", "--set", "PIN=483920", "--anyway")

    code, table, _ = muster.run("secrets", "list", MAC)
    found = muster("secrets", "find", "C02XK1")
    seen = muster.run("secrets", "reveal", MAC, "lock_pin", "--reason", "locked out")

    assert code == 0
    assert "lock_pin" in table
    assert "483920" not in table
    assert [(one["kind"], one["state"], one["command_status"]) for one in found] == [
        ("lock_pin", "proposed", "waiting")
    ]
    assert seen[:2] == (0, "483920\n")


def test_rotation_sends_a_password_that_is_kept(muster: CommandLine) -> None:
    queued = muster("secrets", "rotate", MAC, "recovery_lock", "--anyway")

    sent = muster.body(queued["command_uuid"])["Command"]["NewPassword"]
    assert muster("secrets", "reveal", MAC, "recovery_lock")["value"] == sent
    assert muster.run("secrets", "clear", MAC, "recovery_lock", "--anyway")[0] == 5


def test_profile_is_written_to_a_file(muster: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "filevault.mobileconfig"

    code, _, _ = muster.run("secrets", "filevault-profile", "--out", str(out))

    assert code == 0
    assert plistlib.loads(out.read_bytes())["PayloadDisplayName"] == "FileVault"
    assert muster.run("secrets", "filevault-profile")[0] == 2


def test_what_is_not_there_is_absent(muster: CommandLine) -> None:
    assert muster.run("secrets", "list", FORMER)[0] == 3
    assert muster.run("secrets", "reveal", MAC, "unlock_token")[0] == 3
    assert muster.run("devices", "clear-passcode", "nobody")[0] == 3


def test_roles_are_given_and_listed(muster: CommandLine) -> None:
    for name in ("ada", "ben"):
        muster("admins", "link", name)
    muster("admins", "set-role", "ben", "helpdesk")

    roles = {one["name"]: one["role"] for one in muster("admins", "list")}

    assert roles["ben"] == "helpdesk"
    assert "owner" in roles.values()
