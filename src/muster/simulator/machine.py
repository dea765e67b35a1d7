"""The body of a simulated device: what it has, and the single acts it can do, each as real devices do it on the wire.

`SimulatedDevice` adds the ways to enroll, the dialogue on the command channel and a life of its own.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from random import Random

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.keys import RSAPrivateKey
from muster.protocol.account_driven import read_www_authenticate
from muster.protocol.apns import Push
from muster.protocol.checkin import (
    CheckinMessage,
    CheckOut,
    GetBootstrapToken,
    SetBootstrapToken,
    encode_checkin,
)
from muster.protocol.checkin_replies import read_bootstrap_token_reply
from muster.protocol.identifiers import Identifiers, resolve_channel
from muster.protocol.profile import PER_USER_CONNECTIONS, EnrollmentMode, EnrollmentProfile
from muster.simulator.behaviour import Behaviour, SignatureStyle
from muster.simulator.contents import make_contents
from muster.simulator.enrollment import Backup, Enrollment, EnrollmentFailed, Line
from muster.simulator.facts import DeviceFacts, Platform, User, make_user, make_uuid, user_identifiers
from muster.simulator.introduction import token_update
from muster.simulator.mdm_requests import CHECKIN_CONTENT_TYPE, CONNECT_CONTENT_TYPE, MdmRequests, Refusal, refusal_in
from muster.simulator.presence import Network, Presence, PushService
from muster.simulator.transport import ConnectionLost, Response, Transport

UNLOCK_TOKEN_BYTES = 1024
"""Opaque; real ones have some kilobytes."""


class NotEnrolled(ConnectionLost):
    """There is no enrollment (any more): nothing is sent."""


class Machine(ABC):
    """Its attributes are its state, to be read by whoever plays with it; `behaviour` and `contents` are to be changed.

    *key_source* gives the private key for each new identity, *clock* the true time (aware UTC), *rng* everything that
    is random. A method that speaks to the server and is said to raise nothing survives whatever the server does.

    presence: its side of APNs. network: where it leads now; `change_network` changes it.
    sign_in_page: where somebody must sign in again before the server of an account-driven enrollment listens.
    private_root_der: the root above the server's TLS certificate where that is none of those which every device
    trusts; no request of its MDM client gets through unless it is among trusted_roots, those of its profile.
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
        self.is_kept_off = False  # whatever would switch it on does not
        self.network = Network.WHOLE
        self.restart_due = False
        self.is_hung = False  # its MDM client, until it boots
        self.ddm_begun = False  # DeclarativeManagement was acknowledged in this enrollment
        self.status_due = False  # a status report is to be sent, who runs `live` will see to it
        self.last_failure: EnrollmentFailed | None = None  # of a renewal, for whoever plays: reports say less
        self.users: dict[User, bool] = {make_user(rng): True} if facts.platform is Platform.MAC else {}
        self.network_users: dict[User, str] = {}  # of a Mac, with the passwords they type in
        self.wanted = asyncio.Event()  # set when a line wants to connect, or power changes
        self.rng = rng
        self.presence = Presence(push_service, clock)
        self.requests = MdmRequests(transport, facts.user_agent)
        self.new_key = key_source
        self.sign_in_page: str | None = None
        self.private_root_der: bytes | None = None
        self.trusted_roots: frozenset[bytes] = frozenset()
        self._clock = clock
        self._facts_outside: DeviceFacts | None = None  # those outside the user enrollment that is in force

    @property
    def now(self) -> datetime:
        """The time by this device's own clock, which may be wrong."""
        return self._clock() + self.behaviour.clock_error

    # Leaving and coming back

    async def remove_profile(self) -> None:
        """End the enrollment here: CheckOut, if the profile wants it, in one attempt; then forget. Raises nothing."""
        enrollment = self.enrolled()
        if enrollment.profile.check_out_when_removed and not self.behaviour.loses_check_out:
            line = enrollment.device_line
            with suppress(ConnectionLost):  # there is no second attempt
                await self.check_in(CheckOut(line.identifiers, line.channel, enrollment.profile.topic))
        self.forget_enrollment()

    def forget_enrollment(self) -> None:
        """End the enrollment without a word to the server, as on 401. APNs learns that the tokens are dead."""
        enrollment, self.enrollment = self.enrolled(), None
        for line in enrollment.all_lines:
            self.close_line(line)
        self.forget_terms()
        self.contents.profiles.clear()
        managed = [name for name, application in self.contents.applications.items() if application.is_managed]
        for name in managed:
            del self.contents.applications[name]

    def erase(self) -> None:
        """Everything is gone and nobody is told; APNs refuses the old tokens only once the device is set up again."""
        enrollment, self.enrollment = self.enrollment, None
        for line in enrollment.all_lines if enrollment else ():
            self.presence.abandon(line.token)
        self.forget_terms()
        self.contents = make_contents(self.facts, self.rng)
        if self.facts.platform is Platform.IPAD:
            self.users.clear()

    def back_up(self) -> Backup:
        """What a backup taken now would bring back."""
        enrollment = self.enrolled()
        return Backup(enrollment.profile, enrollment.identity, enrollment.device_line.push_magic)

    async def restore(self, backup: Backup) -> None:
        """Become what *backup* says, of this device or another, and say so by a TokenUpdate, without Authenticate.

        The users' lines are not restored. Raises nothing: a TokenUpdate that fails is owed.
        """
        if self.enrollment is not None:
            for former in self.enrollment.all_lines:
                self.close_line(former)
        line = self.open_line(backup.profile.topic, self.facts.identifiers, None, backup.push_magic)
        self.enrollment = Enrollment(backup.profile, backup.identity, line)
        self.trusted_roots = roots_of(backup.profile)
        await self.update_token(line)

    # Users and tokens

    async def log_in(self, user: User) -> Line | None:
        """Log *user* in; where the profile has per-user connections, its own channel opens with a TokenUpdate.

        On a Shared iPad whoever was logged in is logged out. Where it is set to, a user who comes for the first time
        waits for UserConfigured. On a Mac who was at the console is so no more; of a network user the server is asked.

        Returns its line; None when the device has none for it, or the server refused the user (410).
        """
        if self.facts.platform is Platform.IPAD:  # Shared iPad: one at a time
            for other in [other for other, is_logged_in in self.users.items() if is_logged_in and other != user]:
                self.log_out(other)
        self.users[user] = True
        self._take_console(user)
        enrollment = self.enrollment
        has_channels = enrollment is not None and PER_USER_CONNECTIONS in enrollment.profile.server_capabilities
        if enrollment is None or not has_channels or self.behaviour.opens_no_user_channel:
            return None
        line = enrollment.user_lines.get(user)
        if line is None:
            identifiers = user_identifiers(self.facts, user)
            line = self.open_line(enrollment.profile.topic, identifiers, user, make_uuid(self.rng))
            line.is_awaiting_configuration = self.contents.awaits_user_configuration
            enrollment.user_lines[user] = line
        else:
            line.is_open = line.is_at_console = True
            self._listen(line)
        if self.facts.platform is Platform.MAC and not await self._is_let_in(user, line):
            self.close_line(line)
            enrollment.user_lines.pop(user, None)
            return None
        await self.update_token(line)
        return enrollment.user_lines.get(user) if self.enrollment is enrollment else None

    def _take_console(self, user: User) -> None:
        """Let *user* sit before the Mac, and nobody else."""
        lines = self.enrollment.user_lines if self.enrollment and self.facts.platform is Platform.MAC else {}
        for other, line in lines.items():
            line.is_at_console = other == user

    async def _is_let_in(self, user: User, line: Line) -> bool:
        """Have the server say whether it manages *user*, where it is to be asked."""
        password = self.network_users.get(user)
        if password is not None and not await self.authenticate(line, password):
            return False
        if self.behaviour.waits_at_login:
            line.waits_at_login = True
            self.want_connect(line)
        return True

    @abstractmethod
    async def authenticate(self, line: Line, password: str) -> bool:
        """Ask the server for the user of *line*; the whole device knows how."""

    def log_out(self, user: User) -> None:
        """Log *user* out: its line closes, pushes to it are kept by APNs."""
        self.users[user] = False
        line = self.enrollment.user_lines.get(user) if self.enrollment else None
        if line is not None:
            line.is_open = False
            self.presence.stop_listening(line.token)

    def delete_user(self, user: User) -> None:
        """Delete the account of *user*: nobody listens on that channel any more, and its token ends."""
        self.users.pop(user, None)
        line = self.enrollment.user_lines.pop(user, None) if self.enrollment else None
        if line is not None:
            line.is_open = False
            self.close_line(line)

    async def rotate_token(self, line: Line | None = None, *, is_told: bool = True) -> None:
        """Get a new push token for *line* (None: the device's), as after an OS upgrade, and say so, unless it is not
        *is_told*. Raises nothing."""
        line = line or self.enrolled().device_line
        self._renew_token(line)
        if is_told:
            await self.update_token(line)

    async def update_os(self, os_version: str, build_version: str) -> None:
        """Install another OS: restart, and get a new push token for each line, which is told. Raises nothing.

        Those of users who are not logged in are told when they log in.
        """
        self.facts = replace(self.facts, os_version=os_version, build_version=build_version)
        if self._facts_outside is not None:
            self._facts_outside = replace(self._facts_outside, os_version=os_version, build_version=build_version)
        self.power_off()
        self.power_on()
        enrollment = self.enrollment
        for line in enrollment.all_lines if enrollment else ():
            self._renew_token(line)
        for line in enrollment.lines if enrollment else ():
            if self.enrollment is enrollment:
                await self.update_token(line)

    async def install_due_update(self) -> None:
        """Install the update of the OS that a command asked for, once it is downloaded. Raises nothing."""
        update = self.contents.scheduled_update
        if update is not None and update.installs and update.downloaded_at <= self.now:
            self.contents.scheduled_update = None
            await self.update_os(update.os_version, update.build_version)

    def _renew_token(self, line: Line) -> None:
        self.presence.end(line.token)
        line.token = self.presence.issue_token(self.enrolled().profile.topic, line.channel.id)
        if line.is_open:
            self._listen(line)

    async def update_token(self, line: Line) -> None:
        """Send a TokenUpdate for *line*. Raises nothing: one that fails is owed, and sent before the next connect."""
        line.owes_token_update = True
        if line.user in self.behaviour.silent_users:
            return
        try:
            response = await self.check_in(token_update(self.facts, self.unlock_token(), self.enrolled(), line))
        except ConnectionLost:
            return
        line.owes_token_update = not self.heed(response, line) or not response.is_success

    async def set_bootstrap_token(self, bootstrap_token: bytes | None) -> Response:
        """Hand over the bootstrap token; None or empty: have the server forget it. Raises ConnectionLost."""
        line = self.enrolled().device_line
        self.contents.bootstrap_token = bootstrap_token
        return await self.check_in(SetBootstrapToken(line.identifiers, line.channel, bootstrap_token))

    async def get_bootstrap_token(self) -> bytes | None:
        """Ask for the bootstrap token back; None when the server has none.

        Raises ConnectionLost, and MalformedMessage when the reply is none.
        """
        line = self.enrolled().device_line
        response = await self.check_in(GetBootstrapToken(line.identifiers, line.channel))
        return read_bootstrap_token_reply(response.body) if response.is_success else None

    # Power and life

    def power_off(self) -> None:
        """Battery empty, or switched off. What a user or a server asks of it meanwhile finds nobody."""
        self.is_powered = self.is_hung = False
        self._follow_network()

    def power_on(self) -> None:
        """Boot: APNs hands over what it kept, and the device has a reason of its own to connect.

        A Mac that was locked waits for its PIN first (`enter_pin`); one that is kept off stays off.
        """
        if self.contents.lock_pin is not None or self.is_kept_off:
            return
        self.is_powered = True
        self.restart_due = False
        self._follow_network()
        if self.enrollment is not None:
            self.want_connect(self.enrollment.device_line)

    def enter_pin(self, pin: str) -> bool:
        """Have somebody enter *pin* at a Mac that was locked; False when it is another, or none is wanted."""
        if self.contents.lock_pin is None or pin != self.contents.lock_pin:
            return False
        self.contents.lock_pin = None
        self.power_on()
        return True

    def change_network(self, network: Network) -> None:
        """Come into another network: APNs hands over what it kept once it is reached, and what waited goes out."""
        self.network = network
        self._follow_network()

    def _follow_network(self) -> None:
        """Be online at APNs, or not, as power and network have it."""
        if self.is_powered and self.network.reaches_apns:
            self.presence.go_online()
        else:
            self.presence.go_offline()
        self.wanted.set()

    def begin_ddm(self) -> None:
        """Take up declarative management: a status report is due at once, and then now and then."""
        self.ddm_begun = self.status_due = self.behaviour.speaks_ddm
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
        self.require_a_voice()
        self.require_trust()
        enrollment = enrollment or self.enrolled()
        self._require_identity()
        return await self.requests.put(
            enrollment.checkin_url,
            CHECKIN_CONTENT_TYPE,
            encode_checkin(message),
            enrollment.identity,
            self._signature_style(enrollment),
            self._signing_time(),
        )

    async def report(self, enrollment: Enrollment, body: bytes, signer: SignerIdentity | None = None) -> Response:
        """Send a report on the command channel, signed by *signer*, else by the identity in force.

        Raises ConnectionLost. The reply is not heeded.
        """
        self.require_a_voice()
        self.require_trust()
        self._require_identity()
        return await self.requests.put(
            enrollment.profile.server_url,
            CONNECT_CONTENT_TYPE,
            body,
            signer or enrollment.identity,
            self._signature_style(enrollment),
            self._signing_time(),
        )

    def heed(self, response: Response, line: Line) -> bool:
        """Do what *response*'s status means for the enrollment; True when *line* is still in force after it."""
        page = read_www_authenticate(response.headers.get("www-authenticate", ""))
        if response.status == 401 and self.requests.bearer is not None and page is not None:
            self.sign_in_page = page
            return True
        match refusal_in(response, is_user_channel=line.user is not None):
            case Refusal.UNENROLLED:
                self.forget_enrollment()
                return False
            case Refusal.USER_NOT_MANAGED:
                assert line.user is not None
                if self.enrollment is not None and self.enrollment.user_lines.get(line.user) is line:
                    del self.enrollment.user_lines[line.user]
                self.close_line(line)
                return False
        return True

    def enrolled(self) -> Enrollment:
        """The enrollment in force. Raises NotEnrolled, for it may end while something is on its way."""
        if self.enrollment is None:
            raise NotEnrolled("the device is not enrolled")
        return self.enrollment

    @property
    def is_mute(self) -> bool:
        """Whether nothing leaves this device: it is off, has no network, or its MDM client is dead."""
        return not self.is_powered or not self.network.reaches_server or self.behaviour.is_silent or self.is_hung

    def require_a_voice(self) -> None:
        """Raise ConnectionLost when nothing leaves this device."""
        if self.is_mute:
            raise ConnectionLost("the device is off, without a network, or mute")

    def require_trust(self) -> None:
        """Raise ConnectionLost when this device does not trust the server's TLS certificate."""
        if self.private_root_der is not None and self.private_root_der not in self.trusted_roots:
            raise ConnectionLost("the server's TLS certificate is not trusted")

    def _require_identity(self) -> None:
        """Raise ConnectionLost when nothing can be signed, for then nothing is sent."""
        if self.behaviour.lacks_identity:
            raise ConnectionLost("the device has lost its identity")

    def _signing_time(self) -> datetime | None:
        return self.now if self.behaviour.signs_time else None

    def _signature_style(self, enrollment: Enrollment) -> SignatureStyle:
        return self.behaviour.signature_style if enrollment.profile.sign_message else SignatureStyle.NONE

    def unlock_token(self) -> bytes:
        """This device's; one is made when it is first asked for, and kept until it is erased."""
        if self.contents.unlock_token is None:
            self.contents.unlock_token = self.rng.randbytes(UNLOCK_TOKEN_BYTES)
        return self.contents.unlock_token

    def open_line(self, topic: str, identifiers: Identifiers, user: User | None, push_magic: str) -> Line:
        """A new line, listening for pushes before the server learns of it, so that none is missed."""
        channel = resolve_channel(identifiers)
        token = self.presence.issue_token(topic, channel.id)
        line = Line(identifiers, channel, user, token, push_magic)
        self._listen(line)
        return line

    def _listen(self, line: Line) -> None:
        def wake(push: Push) -> None:
            line.pushes_seen += 1
            is_deaf = self.behaviour.ignores_pushes or self.behaviour.is_command_channel_dead
            if push.push_magic == line.push_magic and not is_deaf:
                self.want_connect(line)

        self.presence.listen(line.token, wake)

    def close_line(self, line: Line) -> None:
        """Have APNs refuse *line*'s token from now on, or from when the device is online again."""
        self.presence.end(line.token)

    def take_terms(self, profile: EnrollmentProfile) -> None:
        """Let *profile* decide whose roots are trusted, and by what name the device goes.

        A user enrollment gives it an EnrollmentID of its own, and shows nothing of the device's.
        """
        self.trusted_roots = roots_of(profile)
        if profile.enrollment_mode is EnrollmentMode.BYOD and self.facts.enrollment_id is None:
            self._facts_outside = self.facts
            self.facts = replace(self.facts, enrollment_id=make_uuid(self.rng), is_supervised=False)

    def forget_terms(self) -> None:
        """Go back to how the device was without a profile."""
        self.trusted_roots = frozenset()
        self.ddm_begun = self.status_due = False
        self.requests.bearer = self.sign_in_page = None
        if self._facts_outside is not None:
            self.facts, self._facts_outside = self._facts_outside, None


def roots_of(profile: EnrollmentProfile) -> frozenset[bytes]:
    """The certificates (DER) that *profile* makes known to the device."""
    return frozenset(anchor.certificate_der for anchor in profile.trust_anchors)
