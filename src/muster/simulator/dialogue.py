"""The dialogue on the command channel: report, command, report, until the server has nothing more.

Sources: Apple, "Sending MDM commands to a device", "Command Response", "Handling NotNow status responses".
"""

import asyncio
from dataclasses import replace
from functools import lru_cache

from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.command import Command, decode_command
from muster.protocol.connect import Report, ReportHead, Status, encode_report
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import read_plist
from muster.simulator.answers import MALFORMED, Aftermath, Answer, Situation, answer, refused
from muster.simulator.behaviour import Behaviour, Obedience, may_be_not_now
from muster.simulator.contents import read_profile
from muster.simulator.enrollment import Enrollment, EnrollmentFailed, Line
from muster.simulator.facts import Platform, User
from muster.simulator.machine import Machine
from muster.simulator.renewal import begin_renewal, finish_renewal, installation_error
from muster.simulator.responders import RESPONDERS
from muster.simulator.return_to_service import return_to_service
from muster.simulator.session import Answered, Session, SessionEnd
from muster.simulator.signed_profile import unwrap_profile
from muster.simulator.transport import ConnectionLost, Response

DECLARATIVE_MANAGEMENT = "DeclarativeManagement"
MAX_COMMANDS_PER_SESSION = 1000
"""A server that hands out the same command for ever would hold the device, and virtual time, for ever."""

REPLACES_LATER = frozenset({Aftermath.ERASE, Aftermath.UNENROLL})
"""The answers to these are sent once: afterwards there is nobody to send them again."""


async def connect(device: Machine, user: User | None) -> Session:
    """One session on the channel of *user*, None: the device's, after what was owed. Raises nothing."""
    if not device.is_mute:
        await device.install_due_update()
    enrollment = device.enrollment
    line = None
    if enrollment is not None:
        line = enrollment.device_line if user is None else enrollment.user_lines.get(user)
    if enrollment is None or line is None or not line.is_open or _is_mute(device, line):
        return Session(SessionEnd.SILENT)
    async with line.in_use:
        line.wants_connect = False
        if line.owes_token_update:
            await device.update_token(line)
            if device.enrollment is not enrollment or line not in enrollment.lines:
                return Session(SessionEnd.UNENROLLED if device.enrollment is None else SessionEnd.USER_NOT_MANAGED)
        return await _converse(device, enrollment, line)


def _is_mute(device: Machine, line: Line) -> bool:
    is_silent_user = line.user is not None and line.user in device.behaviour.silent_users
    return device.is_mute or device.behaviour.is_command_channel_dead or is_silent_user


async def _converse(device: Machine, enrollment: Enrollment, line: Line) -> Session:
    answered: list[Answered] = []
    body = line.unsent_report or _idle(line)
    given = Answer()
    line.last_status = line.last_status if line.unsent_report else Status.IDLE
    http_status: int | None = None
    while len(answered) <= MAX_COMMANDS_PER_SESSION:
        response = await _deliver(device, enrollment, line, body, given.signer)
        http_status = response.status if response else http_status
        end = await _after_delivery(device, line, response, given)
        if end is not None:
            return Session(end, tuple(answered), http_status)
        assert response is not None
        command = _read_command(response.body)
        if isinstance(command, Command) and _hangs_on(device, command.request_type):
            return Session(SessionEnd.UNANSWERED, tuple(answered), http_status)
        await asyncio.sleep(device.behaviour.seconds_per_command)
        given, uuid, request_type = await _carry_out(device, enrollment, line, command)
        answered.append(Answered(uuid, request_type, given.status))
        line.last_status = given.status
        body = _encode(line, given.status, uuid, given)
        line.unsent_report = None if given.aftermath in REPLACES_LATER else body
        if request_type in device.behaviour.forgotten:
            line.unsent_report = None
            end = await _do(device, line, given)
            return Session(end or SessionEnd.UNANSWERED, tuple(answered), http_status)
    return Session(SessionEnd.ENDLESS, tuple(answered), http_status)


def _hangs_on(device: Machine, request_type: str) -> bool:
    """Whether this command is never answered; the MDM client may be of no more use then."""
    behaviour = device.behaviour
    if behaviour.obedience is not Obedience.NONE and request_type not in behaviour.unanswered:
        return False
    device.is_hung = behaviour.hangs_until_boot
    return True


