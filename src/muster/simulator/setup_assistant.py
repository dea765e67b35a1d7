"""Automated Device Enrollment as a device in Setup Assistant does it.

Sources: Apple, "Implementing device assignment" and "MachineInfo"; "softwareupdate.required" and
"unrecognized.device" of the device management schema.
"""

import asyncio

from muster.protocol.enrollment_errors import SOFTWARE_UPDATE_REQUIRED, ErrorReply, decode_error
from muster.protocol.machine_info import (
    MACHINE_INFO_HEADER,
    MACHINE_INFO_MEDIA_TYPE,
    MachineInfo,
    encode_machine_info,
    encode_machine_info_header,
)
from muster.protocol.profile import PROFILE_MEDIA_TYPE
from muster.simulator.device_authority import device_authority
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.installing import install
from muster.simulator.machine import Machine
from muster.simulator.transport import ConnectionLost, Response
from muster.simulator.web_view import Credentials, visit

UPDATES_OF_ITSELF = {Platform.MAC: 14, Platform.IPHONE: 17, Platform.IPAD: 17}
"""From which major version on Setup Assistant can be told to update first."""
MAX_UPDATES = 3
"""A server that always wants another version would hold the device for ever."""


async def set_up(
    device: Machine,
    url: str,
    *,
    web_url: str | None = None,
    credentials: Credentials | None = None,
    awaits_configuration: bool = True,
) -> None:
    """Enroll as the profile of Automated Device Enrollment says that Apple gave the device.

    *url* and *web_url* are its `url` and `configuration_web_url`: with the latter a web view is shown, in which
    somebody signs in with *credentials* where asked. *awaits_configuration* is its `await_device_configured`. Where
    the server wants another version, the device installs it and comes back. Raises EnrollmentFailed, step
    "MachineInfo" with the server's code when it is refused.
    """
    if web_url is not None:
        signed = device_authority().certify(device.facts)
        header = encode_machine_info_header(machine_info(device), signed.signer, signed.chain)
        _speak_up(device)
        landing = await visit(
            device.requests.transport, web_url, credentials=credentials, headers={MACHINE_INFO_HEADER: header}
        )
        if landing.profile is None:
            raise EnrollmentFailed("download", "the web view ended without a profile")
        mobileconfig = landing.profile
    else:
        mobileconfig = await _ask(device, url)
    await install(device, mobileconfig, awaits_configuration=awaits_configuration)


def machine_info(device: Machine) -> MachineInfo:
    """What *device* says of itself before it is enrolled."""
    facts = device.facts
    major = int(facts.os_version.partition(".")[0])
    first = UPDATES_OF_ITSELF.get(facts.platform)
    return MachineInfo(
        product=facts.product.product_name,
        version=facts.build_version,
        udid=facts.udid,
        serial=facts.serial_number,
        os_version=facts.os_version,
        imei=facts.imei,
        language="en_US",
        can_request_software_update=first is not None and major >= first,
    )


async def _ask(device: Machine, url: str) -> bytes:
    for _ in range(MAX_UPDATES + 1):
        signed = device_authority().certify(device.facts)
        body = encode_machine_info(machine_info(device), signed.signer, signed.chain)
        response = await post_signed(device, url, body)
        error = error_in(response)
        if error is None:
            return profile_in(response)
        if error.code != SOFTWARE_UPDATE_REQUIRED:
            raise EnrollmentFailed("MachineInfo", error.code)
        await _update(device, error)
    raise EnrollmentFailed("MachineInfo", "the server wants ever other versions")


async def post_signed(device: Machine, url: str, cms: bytes, *, bearer: str | None = None) -> Response:
    """POST the signed message *cms*. Raises EnrollmentFailed, step "MachineInfo", when no reply comes."""
    _speak_up(device)
    try:
        return await device.requests.post(url, MACHINE_INFO_MEDIA_TYPE, cms, bearer=bearer)
    except ConnectionLost as error:
        raise EnrollmentFailed("MachineInfo", "no connection") from error


def error_in(response: Response) -> ErrorReply | None:
    """Apple's error in a 403; None when *response* is none or has none."""
    if response.status != 403:
        return None
    return decode_error(response.headers.get("content-type", ""), response.body)


def profile_in(response: Response) -> bytes:
    """The enrollment profile in *response*. Raises EnrollmentFailed, step "MachineInfo", when it is something else."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not response.is_success or media_type != PROFILE_MEDIA_TYPE:
        raise EnrollmentFailed("MachineInfo", f"{response.status} {media_type or 'without Content-Type'}")
    return response.body


async def _update(device: Machine, error: ErrorReply) -> None:
    """Install the version that the server wants; devices don't go back to older ones."""
    details = error.details or {}
    os_version, build_version = details.get("OSVersion"), details.get("BuildVersion")
    if not machine_info(device).can_request_software_update or not isinstance(os_version, str):
        raise EnrollmentFailed("MachineInfo", error.code)
    await asyncio.sleep(device.behaviour.seconds_per_update)
    build = build_version if isinstance(build_version, str) else device.facts.build_version
    await device.update_os(os_version, build)


def _speak_up(device: Machine) -> None:
    try:
        device.require_a_voice()
    except ConnectionLost as error:
        raise EnrollmentFailed("MachineInfo", "no connection") from error
