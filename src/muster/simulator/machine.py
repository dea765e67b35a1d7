"""The body of a simulated device: what it has, and the single acts it can do, each as real devices do it on the wire.

`SimulatedDevice` adds the dialogue on the command channel and a life of its own.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import assert_never

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.errors import CryptoError
from muster.crypto.keys import RSAPrivateKey
from muster.crypto.pkcs12 import read_pkcs12
from muster.protocol.apns import Push
from muster.protocol.checkin import (
    CheckinMessage,
    CheckOut,
    GetBootstrapToken,
    SetBootstrapToken,
    encode_checkin,
)
from muster.protocol.checkin_replies import read_bootstrap_token_reply
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.profile import (
    BOOTSTRAP_TOKEN,
    PER_USER_CONNECTIONS,
    PROFILE_MEDIA_TYPE,
    EnrollmentProfile,
    Pkcs12Payload,
    ScepPayload,
    decode_enrollment_profile,
)
from muster.simulator.behaviour import Behaviour, SignatureStyle
from muster.simulator.contents import make_contents, read_profile
from muster.simulator.enrollment import Backup, Enrollment, EnrollmentFailed, Line, PushService, forbidden_change
from muster.simulator.facts import DeviceFacts, Platform, User, make_user, make_uuid, user_identifiers
from muster.simulator.introduction import authenticate, token_update
from muster.simulator.mdm_requests import CHECKIN_CONTENT_TYPE, CONNECT_CONTENT_TYPE, MdmRequests, Refusal, refusal_in
from muster.simulator.scep_client import obtain_identity
from muster.simulator.signed_profile import unwrap_profile
from muster.simulator.transport import ConnectionLost, Response, Transport

BOOTSTRAP_TOKEN_BYTES = 64
UNLOCK_TOKEN_BYTES = 1024
"""Both are opaque; real ones have some hundred bytes to some kilobytes."""


class Machine:
    """Its attributes are its state, to be read by whoever plays with it; `behaviour` and `contents` are to be changed.

    *key_source* gives the private key for each new identity, *clock* the true time (aware UTC), *rng* everything that
    is random. A method that speaks to the server and is said to raise nothing survives whatever the server does.
    """

    def __init__(
        self,
        facts: DeviceFacts,
        *,
        transport: Transport,
        push_service: PushService,
        key_source: Callable[[], RSAPrivateKey],
        clock: Callable[[], datetime],
        rng: Random,
    ) -> None:
        """A device fresh from its box, powered and not enrolled. Its first user has an account on a Mac only."""
        self.facts = facts
        self.behaviour = Behaviour()
        self.contents = make_contents(facts, rng)
        self.enrollment: Enrollment | None = None
        self.is_powered = True
        self.restart_due = False
        self.users: dict[User, bool] = {make_user(rng): True} if facts.platform is Platform.MAC else {}
        self.wanted = asyncio.Event()  # set when a line wants to connect, or power changes
        self.rng = rng
        self._requests = MdmRequests(transport, facts.user_agent)
        self._push_service = push_service
        self._key_source = key_source
        self._clock = clock
        self._stale_tokens: list[bytes] = []

    # Enrollment

    async def open_link(self, url: str, *, awaits_configuration: bool = False) -> None:
        """Download the profile at *url* and install it. Raises EnrollmentFailed."""
        try:
            self._require_a_voice()
            response = await self._requests.get(url)
        except ConnectionLost as error:
            raise EnrollmentFailed("download", "no connection") from error
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not response.is_success or media_type != PROFILE_MEDIA_TYPE:
            raise EnrollmentFailed("download", f"{response.status} {media_type or 'without Content-Type'}")
        await self.enroll(response.body, awaits_configuration=awaits_configuration)

    async def enroll(self, mobileconfig: bytes, *, awaits_configuration: bool = False) -> None:
        """Install an enrollment profile: SCEP, Authenticate, TokenUpdate, then what a Mac adds to it.

        With *awaits_configuration* the device sits in Setup Assistant until DeviceConfigured. Raises EnrollmentFailed
        when any of the three steps fails, or when the device is enrolled already; it is then as it was.
        """
        if self.enrollment is not None:
            raise EnrollmentFailed("profile", "the device is enrolled already")
        profile_xml, profile = _read_enrollment_profile(mobileconfig)
        identity = await self._obtain_identity(profile)
        self._bury_stale_tokens()
        line = self._open_line(profile.topic, self.facts.identifiers, None, make_uuid(self.rng))
        enrollment = Enrollment(profile, identity, line, is_awaiting_configuration=awaits_configuration)
        try:
            await self._introduce(enrollment)
        except EnrollmentFailed:
            self._close_line(line)
            raise
        self.enrollment = enrollment
        self.contents.profiles[profile.payload_identifier] = read_profile(profile_xml)
        await self._finish_enrollment(enrollment)

    async def replace_enrollment_profile(self, mobileconfig: bytes) -> None:
        """Put a new enrollment profile in place of the present one: new identity, Authenticate, TokenUpdate.

        This is how an identity is renewed. Raises EnrollmentFailed, and leaves the old enrollment in force.
        """
        old = self._enrolled()
        profile_xml, profile = _read_enrollment_profile(mobileconfig)
        objection = forbidden_change(old.profile, profile)
        if objection is not None:
            raise EnrollmentFailed("profile", objection)
        identity = await self._obtain_identity(profile)
        line = old.device_line
        old_magic, line.push_magic = line.push_magic, make_uuid(self.rng)
        try:
            await self._introduce(replace(old, profile=profile, identity=identity))
        except EnrollmentFailed:
            line.push_magic = old_magic
            raise
        old.profile, old.identity = profile, identity
        self.contents.profiles[profile.payload_identifier] = read_profile(profile_xml)
        for user_line in old.lines[1:]:
            await self.update_token(user_line)

    async def remove_profile(self) -> None:
        """End the enrollment here: CheckOut, if the profile wants it, in one attempt; then forget. Raises nothing."""
        enrollment = self._enrolled()
        if enrollment.profile.check_out_when_removed and not self.behaviour.loses_check_out:
            line = enrollment.device_line
            with suppress(ConnectionLost):  # there is no second attempt
                await self.check_in(CheckOut(line.identifiers, line.channel, enrollment.profile.topic))
        self.forget_enrollment()

    def forget_enrollment(self) -> None:
        """End the enrollment without a word to the server, as on 401. APNs learns that the tokens are dead."""
        enrollment, self.enrollment = self._enrolled(), None
        for line in (enrollment.device_line, *enrollment.user_lines.values()):
            self._close_line(line)
        self.contents.profiles.clear()
        managed = [name for name, application in self.contents.applications.items() if application.is_managed]
        for name in managed:
            del self.contents.applications[name]

    def erase(self) -> None:
        """Everything is gone and nobody is told; APNs refuses the old tokens only once the device is set up again."""
        enrollment, self.enrollment = self.enrollment, None
        for line in (enrollment.device_line, *enrollment.user_lines.values()) if enrollment else ():
            self._push_service.go_offline(line.token)
            self._stale_tokens.append(line.token)
        self.contents = make_contents(self.facts, self.rng)

    def back_up(self) -> Backup:
        """What a backup taken now would bring back."""
        enrollment = self._enrolled()
        return Backup(enrollment.profile, enrollment.identity, enrollment.device_line.push_magic)

    async def restore(self, backup: Backup) -> None:
        """Become what *backup* says, of this device or another, and say so by a TokenUpdate, without Authenticate.

        The users' lines are not restored. Raises nothing: a TokenUpdate that fails is owed.
        """
        if self.enrollment is not None:
            for former in (self.enrollment.device_line, *self.enrollment.user_lines.values()):
                self._close_line(former)
        line = self._open_line(backup.profile.topic, self.facts.identifiers, None, backup.push_magic)
        self.enrollment = Enrollment(backup.profile, backup.identity, line)
        await self.update_token(line)

    # Users and tokens

    async def log_in(self, user: User) -> Line | None:
        """Log *user* in; where the profile has per-user connections, its own channel opens with a TokenUpdate.

        Returns its line; None when the device has none for it, or the server refused the user (410).
        """
        self.users[user] = True
        enrollment = self.enrollment
        if enrollment is None or PER_USER_CONNECTIONS not in enrollment.profile.server_capabilities:
            return None
        line = enrollment.user_lines.get(user)
        if line is None:
            identifiers = user_identifiers(self.facts, user)
            line = self._open_line(enrollment.profile.topic, identifiers, user, make_uuid(self.rng))
            enrollment.user_lines[user] = line
        else:
            line.is_open = True
            self._go_online(line)
        await self.update_token(line)
        return enrollment.user_lines.get(user) if self.enrollment is enrollment else None

    def log_out(self, user: User) -> None:
        """Log *user* out: its line closes, pushes to it are kept by APNs."""
        self.users[user] = False
        line = self.enrollment.user_lines.get(user) if self.enrollment else None
        if line is not None:
            line.is_open = False
            self._push_service.go_offline(line.token)

    async def rotate_token(self, line: Line | None = None) -> None:
        """Get a new push token for *line* (None: the device's), as after an OS upgrade, and say so. Raises nothing."""
        enrollment = self._enrolled()
        line = line or enrollment.device_line
        self._push_service.go_offline(line.token)
        self._push_service.unregister(line.token, self._clock())
        line.token = self._push_service.issue_token(enrollment.profile.topic)
        self._go_online(line)
        await self.update_token(line)

    async def update_token(self, line: Line) -> None:
        """Send a TokenUpdate for *line*. Raises nothing: one that fails is owed, and sent before the next connect."""
        line.owes_token_update = True
        try:
            response = await self.check_in(token_update(self.facts, self._unlock_token(), self._enrolled(), line))
        except ConnectionLost:
            return
        line.owes_token_update = not self.heed(response, line) or not response.is_success

    async def set_bootstrap_token(self, bootstrap_token: bytes | None) -> Response:
        """Hand over the bootstrap token; None or empty: have the server forget it. Raises ConnectionLost."""
        line = self._enrolled().device_line
        self.contents.bootstrap_token = bootstrap_token
        return await self.check_in(SetBootstrapToken(line.identifiers, line.channel, bootstrap_token))

    async def get_bootstrap_token(self) -> bytes | None:
        """Ask for the bootstrap token back; None when the server has none.

        Raises ConnectionLost, and MalformedMessage when the reply is none.
        """
        line = self._enrolled().device_line
        response = await self.check_in(GetBootstrapToken(line.identifiers, line.channel))
        return read_bootstrap_token_reply(response.body) if response.is_success else None

    # Power and life

    def power_off(self) -> None:
        """Battery empty, or switched off. What a user or a server asks of it meanwhile finds nobody."""
        self.is_powered = False
        for line in self.enrollment.lines if self.enrollment else ():
            self._push_service.go_offline(line.token)
        self.wanted.set()

    def power_on(self) -> None:
        """Boot: APNs hands over what it kept, and the device has a reason of its own to connect."""
        self.is_powered = True
        self.restart_due = False
        self._bury_stale_tokens()
        for line in self.enrollment.lines if self.enrollment else ():
            self._go_online(line)
        if self.enrollment is not None:
            self.want_connect(self.enrollment.device_line)
        self.wanted.set()

    def want_connect(self, line: Line) -> None:
        """Give *line* a reason to connect; who runs `live` will see to it."""
        line.wants_connect = True
        self.wanted.set()

    # Requests

    async def check_in(self, message: CheckinMessage, enrollment: Enrollment | None = None) -> Response:
        """Send *message* as it is, signed with the identity in force or that of *enrollment*. Raises ConnectionLost.

        The reply is not heeded.
        """
        self._require_a_voice()
        enrollment = enrollment or self._enrolled()
        return await self._requests.put(
            enrollment.checkin_url,
            CHECKIN_CONTENT_TYPE,
            encode_checkin(message),
            enrollment.identity,
            self._signature_style(enrollment),
        )

    async def report(self, enrollment: Enrollment, body: bytes) -> Response:
        """Send a report on the command channel. Raises ConnectionLost. The reply is not heeded."""
        self._require_a_voice()
        return await self._requests.put(
            enrollment.profile.server_url,
            CONNECT_CONTENT_TYPE,
            body,
            enrollment.identity,
            self._signature_style(enrollment),
        )

    def heed(self, response: Response, line: Line) -> bool:
        """Do what *response*'s status means for the enrollment; True when *line* is still in force after it."""
        match refusal_in(response, is_user_channel=line.user is not None):
            case Refusal.UNENROLLED:
                self.forget_enrollment()
                return False
            case Refusal.USER_NOT_MANAGED:
                assert line.user is not None
                if self.enrollment is not None and self.enrollment.user_lines.get(line.user) is line:
                    del self.enrollment.user_lines[line.user]
                self._close_line(line)
                return False
        return True

    def _enrolled(self) -> Enrollment:
        assert self.enrollment is not None, "the device is not enrolled"
        return self.enrollment

    def _require_a_voice(self) -> None:
        if not self.is_powered or self.behaviour.is_silent:
            raise ConnectionLost("the device is off or mute")

    def _signature_style(self, enrollment: Enrollment) -> SignatureStyle:
        return self.behaviour.signature_style if enrollment.profile.sign_message else SignatureStyle.NONE

    async def _obtain_identity(self, profile: EnrollmentProfile) -> SignerIdentity:
        try:
            self._require_a_voice()
        except ConnectionLost as error:
            raise EnrollmentFailed("SCEP", str(error)) from error
        match profile.identity:
            case Pkcs12Payload(content=content, password=password):
                return _unpack_identity(content, password)
            case ScepPayload() as scep:
                return await self._obtain_by_scep(scep)
            case _:
                assert_never(profile.identity)

    async def _obtain_by_scep(self, scep: ScepPayload) -> SignerIdentity:
        return await obtain_identity(
            scep,
            self._key_source(),
            self._requests.transport,
            default_common_name=self.facts.enrollment_id or self.facts.udid,
            now=self._clock() + self.behaviour.clock_error,
            random_bytes=self.rng.randbytes,
        )

    async def _introduce(self, enrollment: Enrollment) -> None:
        """Authenticate, then TokenUpdate. Raises EnrollmentFailed when either is not answered by a 2xx."""
        line = enrollment.device_line
        for message in (
            authenticate(self.facts, self.contents, enrollment),
            token_update(self.facts, self._unlock_token(), enrollment, line),
        ):
            step = type(message).__name__
            try:
                response = await self.check_in(message, enrollment)
            except ConnectionLost as error:
                raise EnrollmentFailed(step, "no connection") from error
            if not response.is_success:
                raise EnrollmentFailed(step, f"answered {response.status}")

    async def _finish_enrollment(self, enrollment: Enrollment) -> None:
        """What a Mac does besides: hand over its bootstrap token, open the channels of who is logged in."""
        if self.facts.platform is not Platform.MAC:
            return
        capabilities = enrollment.profile.server_capabilities
        if BOOTSTRAP_TOKEN in capabilities and self.facts.is_supervised:
            with suppress(ConnectionLost):  # macOS hands it over again some other time
                await self.set_bootstrap_token(self.rng.randbytes(BOOTSTRAP_TOKEN_BYTES))
        for user in [user for user, is_logged_in in self.users.items() if is_logged_in]:
            if self.enrollment is enrollment:
                await self.log_in(user)

    def _unlock_token(self) -> bytes:
        """This device's; one is made when it is first asked for, and kept until it is erased."""
        if self.contents.unlock_token is None:
            self.contents.unlock_token = self.rng.randbytes(UNLOCK_TOKEN_BYTES)
        return self.contents.unlock_token

    def _open_line(self, topic: str, identifiers: Identifiers, user: User | None, push_magic: str) -> Line:
        """A new line, listening for pushes before the server learns of it, so that none is missed."""
        token = self._push_service.issue_token(topic)
        line = Line(identifiers, resolve_channel(identifiers), user, token, push_magic)
        self._go_online(line)
        return line

    def _go_online(self, line: Line) -> None:
        def wake(push: Push) -> None:
            line.pushes_seen += 1
            if push.push_magic == line.push_magic and not self.behaviour.ignores_pushes:
                self.want_connect(line)

        if self.is_powered:
            self._push_service.go_online(line.token, wake, self._clock())

    def _close_line(self, line: Line) -> None:
        self._push_service.go_offline(line.token)
        self._push_service.unregister(line.token, self._clock())

    def _bury_stale_tokens(self) -> None:
        for token in self._stale_tokens:
            self._push_service.unregister(token, self._clock())
        self._stale_tokens.clear()


def _read_enrollment_profile(mobileconfig: bytes) -> tuple[bytes, EnrollmentProfile]:
    try:
        profile_xml = unwrap_profile(mobileconfig)
        return profile_xml, decode_enrollment_profile(profile_xml)
    except MalformedMessage as error:
        raise EnrollmentFailed("profile", str(error)) from error


def _unpack_identity(content: bytes, password: str) -> SignerIdentity:
    try:
        return read_pkcs12(content, password)
    except CryptoError as error:
        raise EnrollmentFailed("PKCS #12", str(error) or "the password does not open it") from error
