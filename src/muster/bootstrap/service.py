"""One node put together: the application and the workers over one engine."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from muster.bootstrap.administration import make_administration
from muster.bootstrap.authorities import AuthorityBook
from muster.bootstrap.background import Due, Parts, Senders, make_background
from muster.bootstrap.data_directory import Surroundings, bring_schema_up, initialise, open_engine, read_key_ring
from muster.bootstrap.device_doors import Behind, make_device_application
from muster.bootstrap.journaling import JOURNAL, open_journal
from muster.bootstrap.profiles import profile_signer
from muster.bootstrap.replaying import catch_up
from muster.bootstrap.runner import EngineRunner, make_context
from muster.bootstrap.runners import Executors, Runners
from muster.crypto.sealing import KeyRing
from muster.edges.apns.provider import ApnsProvider
from muster.edges.device.application import DeviceApplication
from muster.edges.device.relay import MessageRelay
from muster.edges.device.tally import Tally
from muster.edges.webhooks.sender import HttpEventSender, receivers_tls
from muster.edges.workers.loop import Loop
from muster.edges.workers.own_side import OwnSideWatch
from muster.operations.first_start import Address, Foundation, announce_address, lay_foundation
from muster.operations.ports import EventSender, PushSender
from muster.settings import Settings
from muster.storage import migrate
from muster.storage.engine import Engine
from muster.storage.outbox import wants_messages


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
    _watch: OwnSideWatch
    _stop_working: Callable[[], Awaitable[None]]
    _close: Callable[[], None]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Say that this node lives, so that a downtime is known before anybody is judged, and start the workers."""
        await self._watch.begin()
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
                await self._stop_working()
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
    settings: Settings,
    surroundings: Surroundings | None = None,
    *,
    push_sender: PushSender | None = None,
    event_sender: EventSender | None = None,
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
        senders = Senders(push_sender or _apns_provider(settings, around), event_sender or _event_sender(settings))
        return _compose(settings, around, ring, engine, senders)
    except BaseException:
        engine.close()
        raise


def _compose(settings: Settings, around: Surroundings, ring: KeyRing, engine: Engine, senders: Senders) -> Service:
    executors = Executors.for_engine(engine)
    journal = open_journal(settings, around, ring, executors.journal)
    due = Due()
    runners = Runners.over(engine, executors, make_context(settings, around, ring), due.notice, journal)
    foundation = _lay_foundation(settings, runners.operations, ring)
    parts = Parts(
        runners,
        due,
        senders,
        profile_signer(settings, foundation),
        AuthorityBook(runners.views, foundation.authorities),
        MessageRelay(runners.views, is_wanted=runners.operations.read_now(wants_messages)),
        Tally(around.now),
    )
    background = make_background(settings, around, ring, parts)
    behind = Behind(
        runners,
        parts.authorities,
        parts.signer,
        journal.write,
        background.resurrections,
        parts.relay,
        parts.tally,
        others=make_administration(settings, around, ring, runners.views),
    )

    def close() -> None:
        journal.close()
        executors.shut_down()
        engine.close()

    return Service(
        settings=settings,
        surroundings=around,
        engine=engine,
        foundation=foundation,
        application=make_device_application(settings, around, behind),
        authorities=parts.authorities,
        loops=background.loops,
        runner=runners.operations,
        _watch=background.watch,
        _stop_working=background.stop,
        _close=close,
    )


def _lay_foundation(settings: Settings, runner: EngineRunner, ring: KeyRing) -> Foundation:
    """Have what every node needs, with what only the journal knows yet; and announce this node's address."""
    foundation = runner.write_now(lay_foundation, [settings.organization])[0]
    if catch_up(runner, settings.data_dir / JOURNAL, ring).rebuilt:
        foundation = runner.write_now(lay_foundation, [settings.organization])[0]  # an authority may be among it
    runner.write_now(announce_address, [Address(settings.effective_public_url, settings.check_in_url)])
    return foundation


def _apns_provider(settings: Settings, around: Surroundings) -> PushSender:
    return ApnsProvider(
        settings.apns_host,
        settings.apns_port,
        rng=random.Random(int.from_bytes(around.random_bytes(8), "big")),  # noqa: S311 - jitter, no secret
        ca_pem=None if settings.apns_ca is None else settings.apns_ca.read_bytes(),
        proxy=settings.apns_proxy,
    )


def _event_sender(settings: Settings) -> EventSender:
    return HttpEventSender(receivers_tls(None if settings.webhook_ca is None else settings.webhook_ca.read_bytes()))
