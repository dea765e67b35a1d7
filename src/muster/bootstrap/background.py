"""What a node does by itself: its loops, put together over its runners."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from muster.bootstrap.authorities import NOTICE_WITHIN, AuthorityBook
from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.journaling import JOURNAL
from muster.bootstrap.replaying import retention_step
from muster.bootstrap.runners import Runners
from muster.crypto.sealing import KeyRing
from muster.edges.device.relay import NOTICE_WITHIN as RELAY_WITHIN
from muster.edges.device.relay import MessageRelay
from muster.edges.device.tally import Tally
from muster.edges.self_test.public_address import look_at
from muster.edges.workers.answers import AnswerWorker
from muster.edges.workers.deferred import DeferredWorker
from muster.edges.workers.deliveries import DeliveryWorker
from muster.edges.workers.fleet_days import FleetDayWorker
from muster.edges.workers.loop import Loop, Step
from muster.edges.workers.own_side import OwnSideWatch
from muster.edges.workers.push_certificates import PushCertificateWatch
from muster.edges.workers.pushes import PushWorker
from muster.edges.workers.resurrections import Resurrections
from muster.edges.workers.reviews import ReviewWorker
from muster.edges.workers.self_tests import SelfTestWorker
from muster.edges.workers.sends import SendWorker
from muster.operations.answer_once import forget_answers
from muster.operations.compact_evidence import FROM_THE_START, compact_evidence
from muster.operations.deliver_events import forget_deliveries
from muster.operations.ensure_partitions import ensure_partitions
from muster.operations.forget_inventory_changes import forget_inventory_changes
from muster.operations.forget_pushes import forget_pushes
from muster.operations.limit_disruption import forget_disruptions
from muster.operations.manage_webhooks import MAXIMUM_WAITING_MESSAGES, disable_overfull_webhooks
from muster.operations.ports import EventSender, PushSender, Runner
from muster.operations.serve_signals import MAXIMUM_WAITING, disable_overfull_streams
from muster.operations.watch_ourselves import forget_own_side
from muster.protocol.profile_signature import ProfileSigner
from muster.settings import Settings
from muster.storage.engine import Work
from muster.storage.journal_index import JournalIndex

PARTITION_INTERVAL = timedelta(hours=12)
OWN_SIDE = "own-side"

log = structlog.get_logger("muster.service")


class Due:
    """Tells the loops of works what became due: those that are put to it, which need what tells it first."""

    def __init__(self) -> None:
        self._loops: dict[Work, Loop] = {}

    def put(self, loops: Mapping[Work, Loop]) -> None:
        """Have these told from here on."""
        self._loops.update(loops)

    def notice(self, due: Mapping[Work, datetime]) -> None:
        """Have each work's loop step at its time."""
        for work, at in due.items():
            self._loops[work].expect(at)

    def wake(self, work: Work) -> None:
        """Have the loop of *work* step soon."""
        self._loops[work].wake()


@dataclass(frozen=True, slots=True)
class Senders:
    """By whom a node reaches others: Apple's push service, and receivers of events."""

    pushes: PushSender
    events: EventSender


@dataclass(frozen=True, slots=True)
class Background:
    """The loops of a node, and what others hand to them."""

    loops: tuple[Loop, ...]
    watch: OwnSideWatch
    resurrections: Resurrections
    stop: Callable[[], Awaitable[None]]
    """Wait for what is under way to others, and say last that this node lives; to be called after the loops' end."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loops are made over."""

    runners: Runners
    due: Due
    senders: Senders
    signer: ProfileSigner
    authorities: AuthorityBook
    relay: MessageRelay
    tally: Tally


