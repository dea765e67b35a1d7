"""What follows from inventory for how a device stands, in plain words: what pages show and queries ask for.

None everywhere: it is not known. Sources: Apple, "SecurityInfo", "DeviceInformation", "ProfileList" and
"CertificateList", the responses.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Final

from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.learned import LearnedFact, LearnedItem
from muster.domain.inventory.values import JsonValue
from muster.protocol.records import record


@record(frozen=True, slots=True)
class Standing:
    """How a device stands, as far as it is known."""

    is_supervised: bool | None = None
    is_multi_user: bool | None = None
    """A Shared iPad."""
    is_automated_enrollment: bool | None = None
    """It came by Automated Device Enrollment, as a Mac says."""
    is_user_approved: bool | None = None
    is_lost: bool | None = None
    is_activation_locked: bool | None = None
    is_passcode_present: bool | None = None
    is_passcode_compliant: bool | None = None
    """With what its profiles ask for, too, where it says so."""
    is_disk_encrypted: bool | None = None
    is_firewall_enabled: bool | None = None
    is_sip_enabled: bool | None = None
    is_recovery_locked: bool | None = None
    has_enrollment_profile: bool | None = None
    is_enrollment_removable: bool | None = None
    has_locked_profiles: bool | None = None
    """A managed profile, other than ours, can't be removed by the user, or with a passcode only."""
    has_identity_certificate: bool | None = None
    """One of those that may speak for it is among its certificates."""
    total_capacity: float | None = None
    """GB."""
    available_capacity: float | None = None
    """GB."""
    wifi_mac: str | None = None

    def known(self) -> dict[str, bool | float | str]:
        """Return what is known, by name."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}


STANDING_NAMES: Final = tuple(one.name for one in fields(Standing))


def standing_of_facts(kind: InventoryKind, facts: Mapping[str, LearnedFact]) -> Standing:
    """Tell how a device stands by the *facts* of an answer; values of another type than Apple's tell nothing."""
    match kind:
        case InventoryKind.DEVICE_INFORMATION:
            return Standing(
                is_supervised=_flag(facts, "IsSupervised"),
                is_multi_user=_flag(facts, "IsMultiUser"),
                is_lost=_flag(facts, "IsMDMLostModeEnabled"),
                is_activation_locked=_flag(facts, "IsActivationLockEnabled"),
                total_capacity=_number(facts, "DeviceCapacity"),
                available_capacity=_number(facts, "AvailableDeviceCapacity"),
                wifi_mac=_text(facts, "WiFiMAC"),
            )
        case InventoryKind.SECURITY_INFO:
            compliant, with_profiles = _flag(facts, "PasscodeCompliant"), _flag(facts, "PasscodeCompliantWithProfiles")
            return Standing(
                is_automated_enrollment=_flag(facts, "ManagementStatus.EnrolledViaDEP"),
                is_user_approved=_flag(facts, "ManagementStatus.UserApprovedEnrollment"),
                is_passcode_present=_flag(facts, "PasscodePresent"),
                is_passcode_compliant=compliant if compliant is None else compliant and with_profiles is not False,
                is_disk_encrypted=_flag(facts, "FDE_Enabled"),
                is_firewall_enabled=_flag(facts, "FirewallSettings.FirewallEnabled"),
                is_sip_enabled=_flag(facts, "SystemIntegrityProtectionEnabled"),
                is_recovery_locked=_flag(facts, "IsRecoveryLockEnabled"),
            )
        case _:
            return Standing()


def standing_of_profiles(items: Mapping[str, LearnedItem], profile_identifier: str) -> Standing:
    """Tell how a device stands by all its profiles; ours is *profile_identifier*, or that with an MDM payload."""
    ours = [one for name, one in items.items() if name == profile_identifier or _enrolls(one)]
    others = [one for name, one in items.items() if name != profile_identifier and not _enrolls(one)]
    return Standing(
        has_enrollment_profile=bool(ours),
        is_enrollment_removable=None if not ours else any(not _is_locked(one) for one in ours),
        has_locked_profiles=any(_is_locked(one) for one in others if one.detail.get("IsManaged") is not False),
    )


def standing_of_certificates(items: Collection[str], pins: Collection[bytes]) -> Standing:
    """Tell how a device stands by all its certificates, *items* by SHA-256, and the identities that may speak."""
    return Standing(has_identity_certificate=any(pin.hex() in items for pin in pins) if pins else None)


def _enrolls(profile: LearnedItem) -> bool:
    payloads = profile.detail.get("PayloadContent")
    return isinstance(payloads, list) and any(
        isinstance(one, dict) and one.get("PayloadType") == "com.apple.mdm" for one in payloads
    )


def _is_locked(profile: LearnedItem) -> bool:
    return any(profile.detail.get(key) is True for key in ("PayloadRemovalDisallowed", "HasRemovalPasscode"))


def _value(facts: Mapping[str, LearnedFact], key: str) -> JsonValue:
    fact = facts.get(key)
    return None if fact is None or fact.is_odd else fact.value


def _flag(facts: Mapping[str, LearnedFact], key: str) -> bool | None:
    value = _value(facts, key)
    return value if isinstance(value, bool) else None


def _number(facts: Mapping[str, LearnedFact], key: str) -> float | None:
    value = _value(facts, key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(facts: Mapping[str, LearnedFact], key: str) -> str | None:
    value = _value(facts, key)
    return value if isinstance(value, str) and value else None


# --- evidence ---------------------------------------------------------------------------------------------------------


class Sign(StrEnum):
    """Classes of the evidence S9: what changed about the strength of our hold on a device."""

    PROFILE_MISSING = "mdm_profile_missing"
    PROFILE_PRESENT = "mdm_profile_present"
    PROFILE_REMOVABLE = "mdm_profile_removable"
    PROFILE_LOCKED = "mdm_profile_locked"
    IDENTITY_MISSING = "identity_certificate_missing"
    IDENTITY_PRESENT = "identity_certificate_present"
    NOT_USER_APPROVED = "not_user_approved"
    USER_APPROVED = "user_approved"


_SIGNS: Final[Mapping[str, tuple[Sign, Sign]]] = {
    "has_enrollment_profile": (Sign.PROFILE_MISSING, Sign.PROFILE_PRESENT),
    "is_enrollment_removable": (Sign.PROFILE_LOCKED, Sign.PROFILE_REMOVABLE),
    "has_identity_certificate": (Sign.IDENTITY_MISSING, Sign.IDENTITY_PRESENT),
    "is_user_approved": (Sign.NOT_USER_APPROVED, Sign.USER_APPROVED),
}
"""By what of the standing changed: the sign when it is not so, and when it is."""
_BAD_AT_FIRST: Final = frozenset({Sign.PROFILE_MISSING, Sign.IDENTITY_MISSING})
"""Signs of what should never be: they are given though nothing was known before."""


def signs_of(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Sign, ...]:
    """Tell what is evidence when a device that stood as *before*, as far as known, stands as *after*."""
    given = []
    for name, (without, with_it) in _SIGNS.items():
        now, then = after.get(name), before.get(name)
        if now is None or now == then:
            continue
        sign = with_it if now else without
        if then is not None or sign in _BAD_AT_FIRST:
            given.append(sign)
    return tuple(given)
