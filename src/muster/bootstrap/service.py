"""One node put together: the application and the workers over one engine."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from starlette.applications import Starlette
from starlette.routing import Mount

from muster.bootstrap.authorities import NOTICE_WITHIN, AuthorityBook
from muster.bootstrap.data_directory import Surroundings, bring_schema_up, initialise, open_engine, read_key_ring
from muster.bootstrap.journaling import JOURNAL, open_journal
from muster.bootstrap.profiles import enrollment_terms, profile_signer
from muster.bootstrap.replaying import catch_up, retention_step
from muster.bootstrap.runner import EngineRunner, make_context
from muster.bootstrap.ways_in import device_roots, make_ways_in
from muster.crypto.sealing import KeyRing
from muster.edges.apns.provider import ApnsProvider
from muster.edges.console.app import make_console
from muster.edges.device.application import AsgiApplication, DeviceApplication
from muster.edges.device.bearers import BearerWatch
from muster.edges.device.http import BodyReader
from muster.edges.device.messages import MessageDoor
from muster.edges.device.presented import MessagePolicy
from muster.edges.device.refusals import RefusalRecorder
from muster.edges.device.scep import ScepDoor
from muster.edges.directory.password_file import PasswordFile
from muster.edges.health.readiness import Check
from muster.edges.health.routes import make_health
from muster.edges.workers.answers import AnswerWorker
from muster.edges.workers.deferred import DeferredWorker
from muster.edges.workers.loop import Loop, Step
from muster.edges.workers.push_certificates import PushCertificateWatch
from muster.edges.workers.pushes import PushWorker
from muster.edges.workers.resurrections import Resurrections, Sought
from muster.edges.workers.reviews import ReviewWorker
from muster.edges.workers.sends import SendWorker
from muster.operations.ensure_partitions import ensure_partitions
from muster.operations.first_start import Address, Foundation, announce_address, lay_foundation
from muster.operations.forget_inventory_changes import forget_inventory_changes
from muster.operations.forget_pushes import forget_pushes
from muster.operations.limit_disruption import forget_disruptions
from muster.operations.ports import JournalWriter, PushSender
from muster.operations.views.readiness import check_clock, check_journal, check_key_ring, check_schema
from muster.protocol.identifiers import DeviceId
from muster.protocol.profile_signature import ProfileSigner
from muster.settings import Settings
from muster.storage import migrate
from muster.storage.engine import Engine, Work
from muster.storage.journal_index import JournalIndex

PARTITION_INTERVAL = timedelta(hours=12)


@dataclass(slots=True)
class Service:
    """One running node: its application and workers over one engine."""

    settings: Settings
    surroundings: Surroundings
    engine: Engine
    foundation: Foundation
    authorities: AuthorityBook
    application: DeviceApplication
    loops: tuple[Loop, ...]
    runner: EngineRunner
    _stop_pushing: Callable[[], Awaitable[None]]
    _close: Callable[[], None]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Start the workers."""
        self._tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in self.loops]

    async def stop(self) -> None:
        """Finish what was taken in, end the workers after their step, and close everything."""
        try:
            await self.application.drain()
        finally:
            for loop in self.loops:
                loop.stop()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                await self._stop_pushing()
            finally:
                self.close()

    def close(self) -> None:
        """Close everything, nothing having been started."""
        self._close()

    def wake(self) -> None:
        """Have every worker look at once, as after something that was written past its runners."""
        for loop in self.loops:
            loop.wake()


def open_service(
    settings: Settings, surroundings: Surroundings | None = None, *, push_sender: PushSender | None = None
) -> Service:
    """Open the database and put a node together; nothing runs before `Service.start`.

    Raises SettingsError, Unavailable, SchemaOutdated or WrongKeyRing, each with what to do.
    """
    around = surroundings or Surroundings()
    if settings.database is None and not settings.database_path.exists():
        initialise(settings, around)
    ring = read_key_ring(settings.key_ring_path)
    engine = open_engine(settings, durable=around.durable)
    try:
        if settings.database is None and migrate.pending(engine):
            engine.close()
            bring_schema_up(settings, around)
            engine = open_engine(settings, durable=around.durable)
        migrate.check_schema(engine)
        return _compose(settings, around, ring, engine, push_sender)
    except BaseException:
        engine.close()
        raise


