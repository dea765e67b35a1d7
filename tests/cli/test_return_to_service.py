"""`muster return-to-service`: nothing is erased, and nothing comes back by itself, that nobody meant."""

from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine

from muster.protocol.plist import write_plist


@pytest.fixture
def wifi(tmp_path: Path) -> Path:
    path = tmp_path / "wifi.mobileconfig"
    path.write_bytes(write_plist({"PayloadType": "Configuration", "PayloadContent": []}))
    return path


def test_what_is_allowed_is_shown_without_its_secrets(muster: CommandLine, wifi: Path) -> None:
    before = muster.run("return-to-service", "show")[1]
    allowed = muster.run("return-to-service", "allow", "--all", "--wifi-profile", str(wifi), "--yes")
    forbidden = muster.run("return-to-service", "forbid", MAC)

    rows = muster("return-to-service", "show")
    assert (allowed[0], forbidden[0]) == (0, 0)
    assert before == "No device returns to service when it is erased by hand.\n"
    assert [(row["device_id"], row["is_enabled"], row["has_wifi_profile"]) for row in rows] == [
        (None, True, True),
        (MAC, False, False),
    ]
    assert "all others" in muster.run("return-to-service", "show")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("return-to-service", "allow", "--all"),
        ("return-to-service", "allow", "--yes"),
        ("return-to-service", "allow", "--all", MAC, "--yes"),
        ("return-to-service", "forbid"),
        ("return-to-service", "allow", MAC, "--yes", "--wifi-profile", "nowhere"),
        ("devices", "return-to-service", MAC),
    ],
)
def test_what_is_not_said_plainly_is_not_done(muster: CommandLine, arguments: tuple[str, ...]) -> None:
    assert muster.run(*arguments)[0] == 2
    assert muster("return-to-service", "show") == []
    assert muster("commands", "list", MAC) == []


@pytest.mark.parametrize(("device_id", "code"), [("nobody", 3), (FORMER, 4), (MAC, 4)])
def test_device_that_can_not_come_back_is_not_erased(
    muster: CommandLine, wifi: Path, device_id: str, code: int
) -> None:
    outcome = muster.run("devices", "return-to-service", device_id, "--wifi-profile", str(wifi), "--yes")

    assert outcome[0] == code


def test_file_that_is_no_profile_is_refused(muster: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("text")

    assert muster.run("return-to-service", "allow", "--all", "--wifi-profile", str(path), "--yes")[0] == 4
