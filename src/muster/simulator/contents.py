"""What is on a simulated device and changes: profiles, software, settings, passwords."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import TypeAlias

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist
from muster.simulator.facts import DeviceFacts, Platform

Keys: TypeAlias = dict[str, PlistValue]

BYPASS_CODE_BYTES = 16
"""Of an Activation Lock bypass code, before it is written as text."""
RECOVERY_KEY_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

PROFILE_KEYS = ("PayloadIdentifier", "PayloadUUID", "PayloadVersion", "PayloadDisplayName", "PayloadOrganization")
PAYLOAD_KEYS = ("PayloadType", "PayloadVersion", "PayloadIdentifier", "PayloadUUID", "PayloadDisplayName")


@dataclass(frozen=True, slots=True)
class InstalledProfile:
    """A configuration profile as it lies on the device: its own keys, and those of each payload."""

    identifier: str
    keys: Keys
    payloads: tuple[Keys, ...]

    @property
    def has_mdm_payload(self) -> bool:
        """Whether this is the profile that enrolls the device."""
        return any(payload.get("PayloadType") == "com.apple.mdm" for payload in self.payloads)

    def listed(self) -> Keys:
        """Its entry in a ProfileList."""
        content: list[PlistValue] = [
            {key: payload[key] for key in PAYLOAD_KEYS if key in payload} for payload in self.payloads
        ]
        named = {key: self.keys[key] for key in PROFILE_KEYS if key in self.keys}
        return named | {
            "HasRemovalPasscode": False,
            "IsEncrypted": False,
            "PayloadRemovalDisallowed": self.keys.get("PayloadRemovalDisallowed", False),
            "PayloadContent": content,
        }


class AppState(StrEnum):
    """How far a managed application has come (Apple, "Managed Application List", Status): those that occur here."""

    PROMPTING = "Prompting"
    INSTALLING = "Installing"
    UPDATING = "Updating"
    MANAGED = "Managed"
    USER_REJECTED = "UserRejected"

    @property
    def is_present(self) -> bool:
        """Whether the application can be used now."""
        return self in (AppState.UPDATING, AppState.MANAGED)


@dataclass(frozen=True, slots=True)
class Application:
    """An application. *state* moves on at *due_at*; None: it stays. What the user installed is `MANAGED` throughout,
    and not *is_managed*."""

    identifier: str
    name: str
    version: str
    bundle_size: int
    is_managed: bool = False
    state: AppState = AppState.MANAGED
    due_at: datetime | None = None
    store_id: int | None = None
    management_flags: int = 0
    is_validated: bool = True
    configuration: Keys | None = None
    attributes: Keys = field(default_factory=dict)
    feedback: Keys | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """A managed book: of the store by *store_id*, else by *persistent_id*. *described*: what the server said of it."""

    store_id: int | None
    persistent_id: str | None
    described: Keys


@dataclass(frozen=True, slots=True)
class ProvisioningProfile:
    """A provisioning profile; *expires_at* is absent where the profile doesn't say it."""

    uuid: str
    name: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ScheduledUpdate:
    """An update of the OS that a server asked for: it is downloaded at *downloaded_at*. *installs*: and installed."""

    product_key: str
    os_version: str
    build_version: str
    began_at: datetime
    downloaded_at: datetime
    installs: bool
    max_deferrals: int | None = None


