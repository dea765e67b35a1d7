"""What each role may do: one table, asked in one place (`operations/permit.py`) for whoever comes by whatever door."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from muster.domain.roles import Role, has


class Permission(StrEnum):
    """One kind of act. The words are stable: they stand in refusals and in the audit log."""

    SEE = "see"
    """What is known of devices, their commands and their verdicts; no secret."""
    WAKE = "wake"
    """Push, ask for inventory, take the next step of a recovery: nothing that a person at the device would notice."""
    HELP = "help"
    """Lock, restart, clear a passcode: what helps the person at the device, who notices."""
    COMMAND = "command"
    """Every other command, profiles, apps, accounts; what waits is cancelled, held, let go on."""
    ERASE = "erase"
    """Erase devices, and take their enrollment away."""
    ENROLL = "enroll"
    """Links, and the people who enroll."""
    GROUPS = "groups"
    """Groups decide whom queries, policies and scopes mean."""
    REPORT = "report"
    """Sign what is stated to others."""
    POLICIES = "policies"
    """What holds for everybody from the moment it is set."""
    TELL = "tell"
    """Webhooks, receivers of signals, witnesses: what leaves the house, and whose word counts."""
    READ_AUDIT = "read_audit"
    """Who did what."""
    CERTIFICATES = "certificates"
    """The push certificate, the authority: what the whole fleet hangs on."""
    PEOPLE = "people"
    """Administrators, their roles and scopes, and tokens for programs."""
    REVEAL_LOCK_PIN = "reveal.lock_pin"
    REVEAL_FILEVAULT_KEY = "reveal.filevault_key"
    REVEAL_RECOVERY_LOCK = "reveal.recovery_lock"
    REVEAL_FIRMWARE_PASSWORD = "reveal.firmware_password"  # noqa: S105 - an act, no secret
    REVEAL_ADMINISTRATOR_PASSWORD = "reveal.administrator_password"  # noqa: S105 - as above
    REVEAL_ACTIVATION_LOCK_CODE = "reveal.activation_lock_code"
    REVEAL_OWN_ACTIVATION_LOCK_CODE = "reveal.own_activation_lock_code"
    REVEAL_UNLOCK_TOKEN = "reveal.unlock_token"  # noqa: S105 - as above
    """Tokens are for machines, so few people ever have reason to see one."""
    REVEAL_BOOTSTRAP_TOKEN = "reveal.bootstrap_token"  # noqa: S105 - as above


LEAST_ROLE: Final[Mapping[Permission, Role]] = {
    Permission.SEE: Role.VIEWER,
    Permission.WAKE: Role.HELPDESK,
    Permission.HELP: Role.HELPDESK,
    Permission.REVEAL_LOCK_PIN: Role.HELPDESK,
    Permission.REVEAL_FILEVAULT_KEY: Role.HELPDESK,
    Permission.COMMAND: Role.OPERATOR,
    Permission.ERASE: Role.OPERATOR,
    Permission.ENROLL: Role.OPERATOR,
    Permission.GROUPS: Role.OPERATOR,
    Permission.REPORT: Role.OPERATOR,
    Permission.REVEAL_RECOVERY_LOCK: Role.OPERATOR,
    Permission.REVEAL_FIRMWARE_PASSWORD: Role.OPERATOR,
    Permission.REVEAL_ADMINISTRATOR_PASSWORD: Role.OPERATOR,
    Permission.REVEAL_ACTIVATION_LOCK_CODE: Role.OPERATOR,
    Permission.REVEAL_OWN_ACTIVATION_LOCK_CODE: Role.OPERATOR,
    Permission.REVEAL_UNLOCK_TOKEN: Role.SECURITY,
    Permission.REVEAL_BOOTSTRAP_TOKEN: Role.SECURITY,
    Permission.READ_AUDIT: Role.SECURITY,
    Permission.POLICIES: Role.SECURITY,
    Permission.TELL: Role.SECURITY,
    Permission.CERTIFICATES: Role.OWNER,
    Permission.PEOPLE: Role.OWNER,
}
"""The least role that may; each has what those before it have."""


def allows(role: Role, permission: Permission) -> bool:
    """Tell whether *role* may do what *permission* is about."""
    return has(role, LEAST_ROLE[permission])


_ERASING: Final = frozenset({"EraseDevice"})
_HELPING: Final = frozenset(
    {"ClearPasscode", "DeviceLock", "DisableLostMode", "EnableLostMode", "PlayLostModeSound", "RestartDevice"}
)
_ASKING: Final = frozenset(
    {
        "AvailableOSUpdates",
        "CertificateList",
        "DeviceInformation",
        "DeviceLocation",
        "InstalledApplicationList",
        "ManagedApplicationList",
        "OSUpdateStatus",
        "ProfileList",
        "SecurityInfo",
        "UserList",
    }
)


def to_send(request_type: str) -> Permission:
    """Tell what it takes to have a device do *request_type*; what isn't listed takes the most that is usual."""
    if request_type in _ERASING:
        return Permission.ERASE
    if request_type in _HELPING:
        return Permission.HELP
    return Permission.WAKE if request_type in _ASKING else Permission.COMMAND
