"""Server and command line are killed while a command goes to a whole fleet: each device has it once all the same."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from tests.conformance.fleet import enroll
from tests.service.running import MUSTER, RunningServer

from muster.bootstrap.data_directory import open_engine
from muster.protocol.identifiers import ChannelId
from muster.settings import read_settings
from muster.storage import sends
from muster.storage.engine import Engine
from muster.storage.schema import queue

DEVICES = 4_000
"""Four parts, of which some are done at the moment of the kill, and some aren't."""
PATIENCE_SECONDS = 60


def test_command_to_a_fleet_reaches_each_device_once_though_all_who_send_it_are_killed(
    place: tuple[str, ...], tmp_path: Path
) -> None:
    where = ("--data-dir", str(tmp_path / "data"), *place)
    settings = read_settings({"data_dir": tmp_path / "data", "database": place[1] if place else None}, {})
    engine = open_engine(settings, connections=1)
    ids = [ChannelId(f"device {number}") for number in range(DEVICES)]
    try:
        enroll(engine, *ids)
        with RunningServer(tmp_path / "data", *place) as server:
            order = ("commands", "send", "--where", "state = 'enrolled'", "SecurityInfo", "--yes")
            ordering = subprocess.Popen([*MUSTER, *order, *where], stdout=subprocess.DEVNULL, stderr=sys.stderr)
            until(lambda: bool(commands(engine)))
            server.kill_now()
            ordering.kill()
            server.exit_code()
            ordering.wait()
            left = DEVICES - len(commands(engine))

            server.start()
            until(lambda: engine.read(sends.latest)[0].finished_at is not None)

        assert left > 0, "all had it before the kill: the test proves nothing"
        assert commands(engine) == Counter(ids)
        assert engine.read(sends.latest)[0].queued == DEVICES
    finally:
        engine.close()


def commands(engine: Engine) -> Counter[str]:
    """How many commands wait for each device."""
    return Counter(engine.read(lambda tx: tx.connection.execute(sa.select(queue.c.channel_id)).scalars().all()))


def until(is_so: Callable[[], bool]) -> None:
    """Return as soon as it *is_so*."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)