async def _deliver(
    device: Machine, enrollment: Enrollment, line: Line, body: bytes, signer: SignerIdentity | None
) -> Response | None:
    """Send one report; a result stays `unsent_report` until its reply is a 2xx. None: no whole reply came."""
    try:
        response = await device.report(enrollment, body, signer)
    except ConnectionLost:
        return None
    if response.is_success:
        line.unsent_report = None
    return response


async def _after_delivery(device: Machine, line: Line, response: Response | None, given: Answer) -> SessionEnd | None:
    """Do what the answer promised and what the reply demands. None: the session goes on with the command in it."""
    if response is not None and given.aftermath not in REPLACES_LATER and not device.heed(response, line):
        return SessionEnd.UNENROLLED if device.enrollment is None else SessionEnd.USER_NOT_MANAGED
    if given.aftermath is not Aftermath.NOTHING:
        end = await _do(device, line, given)
        if end is not None:
            return end
    if response is None:
        return SessionEnd.CONNECTION_LOST
    if not response.is_success:
        return SessionEnd.FAILED
    if response.body:
        return None
    line.waits_at_login = line.makes_account = False  # the user is let in
    return SessionEnd.EMPTY


async def _do(device: Machine, line: Line, given: Answer) -> SessionEnd | None:
    """Carry out what comes after *given*, whether or not it arrived. None: the session goes on."""
    match given.aftermath:
        case Aftermath.RESTART:
            device.contents.restarts += 1
            device.restart_due = True
            device.wanted.set()
            return SessionEnd.RESTARTED
        case Aftermath.SHUT_DOWN | Aftermath.LOCK:
            device.power_off()
            return SessionEnd.RESTARTED
        case Aftermath.ERASE:
            if given.returns_with is None:
                device.erase()
            else:
                await return_to_service(device, given.returns_with)
            return SessionEnd.ERASED
        case Aftermath.UNENROLL:
            await device.remove_profile()
            return SessionEnd.UNENROLLED
        case _:
            await _do_meanwhile(device, line, given)
    return None


async def _do_meanwhile(device: Machine, line: Line, given: Answer) -> None:
    """Carry out what comes after *given* where that does not end the session."""
    match given.aftermath:
        case Aftermath.LEAVE_SETUP_ASSISTANT:
            if line.is_awaiting_configuration:
                line.is_awaiting_configuration = False
                await device.update_token(line)
        case Aftermath.LOG_OUT:
            for user in given.users:
                device.log_out(user)
        case Aftermath.DELETE_USERS:
            for user in given.users:
                device.delete_user(user)
        case Aftermath.FINISH_RENEWAL:
            await _finish_renewal(device)


@lru_cache(maxsize=64)
def _read_command(body: bytes) -> Command | CommandUUID | None:
    """The command; if it can't be read its CommandUUID; if not even that, None. One goes to many devices."""
    try:
        return decode_command(body)
    except MalformedMessage:
        pass
    try:
        command_uuid = read_plist(body).get("CommandUUID")
    except MalformedMessage:
        return None
    return CommandUUID(command_uuid) if isinstance(command_uuid, str) else None


