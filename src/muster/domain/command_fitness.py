"""Whether a device would do what a command or one of its keys asks: what the catalogue says, held against a target.

Source: the catalogue (Apple's device management schema, `supportedOS`); what devices do nevertheless is from Apple's
"Commands and queries": a command that is not for a device is answered with an error, a key that isn't is passed over,
and a question that isn't is left out of the answer.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final

from muster.domain.command_findings import CommandTarget, Finding, FindingCode, Severity
from muster.domain.os_versions import version_key
from muster.protocol.catalogue.facts import Mode, Support, SupportByFamily
from muster.protocol.os_family import OsFamily


class Part(Enum):
    """Of what the support is: with what the device does where it lacks it."""

    COMMAND = "the device would answer with an error"
    KEY = "the device would pass over it or answer with an error"
    QUESTION = "the answer will lack it"


RIGHTS: Final = {
    1: "inspect profiles",
    2: "install and remove profiles",
    4: "lock the device and clear its passcode",
    8: "erase the device",
    16: "query the device",
    32: "query the network",
    64: "inspect provisioning profiles",
    128: "install and remove provisioning profiles",
    256: "inspect applications",
    512: "query restrictions",
    1024: "query security",
    2048: "change settings",
    4096: "manage applications",
}
"""The bits of AccessRights (Apple, "MDM"), in words of ours."""


def unfit(
    subject: str, key_path: str, by_family: SupportByFamily, target: CommandTarget, part: Part
) -> Iterator[Finding]:
    """Tell what of *target* is against *subject*. Facts that are not known are against nothing."""
    family = target.family
    if family is None or (part is not Part.COMMAND and family not in by_family):
        return
    support = by_family.get(family)
    for code, what in (
        [(FindingCode.NOT_FOR_OS, f"is not for {family}")] if support is None else _against(support, family, target)
    ):
        if code is FindingCode.DEPRECATED:
            yield Finding(Severity.NOTICE, code, key_path, f"{subject} {what}; it works still, so plan for its end")
            continue
        severity = Severity.NOTICE if part is Part.QUESTION else Severity.WARNING
        yield Finding(severity, code, key_path, f"{subject} {what}: {part.value}{_REMEDIES.get(code, '')}")


_REMEDIES: Final = {
    FindingCode.OS_TOO_OLD: "; if it was updated since, send it anyway",
    FindingCode.WRONG_CHANNEL: "; send it to the other one",
    FindingCode.RIGHT_NOT_GRANTED: "; rights come with the enrollment profile alone",
}


def _against(support: Support, family: OsFamily, target: CommandTarget) -> Iterator[tuple[FindingCode, str]]:
    yield from _against_version(support, family, target)
    if support.needs_supervision and target.is_supervised is False:
        yield FindingCode.NEEDS_SUPERVISION, "needs a supervised device, and this one is not"
    if support.needs_automated_enrollment and target.is_automated_enrollment is False:
        yield (
            FindingCode.NEEDS_AUTOMATED_ENROLLMENT,
            "needs Automated Device Enrollment, and this device came otherwise",
        )
    yield from _against_channel(support, family, target)
    if (
        target.access_rights is not None
        and not target.is_user_enrollment  # where AccessRights don't count
        and support.access_right & ~target.access_rights
    ):
        right = support.access_right
        yield (
            FindingCode.RIGHT_NOT_GRANTED,
            f"needs the right to {RIGHTS.get(right, 'do so')} ({right}), which the device did not grant",
        )
    yield from _against_enrollment(support, target)


def _against_version(support: Support, family: OsFamily, target: CommandTarget) -> Iterator[tuple[FindingCode, str]]:
    runs = version_key(target.os_version)
    if runs is None:
        return
    introduced, deprecated, removed = map(version_key, (support.introduced, support.deprecated, support.removed))
    if introduced is not None and runs < introduced:
        yield (
            FindingCode.OS_TOO_OLD,
            f"needs {family} {support.introduced}, and the device had {target.os_version} when it last said so",
        )
    if removed is not None and runs >= removed:
        yield FindingCode.REMOVED, f"is gone since {family} {support.removed}"
    elif deprecated is not None and runs >= deprecated:
        yield FindingCode.DEPRECATED, f"is deprecated since {family} {support.deprecated}"


def _against_channel(support: Support, family: OsFamily, target: CommandTarget) -> Iterator[tuple[FindingCode, str]]:
    if family is OsFamily.MACOS:
        on_device, on_user = support.on_device_channel, support.on_user_channel
    elif target.is_shared_ipad:
        on_device, on_user = support.on_shared_device, support.on_shared_user
    else:
        return
    if target.is_user_channel is True and on_user is False:
        yield FindingCode.WRONG_CHANNEL, "is for the device's channel, not for its users'"
    if target.is_user_channel is False and on_device is False:
        yield FindingCode.WRONG_CHANNEL, "is for users' channels, not for the device's"


def _against_enrollment(support: Support, target: CommandTarget) -> Iterator[tuple[FindingCode, str]]:
    if target.is_user_enrollment is True and support.user_enrollment in _UNAVAILABLE:
        yield FindingCode.NOT_IN_USER_ENROLLMENT, "is not for User Enrollments"
    if target.is_user_enrollment is False and support.user_enrollment is Mode.REQUIRED:
        yield FindingCode.USER_ENROLLMENT_ONLY, "is for User Enrollments only"
    if target.is_shared_ipad is True and support.shared_ipad in _UNAVAILABLE:
        yield FindingCode.NOT_ON_SHARED_IPAD, "is not for Shared iPads"
    if target.is_shared_ipad is False and support.shared_ipad is Mode.REQUIRED:
        yield FindingCode.SHARED_IPAD_ONLY, "is for Shared iPads only"


_UNAVAILABLE: Final = frozenset({Mode.FORBIDDEN, Mode.IGNORED})
