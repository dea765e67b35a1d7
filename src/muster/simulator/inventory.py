"""What a simulated device answers to queries: about itself, its security, its profiles, certificates and software.

Source: Apple, "Commands and queries", the responses; what differs between platforms is as devices were seen to answer.
"""

from muster.crypto.certificates import inspect_certificate
from muster.crypto.errors import CryptoError
from muster.protocol.command import Command
from muster.protocol.plist import PlistValue
from muster.simulator.answers import ACTIONS, Answer, Responder, Situation, badly_formed
from muster.simulator.contents import Application, Keys
from muster.simulator.facts import Platform, User

ALWAYS_TOLD = frozenset({"UDID", "OrganizationInfo", "AwaitingConfiguration", "PushToken"})
"""Queries of DeviceInformation which take no right."""

NETWORK = frozenset({"BluetoothMAC", "EthernetMAC", "WiFiMAC", "IsRoaming", "DataRoamingEnabled"})
"""Queries which take right 32; the remaining ones take right 16."""

KEPT_PRIVATE = frozenset({"UDID", "SerialNumber", "IMEI", "MEID", "PushToken", "AwaitingConfiguration"}) | NETWORK
"""Queries which are not answered in a user enrollment."""


def device_information(situation: Situation, command: Command) -> Answer:
    """Answer those of the asked-for keys that this device has and may tell; the others are left out without a word."""
    queries = command.keys.get("Queries")
    if not isinstance(queries, list):
        return badly_formed(situation, command, "Queries")
    known = _device_facts(situation)
    responses: Keys = {}
    for query in queries:
        if isinstance(query, str) and query in known and _may_tell(situation, query):
            responses[query] = known[query]
    return Answer(keys={"QueryResponses": responses})


def security_info(situation: Situation, _command: Command) -> Answer:
    """Encryption and integrity on a Mac, the passcode on the others, and how each was enrolled."""
    facts, contents = situation.facts, situation.contents
    if situation.is_mac:
        management: Keys = {
            "EnrolledViaDEP": False,
            "UserApprovedEnrollment": True,
            "IsUserEnrollment": facts.is_user_enrollment,
            "IsActivationLockManageable": facts.is_supervised,
        }
        info: Keys = {
            "FDE_Enabled": contents.is_disk_encrypted,
            "FDE_HasPersonalRecoveryKey": contents.is_disk_encrypted,
            "FDE_HasInstitutionalRecoveryKey": False,
            "SystemIntegrityProtectionEnabled": True,
            "AuthenticatedRootVolumeEnabled": True,
            "FirewallSettings": {"FirewallEnabled": True, "BlockAllIncoming": False, "StealthMode": False},
            "FirmwarePasswordStatus": {"PasswordExists": False, "ChangePending": False, "AllowOroms": True},
            "SecureBoot": {"SecureBootLevel": "full", "ExternalBootLevel": "disallowed"},
            "BootstrapTokenAllowedForAuthentication": "allowed",
            "IsRecoveryLockEnabled": False,
            "ManagementStatus": management,
        }
        return Answer(keys={"SecurityInfo": info})
    info = {"HardwareEncryptionCaps": 3, "PasscodeCompliant": True}
    if not facts.is_user_enrollment:
        info |= {
            "PasscodePresent": contents.has_passcode,
            "PasscodeCompliantWithProfiles": True,
            "PasscodeLockGracePeriod": 0,
            "PasscodeLockGracePeriodEnforced": 0,
        }
    info["ManagementStatus"] = {"IsUserEnrollment": facts.is_user_enrollment}
    return Answer(keys={"SecurityInfo": info})


def profile_list(situation: Situation, _command: Command) -> Answer:
    """Every profile of this enrollment. Only other platforms than the Mac say which of them are managed."""
    listed: list[PlistValue] = []
    for profile in situation.contents.profiles.values():
        entry = profile.listed()
        if not situation.is_mac:
            entry["IsManaged"] = not profile.has_mdm_payload
        listed.append(entry)
    return Answer(keys={"ProfileList": listed})


def certificate_list(situation: Situation, _command: Command) -> Answer:
    """The identity of this enrollment, then the trust anchors that came with its profile."""
    identity = situation.identity_certificate_der
    listed: list[PlistValue] = [{"CommonName": _common_name(identity), "IsIdentity": True, "Data": identity}]
    for anchor in situation.profile.trust_anchors:
        certificate = anchor.certificate_der
        listed.append({"CommonName": _common_name(certificate), "IsIdentity": False, "Data": certificate})
    return Answer(keys={"CertificateList": listed})


def installed_application_list(situation: Situation, command: Command) -> Answer:
    """Every application, or those asked for; in a user enrollment only the managed ones."""
    wanted = command.keys.get("Identifiers")
    only_managed = command.keys.get("ManagedAppsOnly") is True or situation.facts.is_user_enrollment
    listed: list[PlistValue] = [
        _application(situation, application)
        for application in situation.contents.applications.values()
        if (not isinstance(wanted, list) or application.identifier in wanted)
        and (application.is_managed or not only_managed)
    ]
    return Answer(keys={"InstalledApplicationList": listed})


def managed_application_list(situation: Situation, _command: Command) -> Answer:
    """Every application that MDM installed, all of them installed for good."""
    listed: Keys = {
        application.identifier: {
            "Status": "Managed",
            "ManagementFlags": 0,
            "HasConfiguration": False,
            "HasFeedback": False,
            "IsValidated": True,
        }
        for application in situation.contents.applications.values()
        if application.is_managed
    }
    return Answer(keys={"ManagedApplicationList": listed})


