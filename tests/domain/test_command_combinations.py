"""Rules across the keys of a command."""

import pytest

from muster.domain.command_combinations import check_combination
from muster.domain.command_findings import CommandTarget
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue

MAC = CommandTarget(family=OsFamily.MACOS)
IPHONE = CommandTarget(family=OsFamily.IOS)


@pytest.mark.parametrize(
    ("request_type", "keys", "target", "said"),
    [
        ("InstallApplication", {"Identifier": "a"}, IPHONE, []),
        ("InstallApplication", {}, IPHONE, ["error"]),
        ("InstallApplication", {"Identifier": "a", "iTunesStoreID": 1}, IPHONE, ["error"]),
        ("InstallEnterpriseApplication", {"Manifest": {}}, MAC, []),
        ("InstallEnterpriseApplication", {"Manifest": {}, "ManifestURL": "https://a"}, MAC, ["error"]),
        ("DeviceLock", {"PIN": "123456"}, MAC, []),
        ("DeviceLock", {"PIN": "12345"}, MAC, ["error"]),
        ("DeviceLock", {"PIN": "12345a"}, MAC, ["error"]),
        ("DeviceLock", {"PIN": "١٢٣٤٥٦"}, MAC, ["error"]),
        ("DeviceLock", {}, MAC, ["notice"]),
        ("DeviceLock", {}, IPHONE, []),
        ("EraseDevice", {}, MAC, ["notice"]),
        ("EraseDevice", {"PIN": "1"}, MAC, ["error"]),
        ("DeviceInformation", {}, MAC, []),
    ],
)
def test_what_is_said_of_keys_together(
    request_type: str, keys: dict[str, PlistValue], target: CommandTarget, said: list[str]
) -> None:
    assert [one.severity.value for one in check_combination(request_type, keys, target)] == said
