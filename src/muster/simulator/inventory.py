"""What a simulated device tells about itself: its facts, its security, its certificates.

Source: Apple, "Device Information", "Security Info", "Certificate List"; what differs between platforms is as devices
were seen to answer.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import cache, lru_cache

from muster.crypto.certificates import inspect_certificate
from muster.crypto.errors import CryptoError
from muster.protocol.catalogue.commands import find_command
from muster.protocol.catalogue.facts import KeyFacts
from muster.protocol.plist import PlistValue
from muster.simulator.answers import Answer, Responder, Situation, texts
from muster.simulator.contents import Keys
from muster.simulator.escrow import escrowed_recovery_key
from muster.simulator.facts import Platform
from muster.simulator.fitness import Addressee, obstacle
from muster.simulator.remote import supports_lom

PASSCODE_POLICY = "com.apple.mobiledevice.passwordpolicy"
NIGHTLY = timedelta(hours=10)
"""How long ago this morning the last backup was."""


def device_information(situation: Situation, keys: Keys) -> Answer:
    """Answer those of the asked-for keys that this device has and may tell; the others are left out without a word."""
    known = _facts(situation)
    responses = {
        query: known[query]
        for query in _told(tuple(texts(keys["Queries"]) or ()), situation.addressee)
        if query in known
    }
    return Answer(keys={"QueryResponses": responses})


def security_info(situation: Situation, _keys: Keys) -> Answer:
    """Encryption and integrity on a Mac, the passcode on the others, and how each was enrolled."""
    return Answer(keys={"SecurityInfo": _mac_security(situation) if situation.is_mac else _passcode(situation)})


def certificate_list(situation: Situation, keys: Keys) -> Answer:
    """The identity of this enrollment, then the trust anchors that came with its profile."""
    identity = situation.identity_certificate_der
    listed: list[PlistValue] = [{"CommonName": _common_name(identity), "IsIdentity": True, "Data": identity}]
    for anchor in situation.profile.trust_anchors if keys.get("ManagedOnly") is not True else ():
        certificate = anchor.certificate_der
        listed.append({"CommonName": _common_name(certificate), "IsIdentity": False, "Data": certificate})
    return Answer(keys={"CertificateList": listed})


def _facts(situation: Situation) -> Keys:
    facts, contents = situation.facts, situation.contents
    known: Keys = {
        "UDID": facts.udid,
        "SerialNumber": facts.serial_number,
        "DeviceName": contents.device_name,
        "OSVersion": facts.os_version,
        "BuildVersion": facts.build_version,
        "ModelName": facts.product.model_name,
        "Model": facts.product.model,
        "ModelNumber": f"{facts.product.model}LL/A",
        "ProductName": facts.product.product_name,
        "IsSupervised": facts.is_supervised,
        "AwaitingConfiguration": situation.is_awaiting_configuration,
        "MDMOptions": _set(situation, "MDMOptions", "MDMOptions", {}),
        "WiFiMAC": facts.wifi_mac,
        "BluetoothMAC": facts.bluetooth_mac,
        "SoftwareUpdateDeviceID": f"{facts.product.model}AP",
        "iTunesStoreAccountIsActive": True,
        "iTunesStoreAccountHash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    }
    if contents.organization_info:
        known["OrganizationInfo"] = dict(contents.organization_info)
    if facts.platform is not Platform.APPLE_TV:
        known |= {
            "DeviceCapacity": facts.product.capacity_gb,
            "AvailableDeviceCapacity": contents.available_capacity_gb,
            "BatteryLevel": 0.8,
        }
    if situation.is_mac:
        known |= _mac_facts(situation)
    else:
        known |= _mobile_facts(situation)
    if situation.is_shared_ipad:
        known |= _shared_facts(situation)
    if situation.user is not None:
        known["PushToken"] = situation.push_token
    return known


def _mac_facts(situation: Situation) -> Keys:
    facts, contents = situation.facts, situation.contents
    name = facts.serial_number.lower()
    admins: list[PlistValue] = [{"GUID": guid, "shortName": short_name} for guid, short_name in contents.auto_admins]
    present: list[PlistValue] = [user.guid for user, is_logged_in in situation.users.items() if is_logged_in]
    return {
        "HostName": _set(situation, "HostName", "HostName", f"{name}.local"),
        "LocalHostName": name,
        "IsAppleSilicon": facts.is_apple_silicon,
        "HasBattery": "Book" in facts.product.model_name,
        "SystemIntegrityProtectionEnabled": True,
        "ProvisioningUDID": facts.udid,
        "ActiveManagedUsers": present,
        "AutoSetupAdminAccounts": admins,
        "IsActivationLockEnabled": False,
        "IsActivationLockSupported": True,
        "SupportsLOMDevice": supports_lom(situation),
        "SupportsiOSAppInstalls": facts.is_apple_silicon,
        "PINRequiredForEraseDevice": not facts.is_apple_silicon,
        "PINRequiredForDeviceLock": True,
        "EthernetMAC": facts.wifi_mac,
        "EACSPreflight": "success",
        "OSUpdateSettings": {
            "CatalogURL": "",
            "IsDefaultCatalog": True,
            "PreviousScanDate": (situation.now - NIGHTLY).replace(microsecond=0),
            "PerformPeriodicCheck": True,
            "AutoCheckEnabled": True,
            "BackgroundDownloadEnabled": True,
            "AutomaticAppInstallationEnabled": False,
            "AutomaticOSInstallationEnabled": False,
            "AutomaticSecurityUpdatesEnabled": True,
        },
    }


def _mobile_facts(situation: Situation) -> Keys:
    facts, contents = situation.facts, situation.contents
    known: Keys = {
        "IsDeviceLocatorServiceEnabled": False,
        "IsActivationLockEnabled": False,
        "IsDoNotDisturbInEffect": False,
        "IsCloudBackupEnabled": True,
        "LastCloudBackupDate": (situation.now - NIGHTLY).replace(microsecond=0),
        "EASDeviceIdentifier": facts.udid.replace("-", "")[-24:],
        "IsMDMLostModeEnabled": contents.is_lost,
        "IsMultiUser": situation.is_shared_ipad,
        "IsNetworkTethered": False,
        "DiagnosticSubmissionEnabled": _set(situation, "DiagnosticSubmission", "Enabled", value=False),
        "AppAnalyticsEnabled": _set(situation, "AppAnalytics", "Enabled", value=False),
        "TimeZone": _set(situation, "TimeZone", "TimeZone", "Europe/Berlin"),
        "SoftwareUpdateSettings": {
            "RecommendationCadence": _set(situation, "SoftwareUpdateSettings", "RecommendationCadence", 0)
        },
        "AccessibilitySettings": {"TextSize": 4} | contents.settings.get("AccessibilitySettings", {}),
    }
    if facts.platform is Platform.APPLE_TV:
        known["DeviceID"] = facts.wifi_mac.upper()
    if facts.imei is not None:
        is_roaming_allowed = _set(situation, "DataRoaming", "Enabled", value=False)
        known |= {
            "IMEI": facts.imei,
            "ModemFirmwareVersion": "3.20.03",
            "CellularTechnology": 3,
            "ICCID": "8949 0200 0012 3456 789",
            "PhoneNumber": "",
            "CurrentCarrierNetwork": "Telekom.de",
            "SubscriberCarrierNetwork": "Telekom.de",
            "SubscriberMCC": "262",
            "SubscriberMNC": "01",
            "CurrentMCC": "262",
            "CurrentMNC": "01",
            "IsRoaming": False,
            "DataRoamingEnabled": is_roaming_allowed,
            "VoiceRoamingEnabled": _set(situation, "VoiceRoaming", "Enabled", value=False),
            "PersonalHotspotEnabled": _set(situation, "PersonalHotspot", "Enabled", value=False),
            "ServiceSubscriptions": [
                {"Slot": "CTSubscriptionSlotOne", "IMEI": facts.imei, "Label": "Primary", "IsRoaming": False}
            ],
        }
    return known


def _shared_facts(situation: Situation) -> Keys:
    shared = situation.contents.settings.get("SharedDeviceConfiguration", {})
    return {
        "MaximumResidentUsers": _set(situation, "MaximumResidentUsers", "MaximumResidentUsers", 10),
        "EstimatedResidentUsers": 10,
        "QuotaSize": shared.get("QuotaSize", 2048),
        "ResidentUsers": len(situation.users),
        "UserSessionTimeout": shared.get("UserSessionTimeout", 0),
        "TemporarySessionTimeout": shared.get("TemporarySessionTimeout", 0),
        "TemporarySessionOnly": shared.get("TemporarySessionOnly", False),
        "ManagedAppleIDDefaultDomains": shared.get("ManagedAppleIDDefaultDomains", []),
        "OnlineAuthenticationGracePeriod": shared.get("OnlineAuthenticationGracePeriod", 0),
        "SkipLanguageAndLocaleSetupForNewUsers": shared.get("SkipLanguageAndLocaleSetupForNewUsers", False),
    }


def _mac_security(situation: Situation) -> Keys:
    facts, contents = situation.facts, situation.contents
    info: Keys = {
        "FDE_Enabled": contents.is_disk_encrypted,
        "SystemIntegrityProtectionEnabled": True,
        "AuthenticatedRootVolumeEnabled": True,
        "FirewallSettings": {"FirewallEnabled": True, "BlockAllIncoming": False, "StealthMode": False},
        "SecureBoot": {"SecureBootLevel": "full", "ExternalBootLevel": "disallowed"},
        "ManagementStatus": {
            "EnrolledViaDEP": False,
            "UserApprovedEnrollment": True,
            "IsUserEnrollment": facts.is_user_enrollment,
            "IsActivationLockManageable": facts.is_supervised,
        },
    }
    if facts.is_user_enrollment:
        return info
    info |= {
        "FDE_HasPersonalRecoveryKey": contents.recovery_key is not None,
        "FDE_HasInstitutionalRecoveryKey": contents.has_institutional_key,
        "BootstrapTokenAllowedForAuthentication": "allowed" if facts.is_apple_silicon else "not supported",
        "BootstrapTokenRequiredForSoftwareUpdate": facts.is_apple_silicon,
        "BootstrapTokenRequiredForKernelExtensionApproval": facts.is_apple_silicon,
        "RemoteDesktopEnabled": contents.is_remote_desktop_enabled,
    }
    if facts.is_apple_silicon:
        info["IsRecoveryLockEnabled"] = contents.recovery_lock is not None
    else:
        exists = contents.firmware_password is not None
        info["FirmwarePasswordStatus"] = {"PasswordExists": exists, "ChangePending": False, "AllowOroms": True}
    return info | escrowed_recovery_key(situation)


def _passcode(situation: Situation) -> Keys:
    facts, contents = situation.facts, situation.contents
    is_demanded = any(
        payload.get("PayloadType") == PASSCODE_POLICY and payload.get("forcePIN") is True
        for profile in contents.profiles.values()
        for payload in profile.payloads
    )
    info: Keys = {"HardwareEncryptionCaps": 3, "PasscodeCompliant": contents.has_passcode or not is_demanded}
    if not facts.is_user_enrollment:
        grace_period = _set(situation, "PasscodeLockGracePeriod", "PasscodeLockGracePeriod", 0)
        info |= {
            "PasscodePresent": contents.has_passcode,
            "PasscodeCompliantWithProfiles": contents.has_passcode or not is_demanded,
            "PasscodeLockGracePeriod": grace_period,
            "PasscodeLockGracePeriodEnforced": grace_period,
        }
        if facts.platform is not Platform.APPLE_TV:
            info["AutoLockTime"] = 120
    info["ManagementStatus"] = {"IsUserEnrollment": facts.is_user_enrollment}
    return info


def _set(situation: Situation, item: str, key: str, value: PlistValue) -> PlistValue:
    """What Settings made of something; *value* where it was never set."""
    return situation.contents.settings.get(item, {}).get(key, value)


@lru_cache(maxsize=256)  # a fleet has dozens of kinds
def _told(queries: tuple[str, ...], addressee: Addressee) -> tuple[str, ...]:
    """Those of *queries* that are for *addressee*."""
    said = _queries()
    return tuple(query for query in queries if query in said and obstacle(said[query].support, addressee) is None)


@cache
def _queries() -> Mapping[str, KeyFacts]:
    """What the catalogue says of each question of DeviceInformation."""
    command = find_command("DeviceInformation")
    assert command is not None
    queries = next(key for key in command.request if key.name == "Queries")
    return {query.name: query for query in queries.members[0].members}


def _common_name(certificate_der: bytes) -> str:
    try:
        return inspect_certificate(certificate_der).common_name or ""
    except CryptoError:
        return ""


INVENTORY_RESPONDERS = {
    "CertificateList": Responder(certificate_list, "lists its identity, then the authorities of the enrollment"),
    "DeviceInformation": Responder(
        device_information, "answers what it has and may tell, and leaves out the rest without a word"
    ),
    "SecurityInfo": Responder(
        security_info,
        "tells of passcode or encryption; a Mac adds its recovery key, encrypted to the certificate of an installed "
        "escrow profile",
    ),
}