@dataclass(slots=True)
class Contents:
    """Everything a command can change. Profiles, the enrolling one among them, and applications go by identifier.

    settings: the items of Settings that took, by their name. lock_pin: what a Mac that is locked wants to be told.
    account_password: of who owns the Mac; it unlocks FileVault, as recovery_key does. recovery_lock and
    firmware_password: None where none is set. bypass_code: None once it is cleared. auto_admins: made by
    AccountConfiguration, password hashes by GUID and short name.
    """

    device_name: str
    profiles: dict[str, InstalledProfile] = field(default_factory=dict)
    provisioning_profiles: dict[str, ProvisioningProfile] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    books: list[Book] = field(default_factory=list)
    settings: dict[str, Keys] = field(default_factory=dict)
    has_passcode: bool = True
    is_disk_encrypted: bool = False
    is_lost: bool = False
    lost_message: Keys = field(default_factory=dict)
    available_capacity_gb: float = 0.0
    awaits_user_configuration: bool = False
    organization_info: Keys = field(default_factory=dict)
    restarts: int = 0
    bootstrap_token: bytes | None = None
    unlock_token: bytes | None = None
    lock_pin: str | None = None
    account_password: str = ""
    recovery_key: str | None = None
    has_institutional_key: bool = False
    recovery_lock: str | None = None
    firmware_password: str | None = None
    bypass_code: bytes | None = None
    auto_admins: dict[tuple[str, str], bytes] = field(default_factory=dict)
    account_configuration: Keys | None = None
    is_remote_desktop_enabled: bool = False
    is_mirroring: bool = False
    scheduled_update: ScheduledUpdate | None = None


def make_contents(facts: DeviceFacts, rng: Random) -> Contents:
    """What such a device has when its user has had it for a while."""
    is_mac = facts.platform is Platform.MAC
    catalogue = MAC_APPLICATIONS if is_mac else MOBILE_APPLICATIONS
    chosen = rng.sample(catalogue, k=rng.randint(2, len(catalogue)))
    applications = [
        Application(identifier, name, f"{rng.randint(1, 20)}.{rng.randint(0, 9)}", rng.randrange(10**6, 10**9))
        for identifier, name in chosen
    ]
    secrets = Random(f"{facts.serial_number} secrets")  # noqa: S311 - a simulated device's, which tests must know
    is_disk_encrypted = is_mac and rng.random() < 0.8
    return Contents(
        device_name=facts.device_name,
        applications={application.identifier: application for application in applications},
        is_disk_encrypted=is_disk_encrypted,
        has_passcode=rng.random() < 0.9,
        available_capacity_gb=round(facts.product.capacity_gb * rng.uniform(0.1, 0.8), 2),
        account_password=f"password {secrets.randrange(10**6):06}",
        recovery_key=make_recovery_key(secrets) if is_disk_encrypted else None,
        bypass_code=secrets.randbytes(BYPASS_CODE_BYTES) if facts.is_supervised else None,
    )


def make_recovery_key(rng: Random) -> str:
    """A personal recovery key of FileVault, as macOS shows it: six groups of four."""
    return "-".join("".join(rng.choices(RECOVERY_KEY_ALPHABET, k=4)) for _ in range(6))


def read_profile(profile_xml: bytes) -> InstalledProfile:
    """Read any configuration profile. Raises MalformedMessage when it has not the keys that every profile has."""
    keys = read_plist(profile_xml)
    identifier, content = keys.get("PayloadIdentifier"), keys.get("PayloadContent", [])
    if not isinstance(identifier, str) or not isinstance(content, list):
        raise MalformedMessage("PayloadIdentifier or PayloadContent is missing or has another type")
    payloads = tuple(payload for payload in content if isinstance(payload, dict))
    return InstalledProfile(identifier, keys, payloads)


MAC_APPLICATIONS = (
    ("com.apple.Safari", "Safari"),
    ("com.apple.mail", "Mail"),
    ("com.apple.systempreferences", "System Settings"),
    ("com.microsoft.Word", "Microsoft Word"),
    ("org.mozilla.firefox", "Firefox"),
    ("us.zoom.xos", "zoom.us"),
)

MOBILE_APPLICATIONS = (
    ("com.apple.Pages", "Pages"),
    ("com.apple.Keynote", "Keynote"),
    ("com.microsoft.Office.Outlook", "Microsoft Outlook"),
    ("com.tinyspeck.chatlyio", "Slack"),
    ("us.zoom.videomeetings", "Zoom"),
)

STORE: dict[int, tuple[str, str]] = {
    361309726: ("com.apple.Pages", "Pages"),
    361285480: ("com.apple.Keynote", "Keynote"),
    361304891: ("com.apple.Numbers", "Numbers"),
}
"""What some numbers of the store stand for; any other stands for an application that isn't there in truth."""
