"""What is on a simulated device and changes: profiles, applications, settings, a passcode."""

from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist
from muster.simulator.facts import DeviceFacts, Platform

Keys: TypeAlias = dict[str, PlistValue]

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


@dataclass(frozen=True, slots=True)
class Application:
    """An installed application."""

    identifier: str
    name: str
    version: str
    bundle_size: int
    is_managed: bool = False


@dataclass(slots=True)
class Contents:
    """Everything a command can change. Profiles, the enrolling one among them, and applications go by identifier."""

    device_name: str
    profiles: dict[str, InstalledProfile] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    has_passcode: bool = True
    is_disk_encrypted: bool = False
    is_lost: bool = False
    available_capacity_gb: float = 0.0
    awaits_user_configuration: bool = False
    organization_info: Keys = field(default_factory=dict)
    restarts: int = 0
    bootstrap_token: bytes | None = None
    unlock_token: bytes | None = None


def make_contents(facts: DeviceFacts, rng: Random) -> Contents:
    """What such a device has when its user has had it for a while."""
    is_mac = facts.platform is Platform.MAC
    catalogue = MAC_APPLICATIONS if is_mac else MOBILE_APPLICATIONS
    chosen = rng.sample(catalogue, k=rng.randint(2, len(catalogue)))
    applications = [
        Application(identifier, name, f"{rng.randint(1, 20)}.{rng.randint(0, 9)}", rng.randrange(10**6, 10**9))
        for identifier, name in chosen
    ]
    return Contents(
        device_name=facts.device_name,
        applications={application.identifier: application for application in applications},
        is_disk_encrypted=is_mac and rng.random() < 0.8,
        has_passcode=rng.random() < 0.9,
        available_capacity_gb=round(facts.product.capacity_gb * rng.uniform(0.1, 0.8), 2),
    )


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
