"""The kinds of inventory: one for each question, named by its RequestType, with where its answer holds what.

Source: Apple, "Commands and queries", the responses of each command.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class InventoryKind(StrEnum):
    """The closed list of questions; the values are their RequestTypes."""

    DEVICE_INFORMATION = "DeviceInformation"
    SECURITY_INFO = "SecurityInfo"
    PROFILE_LIST = "ProfileList"
    CERTIFICATE_LIST = "CertificateList"
    INSTALLED_APPLICATION_LIST = "InstalledApplicationList"
    MANAGED_APPLICATION_LIST = "ManagedApplicationList"
    USER_LIST = "UserList"
    AVAILABLE_OS_UPDATES = "AvailableOSUpdates"
    PROVISIONING_PROFILE_LIST = "ProvisioningProfileList"
    RESTRICTIONS = "Restrictions"


@dataclass(frozen=True, slots=True)
class ItemKeys:
    """Where the items of a list have their identifier, their name and their version: the first key that is there."""

    identifiers: tuple[str, ...]
    names: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KindFacts:
    """One kind. *answer_key* holds what the answer says; *items* is absent where that is facts and no list.

    *every* is how many intervals pass between two questions.
    """

    title: str
    answer_key: str
    items: ItemKeys | None = None
    every: int = 1


WEEKLY: Final = 7
"""What hardly changes, or nobody waits for, is asked for a seventh as often."""

KINDS: Final[dict[InventoryKind, KindFacts]] = {
    InventoryKind.DEVICE_INFORMATION: KindFacts("Device", "QueryResponses"),
    InventoryKind.SECURITY_INFO: KindFacts("Security", "SecurityInfo"),
    InventoryKind.PROFILE_LIST: KindFacts(
        "Profiles", "ProfileList", ItemKeys(("PayloadIdentifier",), ("PayloadDisplayName",), ("PayloadVersion",))
    ),
    InventoryKind.CERTIFICATE_LIST: KindFacts("Certificates", "CertificateList", ItemKeys((), ("CommonName",))),
    InventoryKind.INSTALLED_APPLICATION_LIST: KindFacts(
        "Applications",
        "InstalledApplicationList",
        ItemKeys(("Identifier", "Path", "Name"), ("Name",), ("ShortVersion", "Version")),
    ),
    InventoryKind.MANAGED_APPLICATION_LIST: KindFacts("Managed applications", "ManagedApplicationList", ItemKeys(())),
    InventoryKind.USER_LIST: KindFacts("Users", "Users", ItemKeys(("UserGUID", "UserName"), ("FullName", "UserName"))),
    InventoryKind.AVAILABLE_OS_UPDATES: KindFacts(
        "Available updates",
        "AvailableOSUpdates",
        ItemKeys(("ProductKey",), ("HumanReadableName", "ProductName"), ("Version",)),
        WEEKLY,
    ),
    InventoryKind.PROVISIONING_PROFILE_LIST: KindFacts(
        "Provisioning profiles", "ProvisioningProfileList", ItemKeys(("UUID",), ("Name",)), WEEKLY
    ),
    InventoryKind.RESTRICTIONS: KindFacts("Restrictions", "GlobalRestrictions", every=WEEKLY),
}
"""Every kind, in the order in which they are shown and asked. Certificates are told apart by their SHA-256, managed
applications by their place in the answer."""

NOT_KEPT: Final = frozenset({"PushToken", "FDE_PersonalRecoveryKeyCMS", "DevicePropertiesAttestation", "Data"})
"""Keys that inventory leaves out: secrets have a place of their own, and certificates would be most of a database. The
report keeps them."""

VOLATILE: Final = frozenset(
    {
        "AvailableDeviceCapacity",
        "BatteryLevel",
        "BundleSize",
        "DataUsed",
        "DynamicSize",
        "EstimatedResidentUsers",
        "HasDataToSync",
        "IsDoNotDisturbInEffect",
        "IsLoggedIn",
        "IsNetworkTethered",
        "LastCloudBackupDate",
        "OSUpdateSettings.PreviousScanDate",
        "OSUpdateSettings.PreviousScanResult",
        "ServiceSubscriptions",
    }
)
"""Keys whose values change by themselves all the time: the latest is kept, and no history is made of them."""
