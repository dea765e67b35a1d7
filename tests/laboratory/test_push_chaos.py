"""Connections break under pushes in every way there is, and each push has exactly one outcome in the database.

Real HTTP/2 over TLS, the real worker and storage; APNs is simulated on a library's HTTP/2. Only the clock of decisions
is the test's, so that pauses between attempts take no time. A wake-up may be doubled, an outcome never.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import TOPIC, authority_pem, push_certificate, server_identity

from benchmarks import push_fleet
from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.runner import EngineRunner, make_context
from muster.crypto.sealing import KeyRing
from muster.edges.apns.backoff import Pace
from muster.edges.apns.provider import ApnsProvider
from muster.edges.workers.pushes import PushWorker
from muster.operations.ports import PushCredentials, PushReceipt, PushSender
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.apns import OutcomeClass, Push
from muster.settings import read_settings
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_server import SimulatedApnsServer
from muster.simulator.apns_weather import Condition, GoAway, Refuse, RefuseStream, Reset, ResetStream, Silence
from muster.storage import push
from muster.storage.engine import Engine
from muster.storage.schema import pushes

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PATIENCE = timedelta(hours=2)
"""More than any pause between two attempts at a push that got no answer."""
PACE = Pace(attempt_seconds=3.0)
"""So that a push which is never answered doesn't take the real pace's minute and more."""
MAX_ROUNDS = 40

WEATHER = (
    Condition(GoAway(every=401)),
    Condition(Reset(every=1_999)),
    Condition(ResetStream(every=211)),
    Condition(RefuseStream(every=97)),
    Condition(Silence(), share=0.0005),
    Condition(Refuse("TooManyRequests"), share=0.005),
    Condition(Refuse("ServiceUnavailable"), share=0.01),
    Condition(Refuse("Unregistered", since=START - timedelta(hours=1)), share=0.005),
)


@dataclass
class WatchedSender:
    """The real sender; notes which pushes were handed to it, and how many receipts each got."""

    provider: PushSender
    sent: list[str] = field(default_factory=list)
    receipts: Counter[str] = field(default_factory=Counter)

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        """Hand over, and count."""

        def count(receipt: PushReceipt) -> None:
            self.receipts[receipt.apns_id] += 1
            settle(receipt)

        self.sent.extend(one.apns_id for one in pushes)
        self.provider.send(credentials, pushes, count)

    async def close(self) -> None:
        """Close the real one."""
        await self.provider.close()


async def push_everybody(engine: Engine, apns: SimulatedAPNs, executor: ThreadPoolExecutor) -> WatchedSender:
    """Push until nothing is due soon any more, letting the clock of decisions jump over every pause."""
    time = START
    around = Surroundings(now=lambda: time, random_bytes=Random(3).randbytes)
    context = make_context(read_settings({"node": "test"}, {}), around, KeyRing.generate(around.random_bytes, START))
    runner = EngineRunner(engine, executor, context)
    made = push_certificate()
    await runner.write(upload_push_certificates, [UploadedPushCertificate(made.certificate_pem, made.key_pem)])
    woken = asyncio.Event()
    async with SimulatedApnsServer(apns, server_identity(), now=lambda: START) as server:
        provider = ApnsProvider("127.0.0.1", server.port, rng=Random(2), ca_pem=authority_pem(), pace=PACE)
        sender = WatchedSender(provider)
        worker = PushWorker(runner, sender, woken.set)
        for _ in range(MAX_ROUNDS):
            while True:
                woken.clear()
                await worker.step()
                if not woken.is_set() and sender.receipts.total() == len(sender.sent):
                    break
                await woken.wait()
            due_at = await runner.read(push.next_due)
            if due_at is None or due_at > time + PATIENCE:
                break
            time += PATIENCE
        await worker.drain()
        await sender.close()
    return sender


def assert_one_outcome_each(engine: Engine, sender: WatchedSender, apns: SimulatedAPNs, count: int) -> None:
    rows = engine.read(
        lambda tx: tx.connection.execute(
            sa.select(pushes.c.channel_id, pushes.c.apns_id, pushes.c.outcome, pushes.c.attempts)
        ).all()
    )

    assert len(rows) >= count
    assert Counter(row.apns_id for row in rows) == Counter(sender.sent) == sender.receipts
    final = {OutcomeClass.ACCEPTED.value, OutcomeClass.TOKEN_UNREGISTERED.value}
    assert Counter(row.channel_id for row in rows if row.outcome in final).most_common(1)[0][1] == 1
    assert len({row.channel_id for row in rows if row.outcome in final}) == count
    for row in rows:
        taken = apns.received[row.apns_id]
        assert taken >= 1 if row.outcome in final else taken >= 0
        assert taken <= row.attempts


def play(engine: Engine, count: int) -> None:
    apns = SimulatedAPNs(Random(1))
    for condition in WEATHER:
        apns.weather.add(condition)
    push_fleet.store_channels(engine, [apns.issue_token(TOPIC) for _ in range(count)], TOPIC, START)
    push_fleet.wish(engine, count, START)
    with ThreadPoolExecutor(2 if engine.writers > 1 else 1) as executor:
        sender = asyncio.run(push_everybody(engine, apns, executor))

    assert_one_outcome_each(engine, sender, apns, count)
    assert max(apns.received.values()) > 1, "no wake-up was doubled: nothing broke under way"


def test_each_of_2000_pushes_has_one_outcome_whatever_breaks(engine: Engine) -> None:
    play(engine, 2000)


@pytest.mark.lab
def test_each_of_50_000_pushes_has_one_outcome_whatever_breaks(engine: Engine) -> None:
    play(engine, 50_000)
