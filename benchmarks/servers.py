"""The servers that are measured, each started as an operator would start it."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.postgresql import PostgresqlServer, find_binaries, start_server

from benchmarks.processes import cpu_seconds
from muster.bootstrap.data_directory import Surroundings, initialise, open_engine
from muster.bootstrap.service import open_service
from muster.settings import Settings, read_settings
from muster.storage.engine import Engine

START_SECONDS = 60
STOP_SECONDS = 30


class NotStartedError(Exception):
    """A server ended, or did not answer in time; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds used so far. *database* is 0 where the database is in the server's process."""

    server: float
    database: float


@dataclass(frozen=True, slots=True)
class Target:
    """A running server with a name for the table."""

    name: str
    workers: int
    url: str
    process_id: int
    settings: Settings | None
    database_process_id: int | None = None

    def usage(self) -> Usage:
        """Return what this server and its database have used."""
        database = 0.0 if self.database_process_id is None else cpu_seconds(self.database_process_id)
        return Usage(cpu_seconds(self.process_id), database)


@contextmanager
def postgresql() -> Iterator[PostgresqlServer]:
    """Start PostgreSQL as it comes (fsync on, synchronous commit) in a temporary directory; it goes away at the end.

    Raises NotStartedError when no PostgreSQL is installed.
    """
    binaries = find_binaries()
    if binaries is None:
        raise NotStartedError("PostgreSQL 15 or newer is not installed; name its bin directory in MUSTER_TEST_PG_BIN")
    server = start_server(binaries, options=())
    try:
        yield server
    finally:
        server.stop()


def prepare(directory: Path, name: str, database: str | None) -> Settings:
    """Make a data directory, and in *database* or, without one, in SQLite what `muster init` makes."""
    settings = read_settings({"data_dir": directory / name, "database": database, "log_level": "info"}, {})
    initialise(settings, Surroundings())
    open_service(settings).close()
    return settings


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """Open the database that `prepare` made, beside the server if it runs."""
    engine = open_engine(settings, connections=1)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def muster(
    name: str, settings: Settings, *, workers: int = 1, database_process_id: int | None = None
) -> Iterator[Target]:
    """Run `muster serve` on what `prepare` made."""
    arguments = ["-m", "muster.cli", "serve", "--data-dir", str(settings.data_dir), "--listen", "127.0.0.1:0"]
    if settings.database is not None:
        arguments += ["--database", settings.database.get_secret_value(), "--workers", str(workers)]
    with _running(arguments, settings.data_dir / "log") as (process, port):
        url = f"http://127.0.0.1:{port}/mdm"
        yield Target(name, workers, url, process, settings, database_process_id)


@contextmanager
def constant(directory: Path, *, workers: int = 1) -> Iterator[Target]:
    """Run the server that answers everything alike."""
    arguments = ["-m", "benchmarks.constant", "0", str(workers)]
    with _running(arguments, directory / f"constant-{workers}.log") as (process, port):
        yield Target("constant", workers, f"http://127.0.0.1:{port}/mdm", process, None)


@contextmanager
def _running(arguments: Sequence[str], log: Path) -> Iterator[tuple[int, int]]:
    """Run a Python program that says on which port of 127.0.0.1 it listens; stop it at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    environment["MUSTER_INVENTORY_HOURS"] = "0"  # what is queued here is all that is measured
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, *arguments], env=environment, stderr=said, stdin=subprocess.DEVNULL)
    try:
        port = _wait_for_port(process, log)
        _wait_for_answers(process, log, port)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    for _ in _patiently(process, log):
        if (match := re.search(r"istening on 127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))) is not None:
            return int(match[1])
    raise AssertionError("unreachable")


def _wait_for_answers(process: "subprocess.Popen[bytes]", log: Path, port: int) -> None:
    for _ in _patiently(process, log):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/mdm")
            connection.getresponse().read()
        except OSError:
            continue
        else:
            return
        finally:
            connection.close()


def _patiently(process: "subprocess.Popen[bytes]", log: Path) -> Iterator[None]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        yield
        time.sleep(0.05)
    raise NotStartedError(f"a server did not start:\n{log.read_text(errors='replace')[-4000:]}")
