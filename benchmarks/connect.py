"""How much a connect costs: `python -m benchmarks.connect` (or `make bench`), on Linux, with wrk and PostgreSQL.

A thousand enrolled devices ask for commands over connections that are kept; every request is signed beforehand and
verified by the real server. In the same run, in turns with it, the same HTTP server answers a constant, so that what
the machine was doing besides falls out of the ratios. Trust the processor time of a connect and the ratios; rates
and latencies are those of a machine that also carries the load generator and the database.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import fleet, servers
from benchmarks.fleet import Device
from benchmarks.load import LoadFailedError, Script, run_load, write_script
from benchmarks.servers import NotStartedError, Target
from benchmarks.table import Measurement, format_table
from muster.protocol.identifiers import CommandUUID

DEVICES = 1000
CONNECTIONS = (1, 8, 64, 256)
QUICK_CONNECTIONS = (1, 64)
ANSWERS_PER_SECOND = 3000
"""How many answers to commands are prepared for each second of load; a faster server is given Idles in the end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and how long: *repetitions* in turns, each *seconds* for each server and load."""

    connections: tuple[int, ...]
    repetitions: int
    seconds: int
    with_commands: bool


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    options = _options()
    plan = Plan(
        QUICK_CONNECTIONS if options.quick else CONNECTIONS,
        repetitions=1 if options.quick else options.repetitions,
        seconds=1 if options.quick else options.seconds,
        with_commands=options.with_commands,
    )
    try:
        measurements = measure(plan, only=options.only)
    except (LoadFailedError, NotStartedError) as error:
        print(f"benchmarks.connect: {error}", file=sys.stderr)
        return 1
    print(format_table(measurements))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in measurements], indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connect", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one second of each, few loads: under 40 seconds")
    parser.add_argument("--with-commands", action="store_true", help="let every other request answer a command")
    parser.add_argument("--repetitions", type=int, default=3, help="how often, in turns (default 3)")
    parser.add_argument("--seconds", type=int, default=3, help="of load, each time (default 3)")
    parser.add_argument("--only", help="measure only servers whose name contains this, and the constant")
    parser.add_argument("--json", type=Path, help="write every single measurement to this file")
    return parser.parse_args()


def measure(plan: Plan, *, only: str | None = None) -> list[Measurement]:
    """Start everything, measure, stop everything. Raises NotStartedError and LoadFailedError."""
    now = datetime.now(UTC)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        _say(f"{DEVICES} devices, {os.cpu_count()} processors, fdatasync {_fdatasync_us(directory):.0f} us")
        devices = fleet.make_fleet(DEVICES, now)
        uuids = fleet.command_uuids(_rounds(plan))
        idle = [fleet.idle_request(device) for device in devices]
        script = write_script(directory, "load", list(_dialogues(devices, uuids, idle)), idle)
        targets = _start(stack, directory, devices, uuids, now, only)
        return list(_measure_in_turns(plan, targets, script, devices, uuids))


def _rounds(plan: Plan) -> int:
    return -(-plan.seconds * ANSWERS_PER_SECOND // DEVICES) if plan.with_commands else 0


def _dialogues(devices: Sequence[Device], uuids: Sequence[CommandUUID], idle: Sequence[bytes]) -> Iterator[bytes]:
    """For each command: one device asks and another, far from it, answers, in turns."""
    for uuid in uuids:
        for number, request in enumerate(idle):
            yield request
            yield fleet.answer_request(devices[number - len(devices) // 2], uuid)


def _start(
    stack: ExitStack,
    directory: Path,
    devices: Sequence[Device],
    uuids: Sequence[CommandUUID],
    now: datetime,
    only: str | None,
) -> list[Target]:
    """Start the servers; each has a database of its own with the whole fleet in it."""
    targets = [stack.enter_context(servers.constant(directory, workers=workers)) for workers in (1, 2)]
    database = stack.enter_context(servers.postgresql())
    for name, workers in (("sqlite", 1), ("postgresql", 1), ("postgresql", 2)):
        if only is not None and only not in f"{name}-{workers}":
            continue
        url = database.create_database(f"bench_{workers}") if name == "postgresql" else None
        settings = servers.prepare(directory, f"{name}-{workers}", url)
        with servers.opened(settings) as engine:
            fleet.enroll(engine, settings, devices, now)
            fleet.store_commands(engine, uuids, now)
        process = database.process_id() if url is not None else None
        targets.append(
            stack.enter_context(servers.muster(name, settings, workers=workers, database_process_id=process))
        )
    return targets


def _measure_in_turns(
    plan: Plan, targets: Sequence[Target], script: Script, devices: Sequence[Device], uuids: Sequence[CommandUUID]
) -> Iterator[Measurement]:
    for target in targets:  # the first requests of all fill caches and make connections to the database
        run_load(script, target.url, connections=plan.connections[-1], seconds=1)
    for repetition in range(1, plan.repetitions + 1):
        for connections in plan.connections:
            _say(f"repetition {repetition} of {plan.repetitions}, {connections} connections")
            for target in targets:
                yield _measure_one(plan, target, connections, script, devices, uuids)


def _measure_one(
    plan: Plan,
    target: Target,
    connections: int,
    script: Script,
    devices: Sequence[Device],
    uuids: Sequence[CommandUUID],
) -> Measurement:
    settings = target.settings if plan.with_commands else None
    if settings is not None:
        with servers.opened(settings) as engine:
            fleet.fill_queues(engine, devices, uuids, datetime.now(UTC))
    before = target.usage()
    load = run_load(script, target.url, connections=connections, seconds=plan.seconds)
    after = target.usage()
    answers = 0
    if settings is not None:
        with servers.opened(settings) as engine:
            answers = len(devices) * len(uuids) - fleet.waiting(engine)
    return Measurement(
        target.name,
        target.workers,
        connections,
        rate=load.rate,
        server_us=(after.server - before.server) / load.requests * 1e6,
        database_us=(after.database - before.database) / load.requests * 1e6,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        answers=answers / load.requests,
    )


def _fdatasync_us(directory: Path) -> float:
    """How long the disk takes to keep a page: every commit waits for it."""
    times = []
    with (directory / "fdatasync").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(8192))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
