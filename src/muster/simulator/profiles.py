"""What a simulated device does with profiles and provisioning profiles, and the restrictions that follow from them.

Sources: Apple, "Install Profile", "Profile List", "Restrictions", "Provisioning Profile List".
"""

from datetime import datetime

from muster.crypto.cms.signed_data import verify_attached
from muster.crypto.errors import CryptoError
from muster.protocol.connect import Status
from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue, read_plist
from muster.simulator.answers import (
    MALFORMED,
    PROFILE_NOT_MANAGED,
    Aftermath,
    Answer,
    Responder,
    Situation,
    no_right,
    refused,
)
from muster.simulator.contents import InstalledProfile, Keys, ProvisioningProfile, read_profile
from muster.simulator.signed_profile import unwrap_profile

CHANGE_PROFILES = 2
"""The right to install and remove profiles."""
PROVISIONING_PROFILE_NOT_MANAGED = 12014
REQUIRED = ("PayloadType", "PayloadVersion", "PayloadIdentifier", "PayloadUUID")
"""Of a profile and of each payload (Apple, "Configuring Multiple Devices Using Profiles")."""

RESTRICTING = frozenset(
    {"com.apple.applicationaccess", "com.apple.applicationaccess.new", "com.apple.mobiledevice.passwordpolicy"}
)
"""Payloads whose keys are restrictions."""
DEFAULT_RESTRICTIONS: Keys = {
    "restrictedBool": {"allowCamera": {"value": True}, "forcePIN": {"value": False}},
    "restrictedValue": {"maxInactivity": {"value": 5}},
}
"""Those in force without any profile; two or three stand for the hundred that a device lists."""


def install_profile(situation: Situation, keys: Keys) -> Answer:
    """Install any profile but an enrolling one, which the device takes out before it comes here."""
    payload = keys["Payload"]
    assert isinstance(payload, bytes)
    if situation.is_mac and situation.user is not None and situation.behaviour.is_keychain_locked:
        return Answer(Status.NOT_NOW)
    try:
        profile = read_profile(unwrap_profile(payload))
    except MalformedMessage:
        return _invalid_profile()
    if any(key not in payload for payload in (profile.keys, *profile.payloads) for key in REQUIRED):
        return _invalid_profile()
    situation.contents.profiles[profile.identifier] = profile
    return Answer()


def remove_profile(situation: Situation, keys: Keys) -> Answer:
    """Remove a profile; removing the one that enrolls ends the enrollment, and takes no right."""
    identifier = str(keys["Identifier"])
    profile = situation.contents.profiles.get(identifier)
    if profile is not None and profile.has_mdm_payload:
        return Answer(aftermath=Aftermath.UNENROLL)
    rights = situation.profile.access_rights
    if rights is not None and not rights & CHANGE_PROFILES:
        return no_right()
    if situation.is_mac and situation.user is not None and situation.behaviour.is_keychain_locked:
        return Answer(Status.NOT_NOW)
    if profile is None:
        return refused(PROFILE_NOT_MANAGED, f"The profile “{identifier}” is not managed by MDM.")
    del situation.contents.profiles[identifier]
    return Answer()


def profile_list(situation: Situation, keys: Keys) -> Answer:
    """Every profile of this enrollment. Only other platforms than the Mac say which of them are managed."""
    listed: list[PlistValue] = []
    for profile in situation.contents.profiles.values():
        if keys.get("ManagedOnly") is True and profile.has_mdm_payload:
            continue
        entry = profile.listed()
        if not situation.is_mac:
            entry["IsManaged"] = not profile.has_mdm_payload
        listed.append(entry)
    return Answer(keys={"ProfileList": listed})


def install_provisioning_profile(situation: Situation, keys: Keys) -> Answer:
    """Install a provisioning profile: a signed property list, or a bare one."""
    content = keys["ProvisioningProfile"]
    assert isinstance(content, bytes)
    profile = _read_provisioning_profile(content)
    if profile is None:
        return refused(MALFORMED, "The provisioning profile is not valid.")
    situation.contents.provisioning_profiles[profile.uuid] = profile
    return Answer()


def provisioning_profile_list(situation: Situation, _keys: Keys) -> Answer:
    """Every provisioning profile."""
    listed: list[PlistValue] = []
    for profile in situation.contents.provisioning_profiles.values():
        entry: Keys = {"Name": profile.name, "UUID": profile.uuid}
        if profile.expires_at is not None:
            entry["ExpiryDate"] = profile.expires_at
        listed.append(entry)
    return Answer(keys={"ProvisioningProfileList": listed})


