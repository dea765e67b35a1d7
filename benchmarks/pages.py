"""How long a page of the console takes: `python -m benchmarks.pages`, on Linux, with PostgreSQL.

100,000 devices, with a user's channel for one of twenty, weeks of history, verdicts and groups. Each page is asked for
as a browser would, signed in, through the whole application but the socket: first once, for what is read for the first
time, then some times more, of which the median counts. The database's processor time is told besides the process's.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.support.browser import Browser

from benchmarks import review_fleet, reviews, servers
from benchmarks.processes import cpu_seconds
from benchmarks.servers import NotStartedError
from muster.bootstrap.data_directory import Surroundings, read_key_ring
from muster.bootstrap.runner import EngineRunner, make_context
from muster.bootstrap.serving import settle_memory
from muster.domain.access import SERVER
from muster.edges.console.app import make_console
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.sign_in import create_sign_in_links
from muster.settings import Settings
from muster.storage.engine import Engine

DEVICES = 100_000
QUICK_DEVICES = 2_000
USERS_IN = 20
"""Of so many channels one is a user's."""
TIMES = 5
"""That a page is asked for, after the first."""
TARGET_MS = 200
"""What a page may take."""
GROUP = "Newer Macs"
NUMBER = 143
"""Of a device whose own page is asked for; it is silent."""
PAGES = (
    ("fleet", "/"),
    ("devices", "/devices"),
    ("devices: second page", "/devices?after={device}"),
    ("devices: longest silent", "/devices?order=silent"),
    ("devices: quiet", "/devices?control=quiet"),
    ("devices: inactive", "/devices?control=inactive"),
    ("devices: in control", "/devices?control=in_control"),
    ("devices: by reason", "/devices?reason=silent"),
    ("devices: by OS", "/devices?platform=macOS"),
    ("devices: of a group", "/devices?group={group}"),
    ("devices: not since 7 days", "/devices?since=7"),
    ("devices: all filters", "/devices?control=quiet&platform=macOS&group={group}&since=3"),
    ("devices: by serial number", "/devices?q={serial}"),
    ("devices: by part of a name", "/devices?q=desk+77"),
    ("devices: that nobody has", "/devices?q=nothing+like+it"),
    ("devices: by a query", "/devices?q=os_version+%3C+%2720%27+and+last_contact+%3C+3+days+ago"),
    ("groups", "/groups"),
    ("a device", "/devices/{device}"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one page took: milliseconds by the clock and of processors, and bytes of the page."""

    engine: str
    page: str
    first_ms: float
    median_ms: float
    process_ms: float
    database_ms: float
    size: int


class Bench:
    """One database with a fleet in it, and a visitor of its console."""

    def __init__(self, name: str, engine: Engine, settings: Settings, process_id: int | None) -> None:
        self.name = name
        self._process_id = process_id
        context = make_context(settings, Surroundings(), read_key_ring(settings.key_ring_path))
        runner = EngineRunner(engine, None, context)
        self._browser = Browser(make_console(runner, secure_cookies=False))
        runner.write_now(create_groups, [GroupOrder(GROUP, "os_version >= '20'")], SERVER)
        (link,) = runner.write_now(create_sign_in_links, ["benchmark"], SERVER)
        assert self._browser.post(f"/sign-in/{link.token}").status == 303

    def run(self) -> Iterator[Measured]:
        """Ask for each page."""
        for page, path in PAGES:
            yield self.measure(page, _filled_in(path))

    def measure(self, page: str, path: str) -> Measured:
        """Ask for the page at *path*, once and then `TIMES`."""
        first, size = self._ask(path)
        before, cpu = self._database(), time.process_time()
        asked = [self._ask(path)[0] for _ in range(TIMES)]
        spent, database = time.process_time() - cpu, self._database() - before
        return Measured(
            self.name,
            page,
            first * 1000,
            statistics.median(asked) * 1000,
            spent / TIMES * 1000,
            database / TIMES * 1000,
            size,
        )

    def _ask(self, path: str) -> tuple[float, int]:
        clock = time.perf_counter()
        reply = self._browser.get(path)
        seconds = time.perf_counter() - clock
        assert reply.status == 200, f"{path} is answered with {reply.status}"
        return seconds, len(reply.body)

    def _database(self) -> float:
        return 0.0 if self._process_id is None else cpu_seconds(self._process_id)


def _filled_in(path: str) -> str:
    return path.format(
        device=review_fleet.name_of(NUMBER),
        serial=review_fleet.serial_number(NUMBER),
        group=GROUP.replace(" ", "+"),
    )


def measure(count: int, engines: Sequence[str]) -> list[Measured]:
    """Measure on each engine, with *count* devices. Raises NotStartedError."""
    now = datetime.now(UTC)
    channels = count * USERS_IN // (USERS_IN - 1)
    measured: list[Measured] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        for name in engines:
            url, process_id = None, None
            if name == "postgresql":
                database = stack.enter_context(servers.postgresql())
                url, process_id = database.create_database("bench_pages"), database.process_id()
            settings = servers.prepare(directory, name, url)
            with servers.opened(settings) as engine:
                print(f"storing and reviewing {channels:,} channels on {name}", file=sys.stderr, flush=True)
                review_fleet.store(engine, channels, now)
                reviews.Bench(name, engine, settings, process_id).review(now)
                if name == "postgresql":
                    reviews.analyze(engine)
                measured += Bench(name, engine, settings, process_id).run()
    return measured


def format_table(measured: Sequence[Measured]) -> str:
    """Return a table; a page that takes longer than it may is marked."""
    rows = [("engine", "page", "first ms", "ms", "process ms", "database ms", "KB")]
    rows += [
        (
            one.engine,
            one.page,
            f"{one.first_ms:.0f}",
            f"{one.median_ms:.0f}{'*' if one.median_ms > TARGET_MS else ' '}",
            f"{one.process_ms:.0f}",
            f"{one.database_ms:.0f}",
            f"{one.size / 1000:.0f}",
        )
        for one in measured
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([*(row[i].ljust(widths[i]) for i in (0, 1)), *(row[i].rjust(widths[i]) for i in range(2, len(row)))])
        for row in rows
    ]
    return "\n".join([*lines, f"* longer than {TARGET_MS} ms"])


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DEVICES:,} devices")
    parser.add_argument("--devices", type=int, default=DEVICES, help=f"how many (default {DEVICES:,})")
    parser.add_argument("--only", choices=("postgresql", "sqlite"), help="one engine alone")
    options = parser.parse_args()
    settle_memory()  # as a node does, whose pages these are
    engines = ("postgresql", "sqlite") if options.only is None else (options.only,)
    try:
        measured = measure(QUICK_DEVICES if options.quick else options.devices, engines)
    except NotStartedError as error:
        print(f"benchmarks.pages: {error}", file=sys.stderr)
        return 1
    print(format_table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
