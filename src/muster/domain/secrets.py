"""Secrets of devices that are kept: their kinds and states, which command sets one, who may see it.

A secret that we send is kept the moment it is queued, for the device may act on it and its answer be lost. So there
may be two at a time, one in force and one proposed, and both are shown: that is what is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from muster.domain.permissions import LEAST_ROLE, Permission
from muster.domain.roles import Role, has
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Status
from muster.protocol.plist import PlistValue


class SecretKind(StrEnum):
    """What kind of secret is kept."""

    UNLOCK_TOKEN = "unlock_token"  # noqa: S105 - a kind, not a secret
    """Clears the passcode of an iPhone or iPad (TokenUpdate, RequestUnlockToken)."""
    BOOTSTRAP_TOKEN = "bootstrap_token"  # noqa: S105 - as above
    """Of a Mac or a Shared iPad (SetBootstrapToken); the device asks for it back."""
    FILEVAULT_KEY = "filevault_key"
    """The personal recovery key of a Mac's disk (SecurityInfo, RotateFileVaultKey)."""
    RECOVERY_LOCK = "recovery_lock"
    """The password that guards recoveryOS on Apple silicon (SetRecoveryLock)."""
    FIRMWARE_PASSWORD = "firmware_password"  # noqa: S105 - as above
    """The password that guards an Intel Mac's firmware (SetFirmwarePassword)."""
    LOCK_PIN = "lock_pin"
    """Six digits that open a Mac which was locked or erased (DeviceLock, EraseDevice)."""
    ACTIVATION_LOCK_CODE = "activation_lock_code"
    """The device's own bypass code of Activation Lock (ActivationLockBypassCode)."""
    OWN_ACTIVATION_LOCK_CODE = "own_activation_lock_code"
    """A bypass code that we made, whose hash Apple's service was given."""
    ADMINISTRATOR_PASSWORD = "administrator_password"  # noqa: S105 - as above
    """Of the administrator that Setup Assistant makes on a Mac (AccountConfiguration, SetAutoAdminPassword)."""


class SecretState(StrEnum):
    """Where a secret stands."""

    PROPOSED = "proposed"
    """It was sent, or will be, and the device has not confirmed it."""
    IN_FORCE = "in_force"
    REPLACED = "replaced"
    """Another of its kind is in force since."""
    ARCHIVED = "archived"
    """Its device was enrolled anew, or took it back; it may still open what was closed with it."""
    REFUSED = "refused"
    """The device said that it didn't take it."""
    WITHDRAWN = "withdrawn"
    """Its command was closed before it was handed out; it is kept nevertheless."""


UNCONFIRMED: Final = frozenset({SecretState.PROPOSED, SecretState.REFUSED, SecretState.WITHDRAWN})
"""States out of which an acknowledgement brings a secret into force: a command may be tried again after an error."""


_CAUSES: Final[Mapping[str, tuple[SecretKind, str]]] = {
    "DeviceLock": (SecretKind.LOCK_PIN, "PIN"),
    "EraseDevice": (SecretKind.LOCK_PIN, "PIN"),
    "SetRecoveryLock": (SecretKind.RECOVERY_LOCK, "NewPassword"),
    "SetFirmwarePassword": (SecretKind.FIRMWARE_PASSWORD, "NewPassword"),
}

SETTING_REQUEST_TYPES: Final = frozenset({*_CAUSES, "AccountConfiguration", "SetAutoAdminPassword"})
"""Commands by which a secret comes into force on a device. The last two carry no more than its hash."""

VERIFYING_REQUEST_TYPES: Final[Mapping[str, SecretKind]] = {
    "VerifyRecoveryLock": SecretKind.RECOVERY_LOCK,
    "VerifyFirmwarePassword": SecretKind.FIRMWARE_PASSWORD,
}
"""Commands that ask a device whether a password is the one in force."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A secret that a command sets. *value* empty: it takes the one in force away."""

    kind: SecretKind
    value: bytes


def proposal_in(request: CommandRequest) -> Proposal | None:
    """Find the secret that a request sets in the clear; None when it sets none."""
    cause = _CAUSES.get(request.request_type)
    value = None if cause is None else request.keys.get(cause[1])
    return Proposal(cause[0], value.encode()) if cause is not None and isinstance(value, str) else None


def was_taken(request_type: str, status: Status, answer: Mapping[str, PlistValue]) -> bool:
    """Tell whether a device's final answer to a command that sets a secret means that it is in force.

    SetFirmwarePassword is acknowledged also where nothing changed (Apple, PasswordChanged); an answer without that
    word counts as taken, for the password that is not kept is the one that will be needed.
    """
    if status is not Status.ACKNOWLEDGED:
        return False
    said = answer.get("SetFirmwarePassword")
    return not (request_type == "SetFirmwarePassword" and isinstance(said, dict)) or (
        said.get("PasswordChanged") is not False
    )


def was_verified(request_type: str, status: Status, answer: Mapping[str, PlistValue]) -> bool | None:
    """Tell whether a device says that a password is the one in force; None when it doesn't say."""
    if status is not Status.ACKNOWLEDGED:
        return None
    said: PlistValue | None = answer.get("PasswordVerified")
    inner = answer.get(request_type)
    if said is None and isinstance(inner, dict):
        said = inner.get("PasswordVerified")
    return said if isinstance(said, bool) else None


# --- who may see them -------------------------------------------------------------------------------------------------


def needed_to_reveal(kind: SecretKind) -> Role:
    """Tell the least role that may see a secret of *kind*; `domain.permissions` has the table."""
    return LEAST_ROLE[Permission(f"reveal.{kind.value}")]


def may_reveal(role: Role, kind: SecretKind) -> bool:
    """Tell whether *role* may see a secret of *kind*."""
    return has(role, needed_to_reveal(kind))


ROTATABLE: Final = frozenset(
    {
        SecretKind.FILEVAULT_KEY,
        SecretKind.RECOVERY_LOCK,
        SecretKind.FIRMWARE_PASSWORD,
        SecretKind.ADMINISTRATOR_PASSWORD,
    }
)
"""What a command replaces by a new one."""
ROTATED_WHEN_REVEALED: Final = (
    SecretKind.FILEVAULT_KEY,
    SecretKind.RECOVERY_LOCK,
    SecretKind.ADMINISTRATOR_PASSWORD,
)
"""Unless the policy says otherwise. A firmware password changes at the next restart only, which is not ours to time."""
