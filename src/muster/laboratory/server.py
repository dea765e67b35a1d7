"""The real server in virtual time: put together by bootstrap, started, stopped and started again on the same data.

Its clock is the loop's, its randomness is seeded, its authority's key is one of the published ones; its disk doesn't
outlive the run. Administrators act through its operations, as the console and the API do.
"""

import asyncio
import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.service import Service, open_service
from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import private_key_pem
from muster.domain.access import Actor, ActorKind
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.policy import Policy
from muster.domain.push_certificates import Deliberately
from muster.laboratory.pushes import SimulatedPushSender
from muster.laboratory.wire import Wire
from muster.operations.enrollment_links import LinkOrder, NewLink, create_links
from muster.operations.enrollment_users import UserOrder, add_enrollment_users
from muster.operations.ports import PublicFace
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.rotate_authority import rotate_authorities
from muster.operations.set_policy import PolicyOrder, PolicySet, set_policies
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    upload_push_certificates,
)
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.protocol.plist import PlistValue
from muster.settings import read_settings
from muster.simulator.device_authority import device_authority
from muster.simulator.keys.published import published_keys
from muster.simulator.web_view import Credentials
from muster.storage import identities, push_certificates

PUBLIC_URL = "https://muster.example"
TOPIC = "com.apple.mgmt.External.00000000-0000-4000-8000-000000000000"
PUSH_CERTIFICATE_LIFETIME = timedelta(days=365)
"""As Apple issues them."""
BEAT = timedelta(minutes=15)
"""How often the server says that it lives; seldom enough that a year of it costs seconds."""
REVIEW_GRAIN = Policy().review_grain
ADMINISTRATOR = Actor(ActorKind.ADMINISTRATOR, "administrator")

_SECOND_KEY, _FIRST_KEY, _PUSH_KEY = published_keys()[-3:]
DEVICE_KEYS = published_keys()[:-3]
"""Which devices share out among themselves."""


class UnknownWorker(Exception):
    """The server has no worker of that name."""


