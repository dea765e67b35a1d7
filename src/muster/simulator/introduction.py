"""The two messages by which a device introduces itself, with the keys that its platform and enrollment have.

Sources: Apple, "Authenticate" and "Token Update".
"""

from dataclasses import replace

from muster.protocol.checkin import Authenticate, TokenUpdate
from muster.simulator.contents import Contents
from muster.simulator.enrollment import Enrollment, Line
from muster.simulator.facts import DeviceFacts, Platform

RIGHT_TO_UNLOCK = 4
RIGHT_TO_ASK = 16
"""Of AccessRights: without them the device keeps its unlock token, and its serial number and versions, to itself."""


def authenticate(facts: DeviceFacts, contents: Contents, enrollment: Enrollment) -> Authenticate:
    """The Authenticate of this device. Macs alone tell their name."""
    line = enrollment.device_line
    message = Authenticate(line.identifiers, line.channel, enrollment.profile.topic)
    if facts.platform is Platform.MAC:
        message = replace(
            message,
            device_name=contents.device_name,
            model=facts.product.model,
            model_name=facts.product.model_name,
        )
    rights = enrollment.profile.access_rights
    if rights is not None and not rights & RIGHT_TO_ASK:
        return message
    message = replace(
        message,
        product_name=facts.product.product_name,
        os_version=facts.os_version,
        build_version=facts.build_version,
    )
    if facts.is_user_enrollment:
        return message
    return replace(message, serial_number=facts.serial_number, imei=facts.imei)


def token_update(facts: DeviceFacts, unlock_token: bytes, enrollment: Enrollment, line: Line) -> TokenUpdate:
    """The TokenUpdate of *line*. *unlock_token* goes with the device channel of iPhones and iPads only."""
    message = TokenUpdate(line.identifiers, line.channel, enrollment.profile.topic, line.token, line.push_magic)
    if line.user is not None:
        if facts.platform is Platform.MAC:
            return replace(message, not_on_console=not line.is_at_console, auth_token=line.auth_token)
        return replace(message, awaiting_configuration=line.is_awaiting_configuration)
    is_unlockable = facts.platform in (Platform.IPHONE, Platform.IPAD) and not facts.is_user_enrollment
    if is_unlockable and (enrollment.profile.access_rights or 0) & RIGHT_TO_UNLOCK:
        message = replace(message, unlock_token=unlock_token)
    return replace(message, awaiting_configuration=line.is_awaiting_configuration)
