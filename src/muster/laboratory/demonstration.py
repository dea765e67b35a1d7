"""A demonstration: the real server, a simulated push service and simulated devices, over real sockets on this machine.

Nothing is asked of the environment and nothing leaves this machine. The real push service is never spoken to.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from time import monotonic

from muster.bootstrap.data_directory import Surroundings, utc_now
from muster.bootstrap.logs import set_up_logs
from muster.bootstrap.service import Service, open_service
from muster.bootstrap.serving import listen
from muster.domain.access import SERVER, Actor, ActorKind, LinkKind
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal
from muster.domain.push_certificates import Deliberately
from muster.laboratory.administrator import Addressee, ask_now_and_then, search
from muster.laboratory.cast import Story, Way
from muster.laboratory.demo_directory import MARK
from muster.laboratory.former_life import FormerLife, live_through
from muster.laboratory.local_server import serving
from muster.laboratory.scenario.reading import read_scenario
from muster.laboratory.scenario.shipped import scenario_file
from muster.laboratory.server import TOPIC
from muster.laboratory.simulated_fleet import HABITS, Doors, Member, SimulatedFleet
from muster.laboratory.simulated_push import SimulatedPush, simulated_push
from muster.operations.enrollment_links import LinkOrder, NewLink, create_links
from muster.operations.sign_in import create_sign_in_links
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.operations.views.answers import AnswerCounts, LatestAnswer, count_answers, latest_answers
from muster.operations.views.device_lists import PAGE_LIMIT, DeviceOrder, DeviceQuery, DeviceRow, list_devices
from muster.protocol.identifiers import ChannelId
from muster.settings import Settings, read_settings
from muster.simulator.device_authority import device_authority
from muster.storage.engine import Transaction

PAST = "demonstration"
"""The scenario that a demonstration begins with."""
ORGANIZATION = "Muster demonstration"
ADMINISTRATOR = Actor(ActorKind.ADMINISTRATOR, "simulated administrator")
LINK_LIFETIME = timedelta(days=1)
BACKLOG_LIMIT = 4
"""Commands that wait on a channel before the administrator leaves it alone."""
HAPPENINGS_KEPT = 50
MISSED_AFTER = (8.0, 14.0)
"""Seconds until somebody notices that a device is gone."""
SURROUNDINGS = Surroundings(
    device_roots=(device_authority().root_der,),
    policy=lambda policy: replace(policy, accepts_published_keys=True),
)
"""Everything is real but who vouches for the devices, and that those with a former life have keys everybody knows."""


class AddressUnavailable(Exception):
    """The server can't listen where it should; the message says why."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something worth telling: a sentence, and when."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One device as the server knows it. *latest* is absent before its first answer."""

    device: DeviceRow
    latest: LatestAnswer | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened so far. *first_enrolled_after* counts from the server's start; absent before.

    *former*: how many devices have a past here, beside *devices*, which enroll now.
    """

    elapsed: timedelta
    first_enrolled_after: timedelta | None
    devices: int
    former: int
    enrolled: int
    requests: int
    pushes: int
    answers: AnswerCounts


class Demonstration:
    """A demonstration that runs: `server_url` and `sign_in_url` lead to it, `log_path` and `data_dir` are its files.

    *tell* is told of every happening; the latest are kept in `happenings`. `runner` reads and acts on the server.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        push: SimulatedPush,
        *,
        devices: int,
        started: float,
        sign_in_url: str,
        tell: Callable[[Happening], None],
        former: FormerLife | None,
    ) -> None:
        self.server_url = settings.effective_public_url
        self.sign_in_url = sign_in_url
        self.data_dir = settings.data_dir
        self.happenings: deque[Happening] = deque(maxlen=HAPPENINGS_KEPT)
        self.runner = service.runner
        self._push = push
        self._former = former
        self._rng = Random()  # noqa: S311 - plays, keeps no secret
        self._tell_caller = tell
        self._started = started
        self._began_at = utc_now()
        self._first_enrolled_after: timedelta | None = None
        self.fleet = SimulatedFleet(devices, push_service=push.apns, clock=utc_now, rng=self._rng, tell=self._tell)

    async def play(self) -> None:
        """Enroll the devices and let them and the administrator live, until cancelled."""
        doors = Doors(
            link_url=f"{self.server_url}/enroll/{await self._open_way(LinkKind.PROFILE)}",
            setup_url=f"{self.server_url}/ade/{await self._open_way(LinkKind.ADE)}",
        )
        async with asyncio.TaskGroup() as players:
            players.create_task(self.fleet.live(doors, self._on_enrolled))
            players.create_task(self._search())
            if self._former is not None:
                players.create_task(self._former.go_on(self.server_url, clock=utc_now, habits=HABITS))
            players.create_task(
                ask_now_and_then(self.runner, ADMINISTRATOR, self._addressees, rng=self._rng, tell=self._tell)
            )

    def close(self) -> None:
        """Close the devices' connections; waits for requests under way."""
        self.fleet.close()
        if self._former is not None:
            self._former.close()

    async def _search(self) -> None:
        """Look for the devices that are missed, once each has enrolled."""
        missed = [member for member in self.fleet.members if member.part.story is Story.IS_LOST]
        while missed:
            await asyncio.sleep(self._rng.uniform(*MISSED_AFTER))
            for member in [member for member in missed if member.enrolled]:
                missed.remove(member)
                channel_id = ChannelId(member.part.facts.udid)
                await search(self.runner, ADMINISTRATOR, channel_id, name=member.name, tell=self._tell)

    async def _open_way(self, kind: LinkKind) -> str:
        order = LinkOrder(None, LINK_LIFETIME, note=f"The demonstration's devices ({kind.value})", kind=kind)
        made = (await self.runner.write(create_links, [order], ADMINISTRATOR))[0]
        assert isinstance(made, NewLink), made
        return made.token

    async def look(self) -> list[Seen]:
        """Return this demonstration's devices as the server knows them now, in the order of the cast."""
        rows, answers = await self.runner.read(self._read)
        return [Seen(rows[device_id], answers.get(device_id)) for device_id in self._device_ids() if device_id in rows]

    async def figures(self) -> Figures:
        """Count what happened so far."""
        return Figures(
            elapsed=timedelta(seconds=monotonic() - self._started),
            first_enrolled_after=self._first_enrolled_after,
            devices=len(self.fleet.members),
            former=0 if self._former is None else self._former.devices,
            enrolled=self.fleet.enrolled,
            requests=self.fleet.requests + (0 if self._former is None else self._former.requests),
            pushes=self._push.apns.received.total(),
            answers=await self.runner.read(lambda tx: count_answers(tx, self._began_at)),
        )

    def _on_enrolled(self, member: Member) -> None:
        if self._first_enrolled_after is None:
            self._first_enrolled_after = timedelta(seconds=monotonic() - self._started)
        facts = member.part.facts
        how = ", while it is set up" if member.part.way is Way.SETUP_ASSISTANT else ""
        self._tell(f"{member.name} enrolled, with version {facts.os_version}{how}")

    def _tell(self, text: str) -> None:
        happening = Happening(utc_now(), text)
        self.happenings.append(happening)
        self._tell_caller(happening)

    def _device_ids(self) -> list[ChannelId]:
        return [ChannelId(member.part.facts.udid) for member in self.fleet.members]

    def _read(self, tx: Transaction) -> tuple[dict[ChannelId, DeviceRow], dict[ChannelId, LatestAnswer]]:
        wanted = set(self._device_ids())
        rows: dict[ChannelId, DeviceRow] = {}
        after: ChannelId | None = None
        while True:
            page = list_devices(tx, DeviceQuery(after=after, limit=PAGE_LIMIT, order=DeviceOrder.RECENT))
            rows |= {row.id: row for row in page.rows if row.id in wanted}
            after = page.next_after
            if after is None or len(rows) == len(wanted):
                return rows, latest_answers(tx, tuple(rows))

    async def _addressees(self) -> Sequence[Addressee]:
        """Find whom the administrator asks: who is enrolled and has not too much waiting."""
        waiting = {
            seen.device.id: seen.device.commands_waiting
            for seen in await self.look()
            if seen.device.state == EnrollmentState.ENROLLED.value
        }
        return [
            Addressee(line.channel.id, member.part.facts.platform, is_user=line.user is not None)
            for member in self.fleet.members
            if member.device.enrollment is not None
            and waiting.get(ChannelId(member.part.facts.udid), BACKLOG_LIMIT) < BACKLOG_LIMIT
            for line in member.device.enrollment.lines
        ]


