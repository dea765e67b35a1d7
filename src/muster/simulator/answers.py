"""What a simulated device answers to each command: a table from RequestType to a function.

Sources: Apple, "Commands and queries", and for the errors what devices were seen to send.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.command import Command
from muster.protocol.connect import ErrorItem, Status
from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue
from muster.protocol.profile import EnrollmentProfile
from muster.simulator.contents import Application, Contents, Keys, read_profile
from muster.simulator.facts import DeviceFacts, Platform, User
from muster.simulator.signed_profile import unwrap_profile


class Aftermath(Enum):
    """What a device does once its answer is sent."""

    NOTHING = auto()
    RESTART = auto()
    SHUT_DOWN = auto()
    ERASE = auto()
    UNENROLL = auto()
    LEAVE_SETUP_ASSISTANT = auto()
    FINISH_RENEWAL = auto()
    """Use the new identity: the report went out before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes into the report, who signs it where that is not the identity in force, and what happens after.

    returns_with: the profile by which the device enrolls once it is erased.
    """

    status: Status = Status.ACKNOWLEDGED
    keys: Mapping[str, PlistValue] = field(default_factory=dict)
    error_chain: tuple[ErrorItem, ...] = ()
    aftermath: Aftermath = Aftermath.NOTHING
    signer: SignerIdentity | None = None
    returns_with: bytes | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a command arrives: the device, its changeable contents, the enrollment in force and who is logged in.

    *users* maps everybody with an account to whether they are logged in; *user* is None on the device channel.
    """

    facts: DeviceFacts
    contents: Contents
    profile: EnrollmentProfile
    identity_certificate_der: bytes
    push_token: bytes
    users: Mapping[User, bool]
    user: User | None

    @property
    def is_mac(self) -> bool:
        """Whether this is a Mac, which differs more from the rest than they among themselves."""
        return self.facts.platform is Platform.MAC

    def has_right(self, right: int) -> bool:
        """Whether AccessRights holds bit *right*. User enrollments have no bits: what they allow is fixed."""
        rights = self.profile.access_rights
        return rights is None or rights & right == right


Respond = Callable[[Situation, Command], Answer]


@dataclass(frozen=True, slots=True)
class Responder:
    """One row of the table: who knows the command, which right it takes (0: none), and what it answers."""

    respond: Respond
    platforms: frozenset[Platform] = frozenset(Platform)
    right: int = 0
    in_user_enrollment: bool = True


def answer(responders: Mapping[str, Responder], situation: Situation, command: Command) -> Answer:
    """What the device says to *command*. What it doesn't know is Error 12021, as on real devices."""
    responder = responders.get(command.request_type)
    facts = situation.facts
    if responder is None or facts.platform not in responder.platforms:
        return unknown_command(situation, command.request_type)
    if facts.is_user_enrollment and not responder.in_user_enrollment:
        return refused(12021, "MCMDMErrorDomain", f"{command.request_type} is not allowed in a user enrollment.")
    if not situation.has_right(responder.right):
        return refused(12007, "MCMDMErrorDomain", "The MDM server does not have the right to do this.")
    return responder.respond(situation, command)


def refused(code: int, domain: str, description: str) -> Answer:
    """An Error of one item."""
    return Answer(Status.ERROR, error_chain=(ErrorItem(code, domain, description, description),))


def unknown_command(situation: Situation, request_type: str) -> Answer:
    """Error 12021, in the words of the platform."""
    if situation.is_mac:
        return refused(12021, "MCMDMErrorDomain", f"Unknown command: {request_type} <MDMClientError:91>")
    return refused(12021, "MCMDMErrorDomain", f"“{request_type}” is not a valid request type.")


def badly_formed(situation: Situation, command: Command, key: str) -> Answer:
    """A key is missing or has another type: Macs say which, the others only that they can't read the command."""
    if situation.is_mac:
        return refused(97, "MDMClientError", f"No '{key}' in '{command.request_type}' command <MDMClientError:97>")
    return Answer(Status.COMMAND_FORMAT_ERROR)


def install_profile(situation: Situation, command: Command) -> Answer:
    """Install any profile but an enrolling one, which the device takes out before it comes here."""
    payload = command.keys.get("Payload")
    if not isinstance(payload, bytes):
        return badly_formed(situation, command, "Payload")
    try:
        profile = read_profile(unwrap_profile(payload))
    except MalformedMessage:
        return refused(1000, "MCProfileErrorDomain", "Invalid Profile")
    situation.contents.profiles[profile.identifier] = profile
    return Answer()


def remove_profile(situation: Situation, command: Command) -> Answer:
    """Remove a profile; removing the one that enrolls ends the enrollment."""
    identifier = command.keys.get("Identifier")
    if not isinstance(identifier, str):
        return badly_formed(situation, command, "Identifier")
    profile = situation.contents.profiles.get(identifier)
    if profile is None:
        return refused(12013, "MCMDMErrorDomain", f"The profile “{identifier}” is not managed by MDM.")
    if profile.has_mdm_payload:
        return Answer(aftermath=Aftermath.UNENROLL)
    del situation.contents.profiles[identifier]
    return Answer()


def install_application(situation: Situation, command: Command) -> Answer:
    """Accept an application and have it installed at once."""
    identifier = command.keys.get("Identifier") or command.keys.get("ManifestURL") or command.keys.get("iTunesStoreID")
    if identifier is None:
        return badly_formed(situation, command, "iTunesStoreID")
    name = str(identifier)
    situation.contents.applications[name] = Application(name, name, "1.0", 50_000_000, is_managed=True)
    return Answer(keys={"Identifier": name, "State": "Installing"})


