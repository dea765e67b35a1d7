"""How much a push costs: `python -m benchmarks.push`, on Linux, with nghttpd and PostgreSQL.

Pushes are sent to nghttpd over HTTP/2 and TLS with a client certificate: by the client alone, and by the push worker of
a node that claims each wish and stores each outcome, on either engine. The measured process has one processor to itself
as far as the machine allows, and everything else shares the others. Trust the processor time and the ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import push_fleet, servers
from benchmarks.processes import cpu_seconds
from benchmarks.push_runs import Run
from benchmarks.push_service import PushService, nghttpd
from benchmarks.servers import NotStartedError
from muster.settings import Settings

PUSHES = 100_000
QUICK_PUSHES = 5_000
CLIENT = "client alone"


@dataclass(frozen=True, slots=True)
class Node:
    """A node with a database of its own, and a fleet in it."""

    name: str
    settings: Settings
    database_url: str | None
    database_process_id: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of *name*; *database_seconds* is the processor time of PostgreSQL meanwhile."""

    name: str
    run: Run
    database_seconds: float


class RunFailedError(Exception):
    """A measurement ended in an error, or not every push was accepted; the message says more."""


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    options = _options()
    count = QUICK_PUSHES if options.quick else options.pushes
    try:
        measured = measure(count, repetitions=1 if options.quick else options.repetitions)
    except (NotStartedError, RunFailedError) as error:
        print(f"benchmarks.push: {error}", file=sys.stderr)
        return 1
    print(format_table(measured))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_PUSHES:,} pushes, once")
    parser.add_argument("--pushes", type=int, default=PUSHES, help=f"of each run (default {PUSHES:,})")
    parser.add_argument("--repetitions", type=int, default=3, help="how often, in turns (default 3)")
    parser.add_argument("--json", type=Path, help="write every single measurement to this file")
    return parser.parse_args()


def measure(count: int, *, repetitions: int) -> list[Measured]:
    """Start everything, measure in turns, stop everything. Raises NotStartedError and RunFailedError."""
    now = datetime.now(UTC)
    measured = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        service = stack.enter_context(nghttpd(directory, now))
        database = stack.enter_context(servers.postgresql())
        nodes = []
        for name, url in (("postgresql", database.create_database("bench_push")), ("sqlite", None)):
            settings = servers.prepare(directory, name, url)
            process_id = None if url is None else database.process_id()
            nodes.append(Node(name, settings, url, process_id))
            with servers.opened(settings) as engine:
                push_fleet.store(engine, settings, count, now, service.certificate, service.key)
        for repetition in range(1, repetitions + 1):
            print(f"repetition {repetition} of {repetitions}", file=sys.stderr, flush=True)
            measured.append(_measure_client(service, count))
            measured.extend(_measure_node(service, node, count) for node in nodes)
    return measured


def _measure_client(service: PushService, count: int) -> Measured:
    files = ("--certificate", str(service.certificate), "--key", str(service.key))
    return Measured(CLIENT, _run(service, count, "client", *files), 0.0)


def _measure_node(service: PushService, node: Node, count: int) -> Measured:
    with servers.opened(node.settings) as engine:
        push_fleet.wish(engine, count, datetime.now(UTC))
        stored = push_fleet.recorded(engine)
    more = ["--data-dir", str(node.settings.data_dir)]
    if node.database_url is not None:
        more += ["--database", node.database_url]
    before = 0.0 if node.database_process_id is None else cpu_seconds(node.database_process_id)
    run = _run(service, count, "node", *more)
    after = 0.0 if node.database_process_id is None else cpu_seconds(node.database_process_id)
    with servers.opened(node.settings) as engine:
        if (added := push_fleet.recorded(engine) - stored) != count:
            raise RunFailedError(f"{node.name}: {count} pushes have {added} outcomes")
    return Measured(f"stored on {node.name}", run, after - before)


def _run(service: PushService, count: int, kind: str, *more: str) -> Run:
    arguments = ["-m", "benchmarks.push_runs", kind, "--port", str(service.port), "--count", str(count)]
    arguments += ["--authority", str(service.authority), *more]
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > 1:
        arguments += ["--processor", str(processors[-1])]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunFailedError(f"{kind}: {done.stderr[-2000:]}")
    run = Run(**json.loads(done.stdout.splitlines()[-1]))
    if run.accepted != count:
        raise RunFailedError(f"{kind}: of {count} pushes {run.accepted} were accepted")
    return run


_HEADINGS = ("", "pushes/s", "of client", "process us", "database us", "of client", "memory MB")


def format_table(measured: Sequence[Measured]) -> str:
    """Return a table of the medians; ratios are the medians of the ratios to the client alone in the same turn."""
    rows = [_HEADINGS]
    alone = [one for one in measured if one.name == CLIENT]
    for name in dict.fromkeys(one.name for one in measured):
        own = [one for one in measured if one.name == name]
        rows.append(
            (
                name,
                f"{statistics.median(_rate(one) for one in own):,.0f}",
                f"{statistics.median(_rate(a) / _rate(b) for a, b in zip(own, alone, strict=True)):.2f}",
                f"{statistics.median(_process_us(one) for one in own):.1f}",
                f"{statistics.median(_database_us(one) for one in own):.1f}",
                f"{statistics.median(_all_us(a) / _all_us(b) for a, b in zip(own, alone, strict=True)):.2f}",
                f"{max(one.run.memory_mb for one in own):.0f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _rate(measured: Measured) -> float:
    return measured.run.pushes / measured.run.seconds


def _process_us(measured: Measured) -> float:
    return measured.run.cpu_seconds / measured.run.pushes * 1e6


def _database_us(measured: Measured) -> float:
    return measured.database_seconds / measured.run.pushes * 1e6


def _all_us(measured: Measured) -> float:
    return _process_us(measured) + _database_us(measured)


if __name__ == "__main__":
    sys.exit(main())