def make_background(settings: Settings, around: Surroundings, ring: KeyRing, parts: Parts) -> Background:
    """Make what a node does by itself; nothing runs yet."""
    runner, due = parts.runners.operations, parts.due
    pusher = PushWorker(runner, parts.senders.pushes, partial(due.wake, Work.PUSH))
    teller = DeliveryWorker(runner, parts.senders.events, partial(due.wake, Work.OUTBOX))
    steps: dict[Work, Step] = {
        Work.PUSH: pusher.step,
        Work.REVIEW: ReviewWorker(runner, parts.signer.sign, around.new_rsa_key).step,
        Work.DEFERRED: DeferredWorker(runner).step,
        Work.ANSWERS: AnswerWorker(parts.runners.views).step,
        Work.SENDS: SendWorker(runner).step,
        Work.OUTBOX: teller.step,
    }
    workers = {work: Loop(work.value, step, now=around.now, poll=around.poll) for work, step in steps.items()}
    due.put(workers)

    index = JournalIndex(settings.data_dir / JOURNAL, ring)
    resurrections = Resurrections(runner, index.find, lambda at: resurrecting.expect(at))  # noqa: PLW0108 - the loop is made of it
    resurrecting = Loop("resurrections", resurrections.step, now=around.now, poll=None)
    watched = (*workers.values(), resurrecting, *_others(settings, around, parts))
    disk = partial(around.disk, settings.data_dir)
    watch = OwnSideWatch(runner, lambda: watched, lambda: replace(parts.tally.take(), disk=disk()), every=around.beat)

    async def stop() -> None:
        try:
            await asyncio.gather(pusher.drain(), teller.drain())
        finally:
            try:
                await parts.senders.pushes.close()
            finally:
                await watch.stop()

    loops = (*watched, Loop(OWN_SIDE, watch.step, now=around.now, poll=None))
    return Background(loops, watch, resurrections, stop)


def _others(settings: Settings, around: Surroundings, parts: Parts) -> Iterable[Loop]:
    """Make the loops that step by the clock, or look at what other nodes did."""
    runner = parts.runners.operations

    def by_clock(name: str, step: Step, notice_within: timedelta | None = None) -> Loop:
        return Loop(name, step, now=around.now, poll=None if around.poll is None else notice_within)

    yield by_clock("partitions", _partition_step(runner))
    yield by_clock("journal", retention_step(runner, settings))
    yield by_clock("fleet-days", FleetDayWorker(parts.runners.views).step)
    if settings.self_test_minutes:
        test = around.public_test or partial(look_at, settings.effective_public_url, around.now)
        every = timedelta(minutes=settings.self_test_minutes)
        yield by_clock("self-tests", SelfTestWorker(runner, test, every).step)
    yield by_clock("push-certificates", PushCertificateWatch(runner).step)
    yield by_clock("relay", parts.relay.step, RELAY_WITHIN)
    yield by_clock("authorities", parts.authorities.step, NOTICE_WITHIN)


_FORGETTING: Final = (
    forget_answers,
    forget_deliveries,
    forget_disruptions,
    forget_inventory_changes,
    forget_own_side,
    forget_pushes,
)
"""What forgets what is too old, a part in each transaction."""


def _partition_step(runner: Runner) -> Callable[[], Awaitable[datetime | None]]:
    async def step() -> datetime | None:
        await runner.write(ensure_partitions, [None])
        for forget in _FORGETTING:
            while (await runner.write(forget, [None]))[0]:
                pass  # a part in each transaction, so that nobody waits for all of it
        for overfull in (await runner.write(disable_overfull_streams, [MAXIMUM_WAITING]))[0]:
            log.error("stream_disabled", receiver=overfull.receiver.name, because="too many tokens wait")
        for name in (await runner.write(disable_overfull_webhooks, [MAXIMUM_WAITING_MESSAGES]))[0]:
            log.error("webhook_disabled", webhook=name, because="too many messages of devices wait")
        after: str | None = FROM_THE_START
        while after is not None:
            (after,) = await runner.write(compact_evidence, [after])
        return runner.now() + PARTITION_INTERVAL

    return step
