"""Declarative management as a simulated device does it: it synchronises its declarations and reports its status.

It has no declarations to apply, for its server has none. Sources: Apple, "DeclarativeManagementRequest",
"StatusReport"; the status items of the device management schema, of which push token and magic are told from 27 on.
"""

import base64
import json

from muster.protocol.checkin import DeclarativeManagement
from muster.simulator.facts import Platform
from muster.simulator.machine import Machine
from muster.simulator.transport import ConnectionLost, Response

TOKENS = "tokens"
ITEMS = "declaration-items"
STATUS = "status"
FIRST_WITH_PUSH_STATUS = 27
"""The first major version that tells its push token, its PushMagic and the type of its enrollment."""


async def report_status(device: Machine) -> bool:
    """Fetch what is declared and report the status of *device*; whether the report arrived. Raises nothing."""
    enrollment = device.enrollment
    if enrollment is None or not device.ddm_begun or device.behaviour.is_ddm_stopped:
        return False
    try:
        for endpoint, data in ((TOKENS, None), (ITEMS, None), (STATUS, status_report(device))):
            response = await _ask(device, endpoint, data)
            is_in_force = device.heed(response, enrollment.device_line)
            if not is_in_force or not response.is_success:
                return False
    except ConnectionLost:
        return False
    return True


async def _ask(device: Machine, endpoint: str, data: bytes | None) -> Response:
    line = device.enrolled().device_line
    return await device.check_in(DeclarativeManagement(line.identifiers, line.channel, endpoint, data))


def status_report(device: Machine) -> bytes:
    """What *device* says of itself, JSON."""
    facts, line = device.facts, device.enrolled().device_line
    told: dict[str, object] = {
        "device.identifier.udid": facts.udid,
        "device.identifier.serial-number": facts.serial_number,
        "device.model.family": facts.platform.value.replace("Apple TV", "AppleTV"),
        "device.operating-system.version": facts.os_version,
        "device.operating-system.build-version": facts.build_version,
        "device.operating-system.family": facts.platform.family.value,
    }
    if facts.is_user_enrollment:
        told = {name: value for name, value in told.items() if "identifier" not in name}
    if int(facts.os_version.partition(".")[0]) >= FIRST_WITH_PUSH_STATUS:
        told |= {
            "mdm.push-token": base64.b64encode(line.token).decode("ascii"),
            "mdm.push-magic": line.push_magic,
            "mdm.enrollment-type": _enrollment_type(device),
            "mdm.is-awaiting-configuration": line.is_awaiting_configuration,
        }
    return json.dumps({"StatusItems": _nested(told), "Errors": []}).encode()


def _enrollment_type(device: Machine) -> str:
    if device.facts.is_user_enrollment:
        return "user"
    return "supervised" if device.facts.is_supervised or device.facts.platform is Platform.MAC else "device"


def _nested(items: dict[str, object]) -> dict[str, object]:
    """Dotted names as objects within objects."""
    root: dict[str, object] = {}
    for name, value in items.items():
        at = root
        *way, last = name.split(".")
        for part in way:
            deeper = at.setdefault(part, {})
            assert isinstance(deeper, dict)
            at = deeper
        at[last] = value
    return root