@asynccontextmanager
async def demonstration(
    data_dir: Path,
    *,
    devices: int,
    listen_on: str,
    administrator: str,
    tell: Callable[[Happening], None],
    former: FormerLife | None = None,
) -> AsyncIterator[Demonstration]:
    """Start everything in *data_dir*, which must exist, and take it down at the end of the context.

    *listen_on* is HOST:PORT, port 0 being any free one; *administrator* is whom the sign-in link lets in. The devices
    do nothing before `Demonstration.play`. *former* is what `live_before` made; absent: the data has no past. Raises
    SettingsError, AddressUnavailable, Unavailable, SchemaOutdated, WrongKeyRing.
    """
    async with AsyncExitStack() as stack:
        rng, apns = Random(), None if former is None else former.apns  # noqa: S311 - plays, keeps no secret
        push = await stack.enter_async_context(simulated_push(TOPIC, rng=rng, now=utc_now, apns=apns))
        settings = _settings(data_dir, listen_on, push)
        bound = stack.enter_context(_listen(settings))
        settings = _with_port(settings, bound)
        stack.enter_context(_logging(settings))
        started = monotonic()
        service = await asyncio.to_thread(open_service, settings, SURROUNDINGS)
        await stack.enter_async_context(serving(service, settings, bound))
        await _upload(service, push)
        link = (await service.runner.write(create_sign_in_links, [administrator], SERVER))[0]
        shown = Demonstration(
            service,
            settings,
            push,
            devices=devices,
            started=started,
            sign_in_url=f"{settings.effective_public_url}/sign-in/{link.token}",
            tell=tell,
            former=former,
        )
        stack.push_async_callback(asyncio.to_thread, shown.close)
        yield shown


