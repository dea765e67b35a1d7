"""How long it takes to review a whole fleet: `python -m benchmarks.reviews`, on Linux, with PostgreSQL.

100,000 channels with weeks of history behind them, all of their reviews due. The first pass judges each for the first
time, so that there is something to record of all; the second, a day later, is the day's routine. Everything that a
review does is in it, but what it sends. The database's processor time is counted besides the process's.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks import review_fleet, servers
from benchmarks.commands import Measured, format_table
from benchmarks.processes import cpu_seconds
from benchmarks.servers import NotStartedError
from muster.bootstrap.data_directory import Surroundings, read_key_ring
from muster.bootstrap.runner import make_context
from muster.bootstrap.serving import settle_memory
from muster.domain.access import SERVER
from muster.operations.review_channels import review_channels
from muster.settings import Settings
from muster.storage.engine import Engine
from muster.storage.schema import reviews, verdict_changes

CHANNELS = 100_000
QUICK_CHANNELS = 2_000
NOW = datetime(2026, 11, 4, 16, 0, tzinfo=UTC)
"""A Wednesday: fleets rest at weekends, and figures of one day compare."""
PASSES = (("first review", timedelta(0)), ("the day's routine", timedelta(hours=20)))


class Bench:
    """One database with a fleet in it."""

    def __init__(self, name: str, engine: Engine, settings: Settings, process_id: int | None) -> None:
        self.name = name
        self.engine = engine
        self._process_id = process_id
        self._context = make_context(settings, Surroundings(), read_key_ring(settings.key_ring_path))

    def run(self) -> list[Measured]:
        """Measure each pass."""
        return [self.measure(what, NOW + later) for what, later in PASSES]

    def measure(self, what: str, now: datetime) -> Measured:
        """Have every review due at *now*, and do them all."""
        due = sa.update(reviews).values(next_review_at=now)
        self.engine.write(lambda tx: tx.connection.execute(due))
        before, cpu, clock = self._database(), time.process_time(), time.perf_counter()
        count = self.review(now)
        seconds, spent = time.perf_counter() - clock, time.process_time() - cpu
        return Measured(self.name, what, count, seconds, spent, self._database() - before)

    def review(self, now: datetime) -> int:
        """Review whatever is due; returns how many channels that were."""
        context = replace(self._context(SERVER), now=now)
        count = 0
        while True:
            (reviewed,) = self.engine.write(lambda tx: review_channels(tx, [None], context))
            assert not reviewed.not_judged, reviewed.not_judged[:3]
            count += reviewed.count
            if not reviewed.more:
                return count

    def changes(self) -> int:
        """Count the steps of all stories."""
        counted = sa.select(sa.func.count()).select_from(verdict_changes)
        return self.engine.read(lambda tx: tx.connection.execute(counted).scalar_one())

    def _database(self) -> float:
        return 0.0 if self._process_id is None else cpu_seconds(self._process_id)


def measure(count: int, engines: Sequence[str]) -> list[Measured]:
    """Measure on each engine. Raises NotStartedError."""
    measured = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        for name in engines:
            url, process_id = None, None
            if name == "postgresql":
                database = stack.enter_context(servers.postgresql())
                url, process_id = database.create_database("bench_reviews"), database.process_id()
            settings = servers.prepare(directory, name, url)
            with servers.opened(settings) as engine:
                print(f"storing {count:,} channels and their history on {name}", file=sys.stderr, flush=True)
                review_fleet.store(engine, count, NOW)
                if name == "postgresql":
                    analyze(engine)
                measured += Bench(name, engine, settings, process_id).run()
    return measured


def analyze(engine: Engine) -> None:
    """Do what autovacuum has done in a database of weeks."""
    with engine.sqlalchemy.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))


def main() -> int:
    """Measure as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reviews", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CHANNELS:,} channels")
    parser.add_argument("--channels", type=int, default=CHANNELS, help=f"how many (default {CHANNELS:,})")
    parser.add_argument("--only", choices=("postgresql", "sqlite"), help="one engine alone")
    options = parser.parse_args()
    settle_memory()  # as a node does, whose reviews these are
    engines = ("postgresql", "sqlite") if options.only is None else (options.only,)
    try:
        measured = measure(QUICK_CHANNELS if options.quick else options.channels, engines)
    except NotStartedError as error:
        print(f"benchmarks.reviews: {error}", file=sys.stderr)
        return 1
    print(format_table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
