"""One measurement in a process of its own, so that its memory and processor time are its alone.

`python -m benchmarks.push_runs client ...` sends pushes and stores nothing; `node ...` runs the push worker of a whole
node, which claims wishes, sends, and stores every outcome. Either prints one JSON object.
"""

import argparse
import asyncio
import itertools
import json
import os
import resource
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import uvloop

from benchmarks import push_fleet
from benchmarks.push_service import HOST, TOKEN, TOPIC
from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.service import open_service
from muster.bootstrap.serving import settle_memory
from muster.crypto.certificates import der_from_pem, fingerprint
from muster.edges.apns.provider import ApnsProvider
from muster.edges.workers.pushes import MAXIMUM_UNDER_WAY, OUTCOMES
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push
from muster.settings import Settings, read_settings
from muster.storage.engine import Work

NODE_PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Run:
    """What one measurement found. *memory_mb* is the largest resident set of the process, its start included."""

    pushes: int
    accepted: int
    seconds: float
    cpu_seconds: float
    memory_mb: float


class _Meter:
    """Time and processor time from its making on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._cpu = time.process_time()

    def run(self, pushes: int, accepted: int) -> Run:
        """Return what was used since."""
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
        return Run(pushes, accepted, seconds, cpu, memory_kb / 1024)


async def client(port: int, count: int, authority_pem: bytes, credentials: PushCredentials) -> Run:
    """Send *count* pushes, as many at a time as a node would have under way."""
    provider = ApnsProvider(HOST, port, rng=Random(1), ca_pem=authority_pem)
    outcomes: Counter[OutcomeClass] = Counter()
    pending = _pushes(count)
    is_done = asyncio.Event()
    settle_memory()
    batch = MAXIMUM_UNDER_WAY // 4
    owed = 0

    def more() -> None:
        nonlocal owed
        pushes = list(itertools.islice(pending, batch))
        owed += len(pushes)
        if pushes:
            provider.send(credentials, pushes, settle)
        elif not owed:
            is_done.set()

    def settle(receipt: PushReceipt) -> None:
        nonlocal owed
        outcomes[receipt.outcome.outcome_class] += 1
        owed -= 1
        if owed % batch == 0:
            more()

    meter = _Meter()
    for _ in range(MAXIMUM_UNDER_WAY // batch):
        more()
    await is_done.wait()
    run = meter.run(sum(outcomes.values()), outcomes[OutcomeClass.ACCEPTED])
    await provider.close()
    return run


def _pushes(count: int) -> Iterator[Push]:
    rng = Random(1)
    for number in range(count):
        apns_id = str(uuid.UUID(bytes=rng.randbytes(16), version=4))
        yield Push(apns_id, TOPIC, TOKEN, push_fleet.push_magic(number), 2_000_000_000)


async def node(count: int, settings: Settings) -> Run:
    """Send what is due on a server of *settings* until *count* outcomes are stored."""
    service = open_service(settings, Surroundings(poll=timedelta(seconds=1)))
    (pusher,) = (loop for loop in service.loops if loop.name == Work.PUSH.value)
    settle_memory()
    meter = _Meter()
    running = asyncio.create_task(pusher.run())
    async with asyncio.timeout(NODE_PATIENCE_SECONDS):
        while sum(_outcomes().values()) < count:  # noqa: ASYNC110 - a counter has nobody to tell
            await asyncio.sleep(0.01)
    run = meter.run(count, _outcomes()[OutcomeClass.ACCEPTED])
    pusher.stop()
    await running
    await service.stop()
    return run


def _outcomes() -> Counter[OutcomeClass]:
    """What the push worker has recorded so far."""
    samples = (sample for metric in OUTCOMES.collect() for sample in metric.samples if sample.name.endswith("_total"))
    return Counter({OutcomeClass(sample.labels["outcome"]): int(sample.value) for sample in samples})


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push_runs")
    parser.add_argument("kind", choices=("client", "node"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--authority", type=Path, required=True)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--database")
    parser.add_argument("--processor", type=int, help="run on this one alone")
    options = parser.parse_args()
    if options.processor is not None:
        os.sched_setaffinity(0, {options.processor})
    if options.kind == "client":
        pem = options.certificate.read_bytes()
        credentials = PushCredentials(TOPIC, pem, options.key.read_bytes(), fingerprint(der_from_pem(pem)[0]))
        work = client(options.port, options.count, options.authority.read_bytes(), credentials)
    else:
        settings = {"apns_host": HOST, "apns_port": options.port, "apns_ca": options.authority}
        settings |= {"data_dir": options.data_dir, "database": options.database, "log_level": "warning"}
        work = node(options.count, read_settings(settings, {}))
    print(json.dumps(asdict(uvloop.run(work))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