def live_before(
    data_dir: Path, is_wanted: Callable[[], bool], on_week: Callable[[int], None] = lambda _number: None
) -> FormerLife | None:
    """Give the data a past that ends now, before the demonstration; None: it has one already.

    It takes seconds, is told of and raises as `former_life.live_through` says.
    """
    if any(file.name != MARK for file in data_dir.iterdir()):
        return None
    scenario = read_scenario(scenario_file(PAST))
    return live_through(data_dir, scenario, until=utc_now(), is_wanted=is_wanted, on_week=on_week)


def log_path(data_dir: Path) -> Path:
    """Return where the server's log is."""
    return data_dir / "muster.log"


def _settings(data_dir: Path, listen_on: str, push: SimulatedPush) -> Settings:
    authority = data_dir / "simulated-push.pem"
    authority.write_bytes(push.authority_pem)
    return read_settings(
        {
            "data_dir": data_dir,
            "listen": listen_on,
            "organization": ORGANIZATION,
            "apns_host": push.host,
            "apns_port": push.port,
            "apns_ca": authority,
        },
        environment={},  # a real server's database may be named there
    )


def _listen(settings: Settings) -> socket.socket:
    try:
        return listen(settings)
    except OSError as error:
        raise AddressUnavailable(f"can't listen on {settings.listen}: {error.strerror or error}") from error


def _with_port(settings: Settings, bound: socket.socket) -> Settings:
    """Fill in the port that the system chose, and an address that a browser can open where all are listened on."""
    host, port = settings.listen_host, bound.getsockname()[1]
    written = f"[{host}]" if ":" in host else host
    changes: dict[str, str] = {"listen": f"{written}:{port}"}
    if settings.public_url is None and host in ("0.0.0.0", "::"):  # noqa: S104 - asked about, not bound
        changes["public_url"] = f"http://{'127.0.0.1' if host == '0.0.0.0' else '[::1]'}:{port}"  # noqa: S104
    return settings.model_copy(update=changes)


@contextmanager
def _logging(settings: Settings) -> Iterator[None]:
    """Send this process's log into a file, and stop that before the file is gone."""
    with log_path(settings.data_dir).open("a") as file:
        set_up_logs(settings, file)
        try:
            yield
        finally:
            logging.getLogger().handlers = [logging.NullHandler()]


async def _upload(service: Service, push: SimulatedPush) -> None:
    upload = UploadedPushCertificate(
        push.push_certificate_pem, push.push_key_pem, frozenset({Deliberately.ALLOW_OLDER})
    )
    outcome = (await service.runner.write(upload_push_certificates, [upload], ADMINISTRATOR))[0]
    if isinstance(outcome, Refusal):
        raise RuntimeError(outcome.message)