async def _carry_out(
    device: Machine, enrollment: Enrollment, line: Line, command: Command | CommandUUID | None
) -> tuple[Answer, CommandUUID | None, str | None]:
    """Answer *command*: put off or made to fail as the device's behaviour has it, else in earnest."""
    if not isinstance(command, Command):
        return Answer(Status.COMMAND_FORMAT_ERROR), command, None
    uuid, request_type = command.command_uuid, command.request_type
    behaviour, platform = device.behaviour, device.facts.platform
    if line.makes_account and request_type != "InstallProfile":
        return Answer(Status.NOT_NOW), uuid, request_type
    if may_be_not_now(platform, request_type) and device.rng.random() < behaviour.not_now_share:
        return Answer(Status.NOT_NOW), uuid, request_type
    scripted = _scripted(behaviour, request_type)
    if scripted is not None:
        return scripted, uuid, request_type
    if request_type == "InstallProfile" and (payload := _mdm_payload_in(command)) is not None:
        return await _renew(device, enrollment, line, payload), uuid, request_type
    situation = Situation(
        facts=device.facts,
        contents=device.contents,
        profile=enrollment.profile,
        identity_certificate_der=enrollment.identity.certificate_der,
        push_token=line.token,
        users=device.users,
        user=line.user,
        is_awaiting_configuration=line.is_awaiting_configuration,
        behaviour=behaviour,
        rng=device.rng,
        now=device.now,
    )
    given = answer(RESPONDERS, situation, command)
    if platform is Platform.MAC and given.status is not Status.COMMAND_FORMAT_ERROR:
        given = _echoing(given, request_type)
    if request_type == DECLARATIVE_MANAGEMENT and given.status is Status.ACKNOWLEDGED and line.user is None:
        device.begin_ddm()
    return given, uuid, request_type


def _scripted(behaviour: Behaviour, request_type: str) -> Answer | None:
    """The answer that the device's behaviour has for a command; None when it is answered in earnest."""
    if behaviour.obedience is Obedience.REFUSES:
        return refused(MALFORMED, "The device does not obey.")
    if request_type in behaviour.put_off:
        return Answer(Status.NOT_NOW)
    chain = behaviour.failing.get(request_type)
    if chain is None:
        return None
    return Answer(Status.ERROR, error_chain=chain) if chain else Answer(Status.COMMAND_FORMAT_ERROR)


async def _renew(device: Machine, enrollment: Enrollment, line: Line, payload: bytes) -> Answer:
    """Install the enrollment profile anew; all of it, or what comes before an early report."""
    if line.user is not None:
        words = "An MDM payload installs on the device channel only."
        return refused(1000, words, "MCProfileErrorDomain")
    report = device.behaviour.renewal_report
    old_identity = enrollment.identity
    try:
        renewal = await begin_renewal(device, payload)
        if report.is_early:
            enrollment.renewal = renewal
            signer = old_identity if report.is_by_old else renewal.identity
            return Answer(aftermath=Aftermath.FINISH_RENEWAL, signer=signer)
        await finish_renewal(device, renewal)
    except EnrollmentFailed as error:
        device.last_failure = error
        chain = installation_error(device.facts.platform, error, enrollment.profile.server_url)
        return Answer(Status.ERROR, error_chain=chain)
    return Answer(signer=old_identity if report.is_by_old else None)


async def _finish_renewal(device: Machine) -> None:
    """Use the identity whose installation was reported already; a failure now is nobody's to hear."""
    enrollment = device.enrollment
    if enrollment is None or enrollment.renewal is None:
        return
    renewal, enrollment.renewal = enrollment.renewal, None
    try:
        await finish_renewal(device, renewal)
    except EnrollmentFailed as error:
        device.last_failure = error


def _mdm_payload_in(command: Command) -> bytes | None:
    """The profile in an InstallProfile, when it is one that enrolls."""
    payload = command.keys.get("Payload")
    try:
        enrolls = isinstance(payload, bytes) and read_profile(unwrap_profile(payload)).has_mdm_payload
    except MalformedMessage:
        return None
    return payload if enrolls and isinstance(payload, bytes) else None


def _echoing(given: Answer, request_type: str) -> Answer:
    """Macs name the request in their answer."""
    return replace(given, keys={"RequestType": request_type, **given.keys})


def _idle(line: Line) -> bytes:
    return _encode(line, Status.IDLE, None, Answer(Status.IDLE))


def _encode(line: Line, status: Status, command_uuid: CommandUUID | None, given: Answer) -> bytes:
    is_mac_user = (
        line.user is not None
        and line.identifiers.user_short_name is not None
        and line.user.guid == (line.identifiers.user_id)
    )
    head = ReportHead(
        line.channel,
        line.identifiers,
        status,
        status.value,
        command_uuid,
        not_on_console=not line.is_at_console if is_mac_user else None,
        needs_sync=line.waits_at_login,
        is_user_configuration=line.makes_account,
        auth_token=line.auth_token,
    )
    return encode_report(Report(head, given.error_chain, answer=given.keys))