def remove_application(situation: Situation, command: Command) -> Answer:
    """Remove an application that MDM installed."""
    identifier = command.keys.get("Identifier")
    if not isinstance(identifier, str):
        return badly_formed(situation, command, "Identifier")
    application = situation.contents.applications.get(identifier)
    if application is None or not application.is_managed:
        return refused(12026, "MCMDMErrorDomain", f"The app “{identifier}” is not managed.")
    del situation.contents.applications[identifier]
    return Answer()


def settings(situation: Situation, command: Command) -> Answer:
    """Apply what is known of the settings; each item has its own status."""
    items = command.keys.get("Settings")
    if not isinstance(items, list):
        return badly_formed(situation, command, "Settings")
    statuses: list[PlistValue] = []
    for item in items:
        match item:
            case {"Item": "DeviceName", "DeviceName": str(name)}:
                situation.contents.device_name = name
                statuses.append({"Status": "Acknowledged"})
            case {"Item": "OrganizationInfo", "OrganizationInfo": dict(organization_info)}:
                situation.contents.organization_info = organization_info
                statuses.append({"Status": "Acknowledged"})
            case {"Item": "SharedDeviceConfiguration", "AwaitUserConfiguration": {"Enabled": bool(is_enabled)}}:
                situation.contents.awaits_user_configuration = is_enabled
                statuses.append({"Status": "Acknowledged"})
            case _:
                error: Keys = {"ErrorCode": 12008, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "Invalid"}
                statuses.append({"Status": "Error", "ErrorChain": [error]})
    return Answer(keys={"Settings": statuses})


def device_lock(situation: Situation, command: Command) -> Answer:
    """Lock the screen; a Mac wants a PIN of six digits."""
    if situation.is_mac:
        pin = command.keys.get("PIN")
        return Answer() if _is_pin(pin) else badly_formed(situation, command, "PIN")
    return Answer(keys={"MessageResult": "Success" if situation.contents.has_passcode else "NoPasscodeSet"})


def clear_passcode(situation: Situation, command: Command) -> Answer:
    """Clear the passcode, given the token that this device handed over."""
    if command.keys.get("UnlockToken") != situation.contents.unlock_token or not situation.contents.unlock_token:
        return refused(12008, "MCMDMErrorDomain", "The unlock token is not valid.")
    situation.contents.has_passcode = False
    return Answer()


def set_lost_mode(situation: Situation, command: Command) -> Answer:
    """Enable or disable lost mode."""
    situation.contents.is_lost = command.request_type == "EnableLostMode"
    return Answer()


def erase_device(_situation: Situation, command: Command) -> Answer:
    """Be erased; with ReturnToService the device takes a profile along by which it enrolls again."""
    match command.keys.get("ReturnToService"):
        case {"Enabled": True, "MDMProfileData": bytes(mobileconfig)}:
            return Answer(aftermath=Aftermath.ERASE, returns_with=mobileconfig)
        case _:
            return Answer(aftermath=Aftermath.ERASE)


def user_configured(situation: Situation, _command: Command) -> Answer:
    """Let the user of a Shared iPad go on; the device channel has nobody to let go."""
    if situation.user is None:
        return refused(12021, "MCMDMErrorDomain", "“UserConfigured” is not a valid request type.")
    return Answer(aftermath=Aftermath.LEAVE_SETUP_ASSISTANT)


def afterwards(aftermath: Aftermath) -> Respond:
    """The answer to a command that is acknowledged first and done then."""

    def respond(_situation: Situation, _command: Command) -> Answer:
        return Answer(aftermath=aftermath)

    return respond


def _is_pin(pin: PlistValue | None) -> bool:
    return isinstance(pin, str) and len(pin) == 6 and pin.isdecimal()


_MAC = frozenset({Platform.MAC})
_MOBILE = frozenset({Platform.IPHONE, Platform.IPAD})

ACTIONS: dict[str, Responder] = {
    "ClearPasscode": Responder(clear_passcode, _MOBILE, 4, in_user_enrollment=False),
    "DeviceConfigured": Responder(afterwards(Aftermath.LEAVE_SETUP_ASSISTANT), in_user_enrollment=False),
    "DeviceLock": Responder(device_lock, _MAC | _MOBILE, 4),
    "DisableLostMode": Responder(set_lost_mode, _MOBILE, in_user_enrollment=False),
    "EnableLostMode": Responder(set_lost_mode, _MOBILE, in_user_enrollment=False),
    "EraseDevice": Responder(erase_device, right=8, in_user_enrollment=False),
    "InstallApplication": Responder(install_application, right=4096),
    "InstallEnterpriseApplication": Responder(install_application, _MAC, 4096),
    "InstallProfile": Responder(install_profile, right=2),
    "RemoveApplication": Responder(remove_application, right=4096),
    "RemoveProfile": Responder(remove_profile, right=0),  # a server may always remove its own
    "RestartDevice": Responder(afterwards(Aftermath.RESTART), right=4, in_user_enrollment=False),
    "Settings": Responder(settings, right=2048),
    "ShutDownDevice": Responder(afterwards(Aftermath.SHUT_DOWN), _MAC | _MOBILE, 4, in_user_enrollment=False),
    "UserConfigured": Responder(user_configured, frozenset({Platform.IPAD})),
}
"""Commands that do something. Those that ask are in `inventory`."""
