"""What a device gets that asks for its profile in Setup Assistant: the profile, an update first, a sign-in, or nothing.

Sources: Apple, "MachineInfo", "ErrorCodeSoftwareUpdateRequired" and "ErrorCodeUnrecognizedDevice".
"""

from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.access import EnrollmentLink
from muster.domain.os_versions import build_key, version_key
from muster.protocol.machine_info import MachineInfo


@dataclass(frozen=True, slots=True)
class Admitted:
    """It gets its profile."""


@dataclass(frozen=True, slots=True)
class NotListed:
    """The link is for other devices."""


@dataclass(frozen=True, slots=True)
class UpdateFirst:
    """It updates itself to *os_version*, and asks again. *build_version* absent: any build of that version."""

    os_version: str
    build_version: str | None


@dataclass(frozen=True, slots=True)
class SignInFirst:
    """Somebody signs in before it gets its profile."""


Admission: TypeAlias = Admitted | NotListed | UpdateFirst | SignInFirst


def admit(link: EnrollmentLink, machine: MachineInfo, *, is_signed_in: bool) -> Admission:
    """Decide about the device *machine*, whose signature was verified, at *link*, which is open."""
    if link.serial_numbers is not None and machine.serial not in link.serial_numbers:
        return NotListed()
    required = link.required_os_version
    # a device that doesn't say that it understands would take the answer for a failure, and be stuck
    if required is not None and machine.can_request_software_update and _is_older(machine, link):
        return UpdateFirst(required, link.required_build_version)
    if link.requires_sign_in and not is_signed_in:
        return SignInFirst()
    return Admitted()


def _is_older(machine: MachineInfo, link: EnrollmentLink) -> bool:
    """Tell whether the device runs less than *link* requires; where one of the two can't be read, it does not."""
    required, running = version_key(link.required_os_version), version_key(machine.os_version)
    if required is None or running is None:
        return False
    if running != required:
        return running < required
    required_build, running_build = build_key(link.required_build_version), build_key(machine.version)
    return required_build is not None and running_build is not None and running_build < required_build