def provisioning_profile_list(_situation: Situation, _command: Command) -> Answer:
    """None."""
    return Answer(keys={"ProvisioningProfileList": []})


def restrictions(_situation: Situation, _command: Command) -> Answer:
    """The restrictions in force without any profile. Those of installed profiles are not worked out."""
    return Answer(
        keys={
            "GlobalRestrictions": {
                "restrictedBool": {"allowCamera": {"value": True}, "forcePIN": {"value": False}},
                "restrictedValue": {"maxInactivity": {"value": 5}},
            }
        }
    )


def user_list(situation: Situation, _command: Command) -> Answer:
    """Everybody with an account, and who is logged in."""
    listed: list[PlistValue] = [
        _mac_user(number, user, is_logged_in=is_logged_in) if situation.is_mac else _shared_user(user, is_logged_in)
        for number, (user, is_logged_in) in enumerate(situation.users.items())
    ]
    return Answer(keys={"Users": listed})


def _device_facts(situation: Situation) -> Keys:
    facts, contents = situation.facts, situation.contents
    known: Keys = {
        "UDID": facts.udid,
        "SerialNumber": facts.serial_number,
        "DeviceName": contents.device_name,
        "OSVersion": facts.os_version,
        "BuildVersion": facts.build_version,
        "ModelName": facts.product.model_name,
        "Model": facts.product.model,
        "ProductName": facts.product.product_name,
        "IsSupervised": facts.is_supervised,
        "AwaitingConfiguration": False,
        "OrganizationInfo": dict(contents.organization_info),
        "WiFiMAC": facts.wifi_mac,
        "BluetoothMAC": facts.bluetooth_mac,
        "TimeZone": "Europe/Berlin",
    }
    if facts.platform is not Platform.APPLE_TV:
        known |= {
            "DeviceCapacity": facts.product.capacity_gb,
            "AvailableDeviceCapacity": contents.available_capacity_gb,
            "BatteryLevel": 0.8,
        }
    if situation.is_mac:
        known |= {
            "HostName": f"{facts.serial_number.lower()}.local",
            "LocalHostName": facts.serial_number.lower(),
            "IsAppleSilicon": True,
            "SystemIntegrityProtectionEnabled": True,
            "ProvisioningUDID": facts.udid,
            "ActiveManagedUsers": [user.guid for user, is_logged_in in situation.users.items() if is_logged_in],
        }
    if facts.imei is not None:
        known |= {"IMEI": facts.imei, "CellularTechnology": 3, "IsRoaming": False, "DataRoamingEnabled": False}
    if facts.platform in (Platform.IPHONE, Platform.IPAD):
        known["IsMDMLostModeEnabled"] = contents.is_lost
    if situation.user is not None:
        known["PushToken"] = situation.push_token
    return known


def _may_tell(situation: Situation, query: str) -> bool:
    if situation.facts.is_user_enrollment and query in KEPT_PRIVATE:
        return False
    if query in ALWAYS_TOLD:
        return True
    return situation.has_right(32 if query in NETWORK else 16)


def _common_name(certificate_der: bytes) -> str:
    try:
        return inspect_certificate(certificate_der).common_name or ""
    except CryptoError:
        return ""


def _application(situation: Situation, application: Application) -> Keys:
    common: Keys = {
        "Identifier": application.identifier,
        "Name": application.name,
        "Version": application.version,
        "ShortVersion": application.version,
        "BundleSize": application.bundle_size,
    }
    if situation.is_mac:
        return common
    return common | {"Installing": False, "IsValidated": True, "DynamicSize": 192_512, "HasUpdateAvailable": False}


def _mac_user(number: int, user: User, *, is_logged_in: bool) -> Keys:
    return {
        "UserName": user.short_name,
        "FullName": user.long_name,
        "UID": 501 + number,  # what macOS gives its first user
        "UserGUID": user.guid,
        "IsLoggedIn": is_logged_in,
        "MobileAccount": False,
        "HasSecureToken": True,
    }


def _shared_user(user: User, is_logged_in: bool) -> Keys:
    return {
        "UserName": user.short_name,
        "IsLoggedIn": is_logged_in,
        "HasDataToSync": False,
        "DataQuota": 2_000_000_000,
        "DataUsed": 300_000_000,
    }


_NOT_MAC = frozenset(Platform) - {Platform.MAC}

QUERIES: dict[str, Responder] = {
    "CertificateList": Responder(certificate_list, right=1),
    "DeviceInformation": Responder(device_information),
    "InstalledApplicationList": Responder(installed_application_list, right=256),
    "ManagedApplicationList": Responder(managed_application_list, right=4096),
    "ProfileList": Responder(profile_list, right=1),
    "ProvisioningProfileList": Responder(provisioning_profile_list, right=64),
    "Restrictions": Responder(restrictions, _NOT_MAC, 512, in_user_enrollment=False),
    "SecurityInfo": Responder(security_info, right=1024),
    "UserList": Responder(user_list, frozenset({Platform.MAC, Platform.IPAD}), in_user_enrollment=False),
}

RESPONDERS: dict[str, Responder] = QUERIES | ACTIONS
"""Every command that a simulated device knows."""