def _compose(
    settings: Settings, around: Surroundings, ring: KeyRing, engine: Engine, push_sender: PushSender | None
) -> Service:
    executors = _Executors.for_engine(engine)
    context = make_context(settings, around, ring)
    workers: dict[Work, Loop] = {}

    def notice(due: Mapping[Work, datetime]) -> None:
        for work, at in due.items():
            workers[work].expect(at)

    journal = open_journal(settings, around, ring, executors.journal)
    connects = EngineRunner(engine, executors.connects, context, notice, journal)
    runner = EngineRunner(engine, executors.operations, context, notice, journal)
    views = _ViewRunner(runner, EngineRunner(engine, executors.views, context))
    foundation = runner.write_now(lay_foundation, [settings.organization])[0]
    if catch_up(runner, settings.data_dir / JOURNAL, ring).rebuilt:
        foundation = runner.write_now(lay_foundation, [settings.organization])[0]  # an authority may be among it
    runner.write_now(announce_address, [Address(settings.effective_public_url, settings.check_in_url)])
    sender = push_sender or _apns_provider(settings, around)
    signer = profile_signer(settings, foundation)
    book = AuthorityBook(views, foundation.authorities)
    pusher = PushWorker(runner, sender, lambda: workers[Work.PUSH].wake())  # noqa: PLW0108 - the loop is made of it
    steps: dict[Work, Step] = {
        Work.PUSH: pusher.step,
        Work.REVIEW: ReviewWorker(runner, signer.sign, around.new_rsa_key).step,
        Work.DEFERRED: DeferredWorker(runner).step,
        Work.ANSWERS: AnswerWorker(runner).step,
        Work.SENDS: SendWorker(runner).step,
    }
    workers.update({work: Loop(work.value, step, now=around.now, poll=around.poll) for work, step in steps.items()})

    index = JournalIndex(settings.data_dir / JOURNAL, ring)
    resurrections = Resurrections(runner, index.find, lambda at: resurrecting.expect(at))  # noqa: PLW0108 - the loop is made of it
    resurrecting = Loop("resurrections", resurrections.step, now=around.now, poll=None)

    async def stop_pushing() -> None:
        try:
            await pusher.drain()
        finally:
            await sender.close()

    def close() -> None:
        journal.close()
        executors.shut_down()
        engine.close()

    return Service(
        settings=settings,
        surroundings=around,
        engine=engine,
        foundation=foundation,
        application=_device_application(
            settings,
            around,
            book,
            signer,
            connects=connects,
            runner=runner,
            views=views,
            journal=journal.write,
            seek=lambda device_id, identity: resurrections.seek(Sought(device_id, identity)),
            others=_administration(settings, ring, views),
        ),
        authorities=book,
        loops=(
            *workers.values(),
            resurrecting,
            Loop("partitions", _partition_step(runner), now=around.now, poll=None),
            Loop("journal", retention_step(runner, settings), now=around.now, poll=None),
            Loop("push-certificates", PushCertificateWatch(runner).step, now=around.now, poll=None),
            Loop("authorities", book.step, now=around.now, poll=None if around.poll is None else NOTICE_WITHIN),
        ),
        runner=runner,
        _stop_pushing=stop_pushing,
        _close=close,
    )


@dataclass(frozen=True, slots=True)
class _Executors:
    """The threads of a node. Connects have one of their own, unless the engine has a single writer anyway."""

    connects: ThreadPoolExecutor
    operations: ThreadPoolExecutor
    views: ThreadPoolExecutor
    journal: ThreadPoolExecutor

    @classmethod
    def for_engine(cls, engine: Engine) -> "_Executors":
        connects = ThreadPoolExecutor(1, "connects")
        operations = connects if engine.writers == 1 else ThreadPoolExecutor(3, "operations")
        return cls(connects, operations, ThreadPoolExecutor(2, "views"), ThreadPoolExecutor(1, "journal"))

    def shut_down(self) -> None:
        for one in {self.connects, self.operations, self.views, self.journal}:
            one.shutdown(wait=True)


