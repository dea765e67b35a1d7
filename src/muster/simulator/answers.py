"""How a simulated device comes to its answer: who may ask, whether the request is whole, and whose turn it is then.

Sources: Apple, "Commands and queries", and its schema for who may ask what. The chains of 12021, 12013, 97, 2213 and
1407 are as devices were seen to send them; other codes are plausible, and made up: Apple documents none.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from enum import Enum, auto
from random import Random

from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.catalogue.commands import find_command
from muster.protocol.command import Command
from muster.protocol.connect import ErrorItem, Status
from muster.protocol.plist import PlistValue
from muster.protocol.profile import EnrollmentProfile
from muster.protocol.records import record
from muster.simulator.behaviour import Behaviour
from muster.simulator.contents import Contents, Keys
from muster.simulator.facts import DeviceFacts, Platform, User
from muster.simulator.fitness import Addressee, Obstacle, fault_in, heeded, obstacle


class Aftermath(Enum):
    """What a device does once its answer is sent."""

    NOTHING = auto()
    LOCK = auto()
    """A Mac restarts and wants its PIN."""
    RESTART = auto()
    SHUT_DOWN = auto()
    ERASE = auto()
    UNENROLL = auto()
    LEAVE_SETUP_ASSISTANT = auto()
    LOG_OUT = auto()
    """Log out whom `Answer.users` names."""
    DELETE_USERS = auto()
    """Delete the accounts of those whom `Answer.users` names."""
    FINISH_RENEWAL = auto()
    """Use the new identity: the report went out before."""


@record(frozen=True, slots=True)
class Answer:
    """What goes into the report, who signs it where that is not the identity in force, and what happens after.

    returns_with: the profile by which the device enrolls once it is erased. users: whom the aftermath is about.
    """

    status: Status = Status.ACKNOWLEDGED
    keys: Mapping[str, PlistValue] = field(default_factory=dict)
    error_chain: tuple[ErrorItem, ...] = ()
    aftermath: Aftermath = Aftermath.NOTHING
    signer: SignerIdentity | None = None
    returns_with: bytes | None = None
    users: tuple[User, ...] = ()


@record(frozen=True, slots=True)
class Situation:
    """Where a command arrives: the device, its changeable contents, the enrollment in force and who is logged in.

    *users* maps everybody with an account to whether they are logged in; *user* is None on the device channel. *now*
    is the time by the device's clock.
    """

    facts: DeviceFacts
    contents: Contents
    profile: EnrollmentProfile
    identity_certificate_der: bytes
    push_token: bytes
    users: Mapping[User, bool]
    user: User | None
    is_awaiting_configuration: bool
    behaviour: Behaviour
    rng: Random
    now: datetime

    @property
    def is_shared_ipad(self) -> bool:
        """Whether several people use this iPad, one at a time."""
        return self.facts.platform is Platform.IPAD and bool(self.users)

    @property
    def addressee(self) -> Addressee:
        """What decides whether a command is for this device."""
        return Addressee(
            family=self.facts.platform.family,
            os_version=self.facts.os_version,
            is_supervised=self.facts.is_supervised,
            is_user_enrollment=self.facts.is_user_enrollment,
            is_shared_ipad=(True if self.users else None) if self.facts.platform is Platform.IPAD else False,
            is_user_channel=self.user is not None,
            access_rights=self.profile.access_rights,
        )

    @property
    def is_mac(self) -> bool:
        """Whether this is a Mac, which differs more from the rest than they among themselves."""
        return self.facts.platform is Platform.MAC


Respond = Callable[[Situation, Keys], Answer]
"""Gives the answer to a request, whose keys have the types that the catalogue says, and those that it requires."""


@record(frozen=True, slots=True)
class Responder:
    """One row of the table: what a device does at a command, in words for the manual, and the function that does it.

    waives_right: the command is obeyed without the right that it takes; *respond* sees to that.
    """

    respond: Respond
    does: str
    waives_right: bool = False


NOT_AUTHORIZED = 12007
MALFORMED = 12008
PROFILE_NOT_MANAGED = 12013
INVALID_REQUEST = 12021
NOT_MANAGED = 12026
UNFIT = 12044
"""The device's state forbids it."""


def answer(responders: Mapping[str, Responder], situation: Situation, command: Command) -> Answer:
    """What the device says to *command*: what it doesn't know, or not from whom it comes, it refuses as real ones do;
    what is not whole it calls malformed, and keys that are
    for other devices it passes over."""
    responder = responders.get(command.request_type)
    facts = find_command(command.request_type)
    if responder is None or facts is None:
        return unknown_command(situation, command.request_type)
    found = obstacle(facts.support, situation.addressee)
    match found:
        case Obstacle.UNKNOWN:
            return unknown_command(situation, command.request_type)
        case Obstacle.USER_ENROLLMENT:
            return refused(INVALID_REQUEST, f"{command.request_type} is not allowed in a user enrollment.")
        case Obstacle.NOT_SUPERVISED:
            return refused(UNFIT, f"{command.request_type} needs a supervised device.")
        case Obstacle.NO_RIGHT if not responder.waives_right:
            return no_right()
    keys = heeded(facts.request, command.keys, situation.addressee)
    fault = fault_in(facts.request, keys, situation.addressee)
    if fault is not None:
        return badly_formed(situation, command.request_type, fault)
    return responder.respond(situation, keys)


def refused(code: int, description: str, domain: str = "MCMDMErrorDomain") -> Answer:
    """An Error of one item."""
    return Answer(Status.ERROR, error_chain=(ErrorItem(code, domain, description, description),))


def no_right() -> Answer:
    """The refusal of what AccessRights don't allow."""
    return refused(NOT_AUTHORIZED, "The MDM server does not have the right to do this.")


def unknown_command(situation: Situation, request_type: str) -> Answer:
    """Error 12021, in the words of the platform."""
    if situation.is_mac:
        return refused(INVALID_REQUEST, f"Unknown command: {request_type} <MDMClientError:91>")
    return refused(INVALID_REQUEST, f"“{request_type}” is not a valid request type.")


def badly_formed(situation: Situation, request_type: str, key: str) -> Answer:
    """A key is missing or has another type: Macs say which, the others only that they can't read the command."""
    if situation.is_mac:
        return refused(97, f"No '{key}' in '{request_type}' command <MDMClientError:97>", "MDMClientError")
    return Answer(Status.COMMAND_FORMAT_ERROR)


def acknowledge(_situation: Situation, _keys: Keys) -> Answer:
    """Acknowledge, and do nothing that could be seen."""
    return Answer()


def texts(value: PlistValue | None) -> list[str] | None:
    """The strings of an array; None when there is no array."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None
