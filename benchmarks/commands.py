"""How long a command to a whole fleet takes: `python -m benchmarks.commands`, on Linux, with PostgreSQL.

One order to everyone whom a query finds, queued part by part as a node does it, with all checks and wishes to push;
then drained, each device asking, being handed the command, and answering, in batches as they form under load. The
database's processor time is counted besides the process's; nothing is sent anywhere.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from benchmarks import push_fleet, servers
from benchmarks.processes import cpu_seconds
from benchmarks.push_service import TOKEN, TOPIC
from benchmarks.servers import NotStartedError
from muster.bootstrap.data_directory import Surroundings, read_key_ring
from muster.bootstrap.runner import EngineRunner, make_context
from muster.bootstrap.serving import settle_memory
from muster.domain.access import DEVICE
from muster.domain.os_versions import sortable
from muster.domain.queries.parser import parse_query
from muster.operations.answer_connect import ConnectReply, ConnectRequest, answer_connects
from muster.operations.send_by_query import SendOrder, continue_sends, order_sends
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Report, ReportHead, Status, encode_report
from muster.protocol.identifiers import CommandUUID, Identifiers, resolve_channel
from muster.settings import Settings
from muster.storage import queries
from muster.storage.engine import Engine
from muster.storage.schema import channels, device_facts
from muster.storage.sends import Send

CHANNELS = 100_000
QUICK_CHANNELS = 2_000
BATCH = 64
"""Connects that one transaction answers under load."""
FAR = datetime(2040, 1, 1, tzinfo=UTC)
QUERY = "platform = 'macOS' and os_version < '26'"
"""Finds the whole fleet."""
OTHERS = (
    "name contains '77'",
    "os_version < '25' or last_contact < 2 days ago",
    "app = 'com.example.agent'",
    "serial = 'x'",
)
"""Find few, or nobody, having looked at everybody."""
REQUEST = CommandRequest("DeviceInformation", {"Queries": ["UDID", "OSVersion", "SerialNumber"]})


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: what was done, how often, and what it took."""

    engine: str
    what: str
    count: int
    seconds: float
    process_seconds: float
    database_seconds: float


class Bench:
    """One database with a fleet in it."""

    def __init__(self, name: str, engine: Engine, settings: Settings, process_id: int | None, count: int) -> None:
        self.name = name
        self.engine = engine
        self.count = count
        self.measured: list[Measured] = []
        self._process_id = process_id
        ring = read_key_ring(settings.key_ring_path)
        self.runner = EngineRunner(engine, None, make_context(settings, Surroundings(), ring))

    def run(self) -> list[Measured]:
        """Measure everything."""
        for text in OTHERS:
            self.measure(f"look: {text}", partial(self.look, text))
        self.measure("queue", self.send)
        self.measure("drain", self.drain)
        return self.measured

    def measure(self, what: str, work: Callable[[], int]) -> None:
        """Time *work*, which returns how often it did what it does."""
        before, cpu, clock = self._database(), time.process_time(), time.perf_counter()
        count = work()
        seconds, spent = time.perf_counter() - clock, time.process_time() - cpu
        self.measured.append(Measured(self.name, what, count, seconds, spent, self._database() - before))

    def _database(self) -> float:
        return 0.0 if self._process_id is None else cpu_seconds(self._process_id)

    def send(self) -> int:
        """Order the command, and queue it on everyone."""
        (send,) = self.runner.write_now(order_sends, [SendOrder(QUERY, REQUEST)])
        assert isinstance(send, Send), send
        progress: Send | None = send
        while progress is not None and progress.finished_at is None:
            (progress,) = self.runner.write_now(continue_sends, [send.id])
        assert progress is not None
        assert progress.queued == self.count, progress
        return progress.queued

    def drain(self) -> int:
        """Have every device fetch the command and answer it."""
        answered = 0
        for numbers in _batches(self.count):
            replies = self._connect([_connect(number, Status.IDLE, None) for number in numbers])
            uuids = [reply.command_uuid for reply in replies]
            answers = [_connect(number, Status.ACKNOWLEDGED, uuid) for number, uuid in zip(numbers, uuids, strict=True)]
            self._connect(answers)
            answered += sum(uuid is not None for uuid in uuids)
        return answered

    def _connect(self, requests: Sequence[ConnectRequest]) -> list[ConnectReply]:
        outcomes = self.runner.write_now(answer_connects, requests, DEVICE)
        return [outcome for outcome in outcomes if isinstance(outcome, ConnectReply)]

    def look(self, text: str) -> int:
        """Count whom a query finds; returns how many there are to look at."""
        now, query = self.runner.now(), parse_query(text)
        self.engine.read(lambda tx: queries.count(tx, query, now))
        return self.count


