"""Return to Service: a device that is erased enrolls by itself again, with a profile given beforehand.

Sources: Apple, "Erase Device" (ReturnToService) and "Return To Service" (check-in).
"""

import asyncio

from muster.protocol.checkin import ReturnToService
from muster.protocol.checkin_replies import ReturnToServiceReply, read_return_to_service_reply
from muster.protocol.errors import MalformedMessage
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.installing import install
from muster.simulator.machine import Machine
from muster.simulator.transport import ConnectionLost

ATTEMPTS = 3
RETRY_SECONDS = 60.0
"""How often an erased device tries to enroll before it waits for somebody, and how long between."""


async def return_to_service(device: Machine, mobileconfig: bytes) -> None:
    """Erase *device* and enroll it with *mobileconfig*. Raises nothing: `device.last_failure` says why it failed."""
    device.erase()
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(RETRY_SECONDS)
        try:
            await install(device, mobileconfig)
        except EnrollmentFailed as error:
            device.last_failure = error
        else:
            return


async def erase_locally(device: Machine) -> None:
    """Somebody erases *device* at the device: it asks its server whether it is to return to service, and obeys.

    Raises nothing. Without an answer it is a plain erase.
    """
    reply = await _ask(device)
    if reply is None or not reply.enabled or reply.mdm_profile_data is None:
        device.erase()
        return
    await return_to_service(device, reply.mdm_profile_data)


async def _ask(device: Machine) -> ReturnToServiceReply | None:
    if device.enrollment is None:
        return None
    line = device.enrollment.device_line
    try:
        response = await device.check_in(ReturnToService(line.identifiers, line.channel))
        return read_return_to_service_reply(response.body) if response.is_success else None
    except (ConnectionLost, MalformedMessage):
        return None
