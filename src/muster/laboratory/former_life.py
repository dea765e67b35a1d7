"""What a demonstration begins with: weeks of a small company, played in virtual time, whose devices then live on.

They are played on the very data that the demonstration's server opens afterwards, so that what it shows of the past was
judged by the same rules from the same evidence.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.model import Scenario
from muster.laboratory.scenario.play import play_scenario
from muster.laboratory.scenario.stage import Stage
from muster.laboratory.server import PUBLIC_URL
from muster.laboratory.wire import Faults
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.behaviour import Habits
from muster.simulator.transport import ConnectionLost, HttpTransport, Response

WEEK: Final = timedelta(days=7)
LOOKS_EVERY: Final = timedelta(hours=6)
"""How often, in virtual time, it is asked whether the past is still wanted."""


class Unwanted(Exception):
    """Somebody wants to end before the past was played to its end."""


@dataclass(slots=True)
class MovedTransport:
    """The way of a device to a server that is elsewhere now: what it knows to be at *former* is at *present*.

    *faults* are those of its network, of which it heeds whether it is blocked.
    """

    inner: HttpTransport
    former: str
    present: str
    faults: Faults
    requests: int = 0

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """As Transport.send."""
        if self.faults.is_blocked:
            raise ConnectionLost("its network lets nothing through to the server")
        if url == self.former or url.startswith(f"{self.former}/"):
            url = self.present + url[len(self.former) :]
        self.requests += 1
        return await self.inner.send(method, url, headers, body)


class FormerLife:
    """The devices as the past has left them, and what APNs knows of them. Made by `live_through`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._transports: list[MovedTransport] = []

    @property
    def apns(self) -> SimulatedAPNs:
        """The push service, which knows their tokens and has kept what it could not deliver."""
        return self._stage.world.apns

    @property
    def devices(self) -> int:
        """How many there are, enrolled or not."""
        return len(self._stage.actors)

    @property
    def requests(self) -> int:
        """Count the requests that they have made since they go on."""
        return sum(transport.requests for transport in self._transports)

    async def go_on(self, server_url: str, *, clock: Callable[[], datetime], habits: Habits) -> None:
        """Have them live with the server at *server_url* until cancelled, by *habits*, in real time.

        How often each speaks up by itself stays as it was. Those that slept by their schedule are awake from now on.
        """
        self._stage.world.clock = clock
        async with asyncio.TaskGroup() as lives:
            for actor in self._stage.actors.values():
                self._move(actor, server_url)
                own_connects = self._stage.habits_of(actor.cohort).own_connects
                lives.create_task(actor.device.live(replace(habits, own_connects=own_connects)))

    def close(self) -> None:
        """Close every connection; waits for requests under way."""
        for transport in self._transports:
            transport.inner.close()

    def _move(self, actor: Actor, server_url: str) -> None:
        """Bring a device over from virtual time: to another address, and to this event loop."""
        device = actor.device
        transport = MovedTransport(HttpTransport(), PUBLIC_URL, server_url, actor.inhabitant.faults)
        self._transports.append(transport)
        device.requests.transport = transport
        device.wanted = asyncio.Event()
        device.wanted.set()  # who was about to speak still is
        for line in device.enrollment.all_lines if device.enrollment is not None else ():
            line.in_use = asyncio.Lock()
        actor.is_resting = False
        actor.refresh()


def live_through(
    data_dir: Path,
    scenario: Scenario,
    *,
    until: datetime,
    is_wanted: Callable[[], bool],
    on_week: Callable[[int], None] = lambda _number: None,
) -> FormerLife:
    """Play *scenario* in *data_dir*, which holds no data of a server yet, so that it ends at *until*.

    It takes seconds, in which nothing else is done here; *on_week* is told the number of each week, from 1, as it ends.
    Raises Unwanted once *is_wanted* says no.
    """
    scenario = replace(scenario, begins_at=until - scenario.duration)
    stages: list[Stage] = []

    def watch(stage: Stage) -> None:
        stages.append(stage)
        stage.world.background(_heed(stage, is_wanted))
        stage.world.background(_count_weeks(stage, on_week))

    seed = Random().getrandbits(32)  # noqa: S311 - plays; no two demonstrations share their secrets
    play_scenario(scenario, seed=seed, directory=data_dir, watch=watch)
    return FormerLife(stages[0])


async def _heed(stage: Stage, is_wanted: Callable[[], bool]) -> None:
    while is_wanted():
        await stage.world.sleep(LOOKS_EVERY)
    raise Unwanted


async def _count_weeks(stage: Stage, on_week: Callable[[int], None]) -> None:
    for number in itertools.count(1):
        await stage.world.sleep(WEEK)
        on_week(number)
