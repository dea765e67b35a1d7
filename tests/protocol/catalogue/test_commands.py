"""The catalogue as it is asked."""

import pytest

from muster.protocol.catalogue.commands import all_commands, command_names, find_command, similar_commands
from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, Mode, Support, ValueKind
from muster.protocol.os_family import OsFamily, family_of


def command(name: str) -> CommandFacts:
    found = find_command(name)
    assert found is not None
    return found


def key(path: str) -> KeyFacts:
    """A key of a request, as in `EraseDevice/ReturnToService/Enabled`."""
    name, *rest = path.split("/")
    members = command(name).request
    for part in rest:
        found = next(member for member in members if member.name == part)
        members = found.members
    return found


def test_every_command_of_the_table_is_read_under_its_name() -> None:
    assert [one.request_type for one in all_commands()] == list(command_names())
    assert len(command_names()) == len(set(command_names())) >= 68


def test_every_command_is_for_some_family_and_takes_a_network_tether() -> None:
    for one in all_commands():
        assert any(support is not None for support in one.support.values()), one.request_type
        assert "RequestRequiresNetworkTether" in {member.name for member in one.request}


def test_support_is_what_the_schema_says_of_each_family() -> None:
    support = command("EraseDevice").support

    assert support[OsFamily.MACOS] == Support(
        introduced="10.7",
        access_right=8,
        on_device_channel=True,
        on_user_channel=False,
        user_enrollment=Mode.FORBIDDEN,
    )
    assert support[OsFamily.IOS] == Support(
        introduced="4.0",
        access_right=8,
        shared_ipad=Mode.ALLOWED,
        on_shared_device=True,
        on_shared_user=False,
        user_enrollment=Mode.FORBIDDEN,
    )
    assert command("UserList").support[OsFamily.TVOS] is None


def test_keys_are_what_the_schema_says() -> None:
    assert key("EraseDevice/PIN").support[OsFamily.IOS] is None
    assert key("EraseDevice/PreserveDataPlan").default is False
    assert key("EraseDevice/ReturnToService/Enabled").is_required
    assert key("EraseDevice/ObliterationBehavior").allowed == (
        "Default",
        "DoNotObliterate",
        "ObliterateWithWarning",
        "Always",
    )
    assert key("DeviceInformation/Queries").kind is ValueKind.ARRAY
    assert key("DeviceInformation/Queries/QueriesItem/ICCID").support[OsFamily.IOS] == Support(
        deprecated="16.0", removed="26.0", access_right=32, user_enrollment=Mode.FORBIDDEN
    )
    assert key("InstallApplication/Configuration/ANY").stands_for_all
    assert [one.name for one in command("ActivationLockBypassCode").response] == ["ActivationLockBypassCode"]


def test_bounds_are_read() -> None:
    (answer,) = (one for one in command("ContentCachingInformation").response if one.name == "StatusResponse")
    (progress,) = (one for one in answer.members if one.name == "DataMigrationProgress")

    assert progress.bounds == (0.0, 1.0)


def test_unknown_command_is_none() -> None:
    assert find_command("DeviceInfo") is None
    assert find_command("deviceinformation") is None


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("deviceinformation", "DeviceInformation"),
        ("DeviceInfo", "DeviceInformation"),
        ("EraseDevise", "EraseDevice"),
        ("InstallProfil", "InstallProfile"),
    ],
)
def test_misspelt_name_suggests_the_one_that_was_meant(misspelt: str, meant: str) -> None:
    assert similar_commands(misspelt)[0] == meant


def test_name_that_is_like_none_suggests_nothing() -> None:
    assert similar_commands("Xyzzy") == ()


@pytest.mark.parametrize(
    ("product_name", "family"),
    [
        ("iPhone16,1", OsFamily.IOS),
        ("iPad13,18", OsFamily.IOS),
        ("iPod9,1", OsFamily.IOS),
        ("AppleTV14,1", OsFamily.TVOS),
        ("RealityDevice14,1", OsFamily.VISIONOS),
        ("Watch7,1", OsFamily.WATCHOS),
        ("Mac15,3", OsFamily.MACOS),
        ("MacBookPro18,3", OsFamily.MACOS),
        ("iMac21,1", OsFamily.MACOS),
        ("VirtualMac2,1", OsFamily.MACOS),
        ("Toaster1,1", None),
        ("", None),
        (None, None),
    ],
)
def test_family_is_told_by_how_the_product_name_begins(product_name: str | None, family: OsFamily | None) -> None:
    assert family_of(product_name) is family
