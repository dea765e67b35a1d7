"""What a simulated device does for who works on it from afar: mirroring, screen sharing, lights-out management, and
what it shares with others.

Sources: Apple, "Request Mirroring", "Enable Remote Desktop", "LOM Setup Request", "Content Caching Information",
"Active NS Extensions", "Refresh Cellular Plans".
"""

from muster.protocol.plist import PlistValue
from muster.simulator.answers import UNFIT, Answer, Responder, Situation, acknowledge, badly_formed, refused, texts
from muster.simulator.contents import Keys

WITH_LIGHTS_OUT_MANAGEMENT = frozenset({"Mac mini", "Mac Studio", "Mac Pro"})
LOM_PROTOCOL_VERSION = 1
EXTENSIONS = (
    ("com.apple.share.AirDrop.send", "com.apple.share-services", "AirDrop"),
    ("com.apple.share.Mail.compose", "com.apple.share-services", "Mail"),
    ("com.apple.ncplugin.weather", "com.apple.widget-extension", "Weather"),
)
"""Identifier, extension point and name."""


def request_mirroring(situation: Situation, keys: Keys) -> Answer:
    """Ask the user to show the screen elsewhere."""
    if not keys.get("DestinationName") and not keys.get("DestinationDeviceID"):
        return badly_formed(situation, "RequestMirroring", "DestinationName")
    situation.contents.is_mirroring = True
    return Answer(keys={"MirroringResult": "Prompting"})


def stop_mirroring(situation: Situation, _keys: Keys) -> Answer:
    """Stop it."""
    situation.contents.is_mirroring = False
    return Answer()


def enable_remote_desktop(situation: Situation, _keys: Keys) -> Answer:
    """Let the screen be shared; SecurityInfo tells."""
    situation.contents.is_remote_desktop_enabled = True
    return Answer()


def disable_remote_desktop(situation: Situation, _keys: Keys) -> Answer:
    """Let it be shared no more."""
    situation.contents.is_remote_desktop_enabled = False
    return Answer()


def lom_setup_request(situation: Situation, _keys: Keys) -> Answer:
    """Tell the addresses by which this Mac can be switched on."""
    if not supports_lom(situation):
        return _without_lom()
    octets = situation.facts.wifi_mac.replace(":", "")
    address = f"fe80::{octets[:4]}:{octets[4:8]}:{octets[8:]}"
    return Answer(
        keys={
            "PrimaryIPv6AddressList": [address],
            "SecondaryIPv6AddressList": [],
            "LOMProtocolVersion": LOM_PROTOCOL_VERSION,
        }
    )


def lom_device_request(situation: Situation, keys: Keys) -> Answer:
    """Switch other Macs on or off, each of which succeeds."""
    if not supports_lom(situation):
        return _without_lom()
    asked = keys["RequestList"]
    done: list[PlistValue] = [
        {"DeviceRequestSuccess": True, "DeviceRequestUUID": one["DeviceRequestUUID"]}
        for one in (asked if isinstance(asked, list) else [])
        if isinstance(one, dict)
    ]
    return Answer(keys={"ResponseList": done})


def content_caching_information(_situation: Situation, _keys: Keys) -> Answer:
    """A Mac that could cache content, and doesn't."""
    return Answer(
        keys={
            "StatusResponse": {
                "Activated": False,
                "Active": False,
                "ActualCacheUsed": 0,
                "CacheFree": 0,
                "CacheLimit": 0,
                "CacheStatus": "OK",
                "CacheUsed": 0,
                "RegistrationStatus": -1,
                "StartupStatus": "PENDING",
                "TetheratorStatus": 0,
            }
        }
    )


def active_ns_extensions(_situation: Situation, keys: Keys) -> Answer:
    """The extensions in use by this user, at all extension points or those asked about."""
    wanted = texts(keys.get("FilterExtensionPoints"))
    listed: list[PlistValue] = [
        {
            "Identifier": identifier,
            "ExtensionPoint": point,
            "DisplayName": name,
            "Path": f"/System/Library/PrivateFrameworks/{identifier}.appex",
            "Version": "1.0",
            "UserElection": "Default",
        }
        for identifier, point, name in EXTENSIONS
        if wanted is None or point in wanted
    ]
    return Answer(keys={"Extensions": listed})


def ns_extension_mappings(_situation: Situation, _keys: Keys) -> Answer:
    """Which extension belongs to which extension point."""
    listed: list[PlistValue] = [
        {"Identifier": identifier, "ExtensionPoint": point, "DisplayName": name}
        for identifier, point, name in EXTENSIONS
    ]
    return Answer(keys={"Extensions": listed})


def refresh_cellular_plans(situation: Situation, _keys: Keys) -> Answer:
    """Ask the carrier's server for a plan, where there is a modem."""
    return Answer() if situation.facts.imei is not None else refused(UNFIT, "The device has no modem.")


def supports_lom(situation: Situation) -> bool:
    """Whether this Mac has lights-out management."""
    return situation.facts.product.model_name in WITH_LIGHTS_OUT_MANAGEMENT


def _without_lom() -> Answer:
    return refused(UNFIT, "This Mac has no lights-out management.")


REMOTE_RESPONDERS = {
    "ActiveNSExtensions": Responder(active_ns_extensions, "lists three extensions"),
    "ContentCachingInformation": Responder(content_caching_information, "tells that it doesn't cache"),
    "DeclarativeManagement": Responder(
        acknowledge, "acknowledges; where it speaks declarative management, it asks for tokens and reports its status"
    ),
    "DisableRemoteDesktop": Responder(disable_remote_desktop, "ends screen sharing"),
    "EnableRemoteDesktop": Responder(enable_remote_desktop, "begins screen sharing, as SecurityInfo tells then"),
    "LOMDeviceRequest": Responder(lom_device_request, "a Mac mini reports success for each Mac named"),
    "LOMSetupRequest": Responder(lom_setup_request, "a Mac mini tells its addresses"),
    "NSExtensionMappings": Responder(ns_extension_mappings, "lists three extensions"),
    "RefreshCellularPlans": Responder(refresh_cellular_plans, "acknowledges where there is a modem"),
    "RequestMirroring": Responder(request_mirroring, "prompts"),
    "StopMirroring": Responder(stop_mirroring, "stops"),
}
