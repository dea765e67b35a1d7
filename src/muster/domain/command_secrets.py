"""Which commands and answers hold secrets, by Apple's keys: what decides that they are sealed where they are stored.

The table is asked at every door, so that nobody has to think of it. Source: Apple, "Commands and queries", the keys of
each command.
"""

from collections.abc import Mapping
from typing import Final

from muster.protocol.command import CommandRequest

SECRET_REQUEST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "AccountConfiguration": ("AutoSetupAdminAccounts",),
    "ClearPasscode": ("UnlockToken",),
    "DeviceLock": ("PIN",),
    "EraseDevice": ("PIN", "ReturnToService"),
    "InstallProfile": ("Payload",),
    "RequestMirroring": ("Password",),
    "RotateFileVaultKey": ("FileVaultUnlock",),
    "SetAutoAdminPassword": ("passwordHash",),
    "SetFirmwarePassword": ("NewPassword", "CurrentPassword"),
    "SetRecoveryLock": ("NewPassword", "CurrentPassword"),
    "VerifyFirmwarePassword": ("Password",),
    "VerifyRecoveryLock": ("Password",),
}
"""Under which of its keys each request holds secrets. A profile may hold passwords, keys and challenges."""

SECRET_ANSWER_KEYS: Final[Mapping[str, str]] = {
    "ActivationLockBypassCode": "ActivationLockBypassCode",
    "RequestUnlockToken": "UnlockToken",
}
"""Answers that hold a secret in the clear, and under which key. What a Mac says of its recovery key is encrypted."""

_NAMES_OF_SECRETS: Final = tuple(key.encode() for key in SECRET_ANSWER_KEYS.values())


def holds_secret(request: CommandRequest) -> bool:
    """Tell whether a request holds a secret."""
    return any(key in request.keys for key in SECRET_REQUEST_KEYS.get(request.request_type, ()))


def answer_holds_secret(request_type: str | None, body: bytes) -> bool:
    """Tell whether what a device answered may hold a secret in the clear.

    That of a command which is not ours (*request_type* None) is searched for the names of such keys, which stand as
    they are in XML and in binary property lists.
    """
    if request_type is None:
        return any(name in body for name in _NAMES_OF_SECRETS)
    return request_type in SECRET_ANSWER_KEYS
