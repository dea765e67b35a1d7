"""`muster apps`."""

import plistlib
from pathlib import Path

import pytest
from tests.cli.conftest import MAC
from tests.support.command_line import CommandLine


def sent(muster: CommandLine, *arguments: str) -> dict[str, object]:
    """The keys of the command that was sent."""
    made = muster("apps", *arguments)
    keys: dict[str, object] = muster("commands", "show", made["command_uuid"])["command"]["Command"]
    return keys


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--store-id", "361309726", "--device-license"],
            {
                "RequestType": "InstallApplication",
                "iTunesStoreID": 361309726,
                "ManagementFlags": 1,
                "Options": {"PurchaseMethod": 1},
            },
        ),
        (
            ["--manifest-url", "https://a.example/m", "--keep", "--take-over"],
            {
                "RequestType": "InstallApplication",
                "ManifestURL": "https://a.example/m",
                "ChangeManagementState": "Managed",
            },
        ),
        (
            ["--manifest-url", "https://a.example/m", "--package", "--keep"],
            {
                "RequestType": "InstallEnterpriseApplication",
                "ManifestURL": "https://a.example/m",
                "InstallAsManaged": True,
            },
        ),
    ],
)
def test_options_make_the_command(muster: CommandLine, options: list[str], expected: dict[str, object]) -> None:
    assert sent(muster, "install", MAC, *options) == expected


def test_app_is_installed_with_a_configuration_configured_listed_and_removed(
    muster: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "config.plist").write_bytes(plistlib.dumps({"Server": "a.example"}))
    config = str(tmp_path / "config.plist")

    installed = sent(muster, "install", MAC, "--identifier", "org.example.app", "--config", config, "--no-backup")
    configured = sent(muster, "configure", MAC, "org.example.app", config)
    listed = muster("apps", "list", MAC)
    removed = sent(muster, "remove", MAC, "org.example.app")

    assert (installed["Configuration"], installed["ManagementFlags"]) == ({"Server": "a.example"}, 5)
    assert configured["Settings"] == [
        {
            "Item": "ApplicationConfiguration",
            "Identifier": "org.example.app",
            "Configuration": {"Server": "a.example"},
        }
    ]
    assert [(one["identifier"], one["state"], one["version"]) for one in listed] == [("org.example.app", "sent", None)]
    assert removed == {"RequestType": "RemoveApplication", "Identifier": "org.example.app"}


def test_app_is_named_in_exactly_one_way(muster: CommandLine) -> None:
    none = muster.run("apps", "install", MAC)
    two = muster.run("apps", "install", MAC, "--store-id", "1", "--identifier", "a")

    assert (none[0], two[0]) == (2, 2)
    assert "exactly one of" in none[2]


def test_file_that_is_no_property_list_is_said(muster: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")

    assert muster.run("apps", "configure", MAC, "a", str(tmp_path / "text"))[0] == 2
    assert muster.run("apps", "configure", MAC, "a", str(tmp_path / "absent"))[0] == 2
    assert muster.run("apps", "list", "NOBODY")[0] == 3
    assert muster.run("apps", "list", MAC)[1] == "No apps were installed from here.\n"
    assert muster("apps", "verify", MAC)["request_type"] == "ManagedApplicationList"