def _apns_provider(settings: Settings, around: Surroundings) -> PushSender:
    return ApnsProvider(
        settings.apns_host,
        settings.apns_port,
        rng=random.Random(int.from_bytes(around.random_bytes(8), "big")),  # noqa: S311 - jitter, no secret
        ca_pem=None if settings.apns_ca is None else settings.apns_ca.read_bytes(),
        proxy=settings.apns_proxy,
    )


def _device_application(
    settings: Settings,
    around: Surroundings,
    book: AuthorityBook,
    signer: ProfileSigner,
    *,
    connects: EngineRunner,
    runner: EngineRunner,
    views: "_ViewRunner",
    journal: JournalWriter,
    seek: Callable[[DeviceId, bytes], bool],
    others: AsgiApplication,
) -> DeviceApplication:
    recorder = RefusalRecorder(runner)
    bodies = BodyReader()
    terms = enrollment_terms(settings)
    header = settings.client_certificate_header.lower().encode()

    @lru_cache(maxsize=1)  # every request asks for it, and authorities hardly ever change
    def policy_of(authorities_der: tuple[bytes, ...]) -> MessagePolicy:
        return MessagePolicy(settings.accept_legacy_algorithms, authorities_der, header)

    def policy() -> MessagePolicy:
        return policy_of(book.certificates_der())

    return DeviceApplication(
        messages=MessageDoor(
            connects=connects,
            checkins=runner,
            lookups=views,
            journal=journal,
            recorder=recorder,
            policy=policy,
            bodies=bodies,
            bearers=BearerWatch(views),
            directory=PasswordFile(settings.directory_path, settings.directory_realm),
            seek=seek,
        ),
        scep=ScepDoor(
            runner=runner,
            authorities=book.all,
            look_again=book.look_again,
            organization=settings.organization,
            policy=policy,
            recorder=recorder,
            bodies=bodies,
            random_bytes=around.random_bytes,
        ),
        ways_in=make_ways_in(
            runner=views,
            terms=terms,
            signer=signer,
            roots=device_roots(settings, around),
            policy=policy,
            new_rsa_key=around.new_rsa_key,
            recorder=recorder,
            bodies=bodies,
        ),
        recorder=recorder,
        others=others,
    )


def _administration(settings: Settings, ring: KeyRing, views: "_ViewRunner") -> Starlette:
    """What isn't for devices: health and metrics, and the console at every other address."""
    checks: dict[str, Check] = {
        "schema": lambda tx: check_schema(tx, migrate.head()),
        "key_ring": lambda tx: check_key_ring(tx, ring),
        "journal": check_journal,
        "clock": lambda tx: check_clock(tx, views.now()),
    }
    console = make_console(
        views,
        secure_cookies=settings.effective_public_url.startswith("https://"),
        public_url=settings.effective_public_url,
        policy=settings.policy(),
    )
    return Starlette(routes=[*make_health(views, checks), Mount("/", app=console)])


class _ViewRunner:
    """Writes with one runner and reads with another, so that a long page keeps no device waiting."""

    def __init__(self, writing: EngineRunner, reading: EngineRunner) -> None:
        self.write = writing.write
        self.read = reading.read
        self.now = reading.now


def _partition_step(runner: EngineRunner) -> Callable[[], Awaitable[datetime | None]]:
    async def step() -> datetime | None:
        await runner.write(ensure_partitions, [None])
        for forget in (forget_pushes, forget_inventory_changes, forget_disruptions):
            while (await runner.write(forget, [None]))[0]:
                pass  # a part in each transaction, so that nobody waits for all of it
        return runner.now() + PARTITION_INTERVAL

    return step
