"""Updates of the OS as a simulated device offers, downloads and installs them.

Sources: Apple, "Available OS Updates", "Schedule OS Update", "OS Update Status"; that a device without an update says
Error 2213 was seen. There is one update at most: to the newest release that the simulator knows.
"""

from datetime import timedelta

from muster.protocol.connect import ErrorItem, Status
from muster.protocol.plist import PlistValue
from muster.simulator.answers import MALFORMED, Answer, Responder, Situation
from muster.simulator.contents import Keys, ScheduledUpdate
from muster.simulator.facts import RELEASES, Platform

DOWNLOAD_SIZE = 2_800_000_000
INSTALLING_ACTIONS = frozenset({"Default", "InstallASAP", "InstallLater", "InstallForceRestart"})
PRODUCT_NAMES = {Platform.IPHONE: "iOS", Platform.IPAD: "iPadOS", Platform.APPLE_TV: "tvOS", Platform.MAC: "macOS"}


def available_os_updates(situation: Situation, _keys: Keys) -> Answer:
    """The newest release, where this device has another. Without one a Mac lists none; others say that as an error."""
    offered = _offered(situation)
    if offered is None:
        if situation.is_mac:
            return Answer(keys={"AvailableOSUpdates": []})
        chain = (
            ErrorItem(2213, "DeviceManagement.error", "No update available."),
            ErrorItem(3, "com.apple.softwareupdateservices.errors", "No update available."),
        )
        return Answer(Status.ERROR, error_chain=chain)
    os_version, build_version = offered
    name = PRODUCT_NAMES[situation.facts.platform]
    update: Keys = {
        "ProductKey": _product_key(situation, build_version),
        "HumanReadableName": f"{name} {os_version}",
        "Version": os_version,
        "Build": build_version,
        "DownloadSize": DOWNLOAD_SIZE,
        "IsCritical": False,
        "IsSecurityResponse": False,
        "RestartRequired": True,
        "AllowsInstallLater": True,
    }
    if situation.is_mac:
        update |= {
            "HumanReadableNameLocale": "en",
            "MetadataURL": "",
            "AppIdentifiersToClose": [],
            "IsConfigDataUpdate": False,
            "IsFirmwareUpdate": False,
            "IsMajorOSUpdate": os_version.split(".")[0] != situation.facts.os_version.split(".")[0],
            "RequiresBootstrapToken": situation.facts.is_apple_silicon,
        }
    else:
        update |= {"ProductName": name, "InstallSize": 2 * DOWNLOAD_SIZE}
    return Answer(keys={"AvailableOSUpdates": [update]})


def schedule_os_update(situation: Situation, keys: Keys) -> Answer:
    """Begin to download what is offered; it is installed where asked, at a contact after the download."""
    asked = keys["Updates"]
    results: list[PlistValue] = [
        _schedule(situation, one) for one in (asked if isinstance(asked, list) else []) if isinstance(one, dict)
    ]
    return Answer(keys={"UpdateResults": results})


def os_update_status(situation: Situation, _keys: Keys) -> Answer:
    """How far the download has come."""
    update = situation.contents.scheduled_update
    if update is None:
        return Answer(keys={"OSUpdateStatus": []})
    whole = (update.downloaded_at - update.began_at).total_seconds()
    share = 1.0 if whole <= 0 else min(1.0, (situation.now - update.began_at).total_seconds() / whole)
    is_downloaded = share >= 1.0
    status: Keys = {
        "ProductKey": update.product_key,
        "IsDownloaded": is_downloaded,
        "DownloadPercentComplete": round(share, 3),
        "Status": "Downloading" if not is_downloaded else "Installing" if update.installs else "Idle",
    }
    if situation.is_mac and update.max_deferrals is not None:
        status |= {"MaxDeferrals": update.max_deferrals, "DeferralsRemaining": update.max_deferrals}
    return Answer(keys={"OSUpdateStatus": [status]})


def schedule_os_update_scan(_situation: Situation, _keys: Keys) -> Answer:
    """Look for updates, of which AvailableOSUpdates tells."""
    return Answer(keys={"ScanInitiated": True})


def _offered(situation: Situation) -> tuple[str, str] | None:
    newest = RELEASES[situation.facts.platform][0]
    return None if situation.facts.build_version == newest[1] else newest


def _product_key(situation: Situation, build_version: str) -> str:
    return f"{PRODUCT_NAMES[situation.facts.platform]}Update{build_version}"


def _schedule(situation: Situation, asked: Keys) -> Keys:
    offered = _offered(situation)
    action = asked["InstallAction"]
    product_key = _product_key(situation, offered[1]) if offered else str(asked.get("ProductKey", ""))
    is_offered = (
        offered is not None
        and asked.get("ProductKey") in (None, product_key)
        and asked.get("ProductVersion") in (None, offered[0])
    )
    if offered is None or not is_offered or not isinstance(action, str):
        error: Keys = {
            "ErrorCode": MALFORMED,
            "ErrorDomain": "MCMDMErrorDomain",
            "LocalizedDescription": "There is no such update.",
        }
        return {"ProductKey": product_key, "InstallAction": "Error", "Status": "Idle", "ErrorChain": [error]}
    deferrals = asked.get("MaxUserDeferrals")
    if action != "NotifyOnly":
        situation.contents.scheduled_update = ScheduledUpdate(
            product_key,
            *offered,
            began_at=situation.now,
            downloaded_at=situation.now + timedelta(seconds=situation.behaviour.seconds_per_download),
            installs=action in INSTALLING_ACTIONS,
            max_deferrals=deferrals if isinstance(deferrals, int) else None,
        )
    chosen = "InstallASAP" if action == "Default" else action
    return {
        "ProductKey": product_key,
        "InstallAction": chosen,
        "Status": "Idle" if action == "NotifyOnly" else "Downloading",
    }


UPDATE_RESPONDERS = {
    "AvailableOSUpdates": Responder(
        available_os_updates, "offers the newest release; without one a Mac lists none, others say error 2213"
    ),
    "OSUpdateStatus": Responder(os_update_status, "tells how far the download is"),
    "ScheduleOSUpdate": Responder(
        schedule_os_update, "downloads for a while, and installs at a contact after that, with a new push token"
    ),
    "ScheduleOSUpdateScan": Responder(schedule_os_update_scan, "acknowledges"),
}