class LaboratoryServer:
    """One node over SQLite in *directory*, which may hold the data of a former run.

    *settings* are Muster's, beside those that a laboratory needs; *control* is by what it judges. It trusts the
    authority of simulated devices.
    """

    def __init__(
        self,
        directory: Path,
        wire: Wire,
        sender: SimulatedPushSender,
        *,
        now: Callable[[], datetime],
        rng: Random,
        settings: Mapping[str, object] | None = None,
        control: ControlPolicy | None = None,
        review_grain: timedelta = REVIEW_GRAIN,
        beat: timedelta = BEAT,
    ) -> None:
        self._wire = wire
        self._sender = sender
        self.clock_error = timedelta(0)
        self._true_now = now
        self._dead_workers: dict[str, asyncio.Event] = {}
        flags = {"data_dir": directory, "public_url": PUBLIC_URL, "organization": "Laboratory", "node": "laboratory"}
        flags |= {"self_test_minutes": 60}
        unasked = {"inventory_hours": 0}  # stories count what is sent; those about inventory say otherwise
        self._settings = read_settings(flags | unasked | dict(settings or {}), {})
        server_keys = itertools.cycle((_FIRST_KEY, _SECOND_KEY))  # a rotated authority has another one
        self._surroundings = Surroundings(
            disk=lambda _directory: None,  # of the machine that plays, which is none of the fleet's business
            now=self._now,
            random_bytes=rng.randbytes,
            new_rsa_key=lambda bits: next(server_keys),  # noqa: ARG005 - there is one size
            poll=None,
            beat=beat,
            public_test=self._meet,
            durable=False,
            device_roots=(device_authority().root_der,),
            policy=lambda policy: replace(
                policy, accepts_published_keys=True, control=control or policy.control, review_grain=review_grain
            ),
        )
        self._service: Service | None = None
        self._copies = itertools.count(1)
        self.tls_fingerprint = bytes(32)
        """Of the certificate that devices and the server itself meet at its public address; to be changed."""

    def _now(self) -> datetime:
        return self._true_now() + self.clock_error

    @property
    def service(self) -> Service:
        """The node that runs now."""
        assert self._service is not None, "the server is down"
        return self._service

    async def _meet(self) -> PublicFace:
        fingerprint = b"!" * 32 if self._wire.faults.is_untrusted else self.tls_fingerprint
        return PublicFace(fingerprint=fingerprint, clock_error=self.clock_error)

    @property
    def is_running(self) -> bool:
        """Whether devices and administrators reach it."""
        return self._service is not None

    async def start(self) -> None:
        """Open the data and serve."""
        assert self._service is None, "the server runs already"
        self._service = open_service(self._settings, self._surroundings, push_sender=self._sender)
        for name in self._dead_workers:
            self._hold(name)
        await self._service.start()
        self._wire.plug_in(self._service.application)

    async def stop(self) -> None:
        """Finish what is in hand and go down, as on SIGTERM. A server that is down already stays so."""
        await self._wire.unplug()
        if self._service is not None:
            service, self._service = self._service, None
            for released in self._dead_workers.values():
                released.set()  # who ends a process waits for nobody who hangs in it
            await service.stop()

    async def turn_clock(self, error: timedelta) -> None:
        """Set the server's clock *error* ahead of the true time, or behind it."""
        self.clock_error = error
        if self._service is not None:
            self._service.wake()

    def kill_worker(self, name: str) -> None:
        """Have the worker called *name* hang in its next step, through every restart. Raises UnknownWorker."""
        if self._service is not None and name not in {loop.name for loop in self._service.loops}:
            raise UnknownWorker(name)
        self._dead_workers[name] = asyncio.Event()
        if self._service is not None:
            self._hold(name)

    def revive_worker(self, name: str) -> None:
        """Let it go on."""
        released = self._dead_workers.pop(name, None)
        if released is not None:
            released.set()
        if self._service is not None:
            self._service.wake()

    def _hold(self, name: str) -> None:
        released = self._dead_workers[name] = asyncio.Event()
        (loop,) = [loop for loop in self.service.loops if loop.name == name]
        step = loop.step

        async def hang_first() -> datetime | None:
            await released.wait()
            if self._service is None:
                return None  # it is on its way down
            loop.step = step
            return await step()

        loop.step = hang_first

    async def back_up(self) -> Path:
        """Copy the database as it is now, the server going down for a moment; returns the copy."""
        await self.stop()
        copy = self.copy_database()
        await self.start()
        return copy

    def copy_database(self) -> Path:
        """Copy the database of a server that is down; returns the copy."""
        assert self._service is None, "the server runs"
        database = self._settings.database_path
        copy = database.with_name(f"backup-{next(self._copies)}.db")
        shutil.copyfile(database, copy)
        return copy

    async def restore(self, backup: Path) -> None:
        """Put *backup* in place of the database, as an operator does, and start on it. The journal stays."""
        await self.stop()
        self.put_back(backup)
        await self.start()

    def put_back(self, backup: Path) -> None:
        """Put *backup* in place of the database of a server that is down."""
        assert self._service is None, "the server runs"
        shutil.copyfile(backup, self._settings.database_path)

    async def rotate_authority(self) -> None:
        """Make a new authority, which issues from now on."""
        await self.service.runner.write(rotate_authorities, ["Laboratory"], ADMINISTRATOR)
        self.service.wake()

    @property
    def authority_der(self) -> bytes:
        """The certificate of the authority that issues identities now."""
        return self.service.runner.read_now(identities.all_authorities)[0].certificate_der

    async def upload_push_certificate(
        self, lifetime: timedelta = PUSH_CERTIFICATE_LIFETIME, *, topic: str = TOPIC
    ) -> None:
        """Give the server a push certificate for *topic*, good for *lifetime*: its first one, a renewed one, or one by
        which all who enroll from now on are pushed."""
        certificate = make_push_certificate(topic, _PUSH_KEY, now=self._now(), lifetime=lifetime, serial_number=1)
        meant = frozenset({Deliberately.ALLOW_OLDER})  # a story may renew it for a shorter time than it had
        if topic != TOPIC:
            meant |= {Deliberately.REPLACE_TOPIC}
        upload = UploadedPushCertificate(pem_from_der([certificate]), private_key_pem(_PUSH_KEY), meant)
        outcome = (await self.service.runner.write(upload_push_certificates, [upload], ADMINISTRATOR))[0]
        assert isinstance(outcome, AcceptedPushCertificate), outcome

    @property
    def push_certificate_fingerprint(self) -> bytes:
        """The SHA-256 of the push certificate that is in use for TOPIC."""
        current = self.service.runner.read_now(push_certificates.current_certificates)
        (fingerprint,) = [stored.fingerprint for stored in current if stored.topic == TOPIC]
        return fingerprint

    async def make_link(self, uses: int, lifetime: timedelta = timedelta(days=7)) -> str:
        """Make an enrollment link good for *uses* devices; returns its URL."""
        made = await self.open_way(LinkOrder(uses, lifetime))
        return f"{PUBLIC_URL}/enroll/{made.token}"

    async def open_way(self, order: LinkOrder) -> NewLink:
        """Make a link of any kind, which is not refused."""
        made = (await self.service.runner.write(create_links, [order], ADMINISTRATOR))[0]
        assert isinstance(made, NewLink), made
        return made

    async def add_person(self, who: Credentials) -> None:
        """Let *who* sign in to enroll."""
        order = UserOrder(who.user_name, who.password)
        added = (await self.service.runner.write(add_enrollment_users, [order], ADMINISTRATOR))[0]
        assert isinstance(added, EnrollmentUser), added

    async def set_policy(self, name: str, text: str) -> None:
        """Set a policy as `muster policy set` does."""
        outcome = (await self.service.runner.write(set_policies, [PolicyOrder(name, text)], ADMINISTRATOR))[0]
        assert isinstance(outcome, PolicySet), outcome

    async def send_command(
        self,
        channel_ids: Sequence[ChannelId],
        request_type: str,
        keys: Mapping[str, PlistValue] | None = None,
        *,
        priority: int = 0,
    ) -> QueuedCommand:
        """Queue one command on *channel_ids*, each of which is enrolled, and have them pushed."""
        order = CommandOrder(tuple(channel_ids), CommandRequest(request_type, dict(keys or {})), priority)
        outcome = (await self.service.runner.write(queue_commands, [order], ADMINISTRATOR))[0]
        assert isinstance(outcome, QueuedCommand), outcome
        assert not outcome.refused, outcome.refused
        return outcome