def _batches(count: int) -> Iterator[range]:
    for first in range(0, count, BATCH):
        yield range(first, min(first + BATCH, count))


def _connect(number: int, status: Status, command_uuid: CommandUUID | None) -> ConnectRequest:
    identifiers = Identifiers(udid=push_fleet.channel_id(number))
    head = ReportHead(resolve_channel(identifiers), identifiers, status, status.value, command_uuid)
    body = encode_report(Report(head))
    return ConnectRequest(head, _pin(number), body, "198.51.100.7", FAR)


def _pin(number: int) -> bytes:
    return number.to_bytes(32, "big")


def store_fleet(engine: Engine, count: int, now: datetime) -> None:
    """Store *count* Macs, pinned, each with a push token and what it said of itself."""
    push_fleet.store_channels(engine, [TOKEN] * count, TOPIC, now)
    pins = sa.update(channels).where(channels.c.id == sa.bindparam("of")).values(pin=sa.bindparam("to"))
    for first in range(0, count, push_fleet.ROWS_PER_STATEMENT):
        numbers = range(first, min(first + push_fleet.ROWS_PER_STATEMENT, count))
        facts = [_facts(number, now) for number in numbers]
        pinned = [{"of": push_fleet.channel_id(number), "to": _pin(number)} for number in numbers]
        engine.write(lambda tx, rows=facts: tx.connection.execute(sa.insert(device_facts), rows))  # type: ignore[misc]
        engine.write(lambda tx, rows=pinned: tx.connection.execute(pins, rows))  # type: ignore[misc]


def _facts(number: int, now: datetime) -> dict[str, object]:
    version = f"{15 + number % 11}.{number % 7}"
    return {
        "channel_id": push_fleet.channel_id(number),
        "serial_number": f"C{number:011}",
        "product_name": "Mac15,3",
        "family": "macOS",
        "device_name": f"Mac of desk {number}",
        "os_version": version,
        "os_version_key": sortable(version),
        "is_supervised": number % 2 == 0,
        "learned_at": now - timedelta(days=1),
    }


def measure(count: int, engines: Sequence[str]) -> list[Measured]:
    """Measure on each engine. Raises NotStartedError."""
    now = datetime.now(UTC)
    measured = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        for name in engines:
            url, process_id = None, None
            if name == "postgresql":
                database = stack.enter_context(servers.postgresql())
                url, process_id = database.create_database("bench_commands"), database.process_id()
            settings = servers.prepare(directory, name, url)
            with servers.opened(settings) as engine:
                print(f"storing {count:,} devices on {name}", file=sys.stderr, flush=True)
                store_fleet(engine, count, now)
                measured += Bench(name, engine, settings, process_id, count).run()
    return measured


def format_table(measured: Sequence[Measured]) -> str:
    """Return a table: seconds for all, and microseconds for each."""
    rows = [("engine", "what", "count", "seconds", "process us", "database us")]
    rows += [
        (
            one.engine,
            one.what,
            f"{one.count:,}",
            f"{one.seconds:.2f}",
            f"{one.process_seconds / one.count * 1e6:.0f}",
            f"{one.database_seconds / one.count * 1e6:.0f}",
        )
        for one in measured
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([*(row[i].ljust(widths[i]) for i in (0, 1)), *(row[i].rjust(widths[i]) for i in range(2, len(row)))])
        for row in rows
    )


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CHANNELS:,} devices")
    parser.add_argument("--devices", type=int, default=CHANNELS, help=f"how many (default {CHANNELS:,})")
    parser.add_argument("--only", choices=("postgresql", "sqlite"), help="one engine alone")
    options = parser.parse_args()
    settle_memory()  # as a node does, which goes on with what was ordered
    engines = ("postgresql", "sqlite") if options.only is None else (options.only,)
    try:
        measured = measure(QUICK_CHANNELS if options.quick else options.devices, engines)
    except NotStartedError as error:
        print(f"benchmarks.commands: {error}", file=sys.stderr)
        return 1
    print(format_table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