def remove_provisioning_profile(situation: Situation, keys: Keys) -> Answer:
    """Remove a provisioning profile by its UUID."""
    uuid = str(keys["UUID"])
    if situation.contents.provisioning_profiles.pop(uuid, None) is None:
        return refused(PROVISIONING_PROFILE_NOT_MANAGED, f"The provisioning profile “{uuid}” is not managed.")
    return Answer()


def restrictions(situation: Situation, keys: Keys) -> Answer:
    """The restrictions in force, of all profiles together; where asked, those of each profile as well."""
    by_profile = {profile.identifier: _restrictions_of(profile) for profile in situation.contents.profiles.values()}
    own: Keys = {identifier: said for identifier, said in by_profile.items() if said}
    together: Keys = {kind: dict(said) for kind, said in DEFAULT_RESTRICTIONS.items() if isinstance(said, dict)}
    for said in by_profile.values():
        _restrict(together, said)
    return Answer(
        keys={
            "GlobalRestrictions": together,
            "ProfileRestrictions": own if keys.get("ProfileRestrictions") is True else {},
        }
    )


def _invalid_profile() -> Answer:
    return refused(1000, "Invalid Profile", "MCProfileErrorDomain")


def _restrictions_of(profile: InstalledProfile) -> Keys:
    """The restrictions of one profile, by kind: flags, numbers, and lists of what is left or taken away."""
    said: Keys = {}
    for payload in profile.payloads:
        if payload.get("PayloadType") not in RESTRICTING:
            continue
        for key, value in payload.items():
            if key.startswith("Payload"):
                continue
            match value:
                case bool():
                    _put(said, "restrictedBool", key, {"value": value})
                case int():
                    _put(said, "restrictedValue", key, {"value": value})
                case list():
                    kind = "union" if key.startswith("blocked") else "intersection"
                    _put(said, kind, key, {"values": [item for item in value if isinstance(item, str)]})
    return said


def _restrict(together: Keys, said: Keys) -> None:
    """Add the restrictions of one profile: the stricter one holds."""
    for kind, named in said.items():
        present = together.get(kind)
        for name, value in named.items() if isinstance(named, dict) else ():
            former = present.get(name) if isinstance(present, dict) else None
            _put(together, kind, name, value if former is None else _stricter(name, former, value))


def _stricter(name: str, one: PlistValue, other: PlistValue) -> PlistValue:
    match one, other:
        case {"value": bool(first)}, {"value": bool(second)}:
            return {"value": first or second if name.startswith("force") else first and second}
        case {"value": int(first)}, {"value": int(second)}:
            return {"value": min(first, second) if name.startswith("max") else max(first, second)}
        case {"values": list(first)}, {"values": list(second)}:
            if name.startswith("blocked"):
                return {"values": [*first, *(item for item in second if item not in first)]}
            return {"values": [item for item in first if item in second]}
    return other


def _put(said: Keys, kind: str, name: str, value: PlistValue) -> None:
    named = said.setdefault(kind, {})
    assert isinstance(named, dict)
    named[name] = value


def _read_provisioning_profile(content: bytes) -> ProvisioningProfile | None:
    try:
        keys = read_plist(verify_attached(content, allow_legacy=True).content)
    except (CryptoError, MalformedMessage):
        try:
            keys = read_plist(content)
        except MalformedMessage:
            return None
    uuid, name, expires_at = keys.get("UUID"), keys.get("Name"), keys.get("ExpirationDate")
    if not isinstance(uuid, str):
        return None
    return ProvisioningProfile(
        uuid, name if isinstance(name, str) else uuid, expires_at if isinstance(expires_at, datetime) else None
    )


PROFILE_RESPONDERS = {
    "InstallProfile": Responder(
        install_profile,
        "installs it; one that enrolls renews the identity; on the user channel of a Mac whose keychain is locked: "
        "NotNow",
    ),
    "InstallProvisioningProfile": Responder(install_provisioning_profile, "installs it, signed or bare"),
    "ProfileList": Responder(profile_list, "lists the profiles; only Macs don't say which are managed"),
    "ProvisioningProfileList": Responder(provisioning_profile_list, "lists them"),
    "RemoveProfile": Responder(
        remove_profile, "removes it; the one that enrolls ends the enrollment, whatever the rights", waives_right=True
    ),
    "RemoveProvisioningProfile": Responder(remove_provisioning_profile, "removes it, else error 12014"),
    "Restrictions": Responder(restrictions, "puts those of the installed profiles together, the stricter one first"),
}
