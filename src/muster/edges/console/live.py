"""Server-sent events: open pages are told that what they show has changed, and fetch it anew as who they are.

One watcher for all pages of this process looks at what is followed, in one transaction; the more pages are open, the
longer it rests. An event says that something changed and nothing of what: nobody learns by it what isn't theirs.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from muster.edges.console.rendering import PAGE_HEADERS
from muster.edges.console.sessions import EVENTS, NotForThem, Sessions
from muster.operations.permit import of_devices, of_no_device
from muster.operations.ports import Runner
from muster.operations.views.freshness import device_versions, fleet_version
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

TICK_SECONDS: Final = 1.0
"""Between two looks of the watcher."""
HEARTBEAT_SECONDS: Final = 15.0
"""Proxies end connections over which nothing comes for a minute; and who has left is noticed by writing to them."""
LIFETIME: Final = timedelta(minutes=10)
"""Of a stream: its browser opens another."""
LOOKED_AT_AGAIN: Final = timedelta(seconds=15)
"""After so long it is asked anew, before anything is told, whether they are signed in and may see what they follow."""
STREAMS: Final = 400
"""Of one process; who comes later asks again and again, as without streams."""
STREAMS_OF_SESSION: Final = 4
"""Browsers open six connections to a host: pages need some, too."""
OF_ALL: Final = frozenset({"devices", "fleet", "commands"})
"""Topics about everybody; every other one is `device:` and its id."""
_EVERY: Final = {"devices": 5, "fleet": 5, "commands": 2}
"""Seconds after which these have changed for sure: somebody was in contact, something was queued."""
_DEVICE: Final = "device:"

log = structlog.get_logger("muster.console")


@dataclass(slots=True, eq=False)
class Follower:
    """One open page. *version* is what was told last."""

    topic: str
    version: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Watcher:
    """Looks for changes as long as anybody follows."""

    def __init__(self, runner: Runner, *, tick: float = TICK_SECONDS) -> None:
        self._runner = runner
        self._tick = tick
        self._followers: set[Follower] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many follow."""
        return len(self._followers)

    def add(self, topic: str) -> Follower:
        """Begin to follow *topic*; it counts as changed at first, for it may have since the page was read."""
        follower = Follower(topic)
        self._followers.add(follower)
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="watcher of the console")
        return follower

    def remove(self, follower: Follower) -> None:
        """Follow no more; with the last one the watcher ends."""
        self._followers.discard(follower)
        if not self._followers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._tick * (1 + len(self._followers) / 50))
            topics, now = {one.topic for one in self._followers}, self._runner.now()
            try:
                versions = await self._runner.read(partial(_versions, topics=topics, now=now))
            except Unavailable:
                continue  # pages say so themselves when they ask
            except Exception:  # a fault of ours ends nobody's stream: pages ask by themselves now and then
                log.exception("watcher_failed")
                continue
            for follower in tuple(self._followers):
                version = versions.get(follower.topic)
                if version != follower.version:
                    follower.version = version
                    follower.changed.set()


def _versions(tx: Transaction, topics: Collection[str], now: datetime) -> Mapping[str, str]:
    """Return the version of each topic."""
    devices = device_versions(tx, {one.removeprefix(_DEVICE) for one in topics if one.startswith(_DEVICE)})
    found = {f"{_DEVICE}{device_id}": version for device_id, version in devices.items()}
    about_all = OF_ALL.intersection(topics)
    fleet = fleet_version(tx) if about_all else ""
    return found | {one: f"{fleet} {int(now.timestamp()) // _EVERY[one]}" for one in about_all}


class EventPages:
    """The streams of events."""

    def __init__(self, runner: Runner, sessions: Sessions, watcher: Watcher | None = None) -> None:
        self._runner = runner
        self._sessions = sessions
        self._watcher = watcher or Watcher(runner)
        self._of_session: Counter[str] = Counter()

    def routes(self) -> tuple[Route, ...]:
        """Return the address of the streams."""
        return (Route(EVENTS, self.stream),)

    async def stream(self, request: Request) -> Response:
        """Tell of changes of `topic`, for those who may see it; 401, 400 or 429 where there is nothing to be told."""
        topic, token = request.query_params.get("topic", ""), self._sessions.token(request) or ""
        device_id = topic.removeprefix(_DEVICE)
        if topic not in OF_ALL and (device_id == topic or not device_id.isprintable()):
            return _refused(400)
        sight = of_no_device(_nothing) if topic in OF_ALL else of_devices([device_id], _nothing)
        if await self._sessions.read(request, sight) is None:
            return _refused(401)
        if self._of_session.total() >= STREAMS or self._of_session[token] >= STREAMS_OF_SESSION:
            return _refused(429)
        headers = {
            **PAGE_HEADERS,
            "X-Accel-Buffering": "no",
        }  # nginx would keep events until it has a page full of them
        self._of_session[token] += 1  # at once: many may come at the same moment
        events = self._events(topic, lambda: self._sessions.read(request, sight))
        return _Counted(events, partial(self._forget, token), media_type="text/event-stream", headers=headers)

    def _forget(self, token: str) -> None:
        self._of_session[token] -= 1
        if not self._of_session[token]:
            del self._of_session[token]

    async def _events(self, topic: str, look: Callable[[], Awaitable[object]]) -> AsyncIterator[str]:
        looked_at = self._runner.now()
        until = looked_at + LIFETIME
        follower = self._watcher.add(topic)
        try:
            yield "retry: 2000\n\n"
            while self._runner.now() < until:
                has_changed = await _has_changed(follower)
                if self._runner.now() - looked_at >= LOOKED_AT_AGAIN:
                    if not await _may_still(look):
                        return
                    looked_at = self._runner.now()
                yield "data: changed\n\n" if has_changed else ": still here\n\n"
        finally:
            self._watcher.remove(follower)


class _Counted(StreamingResponse):
    """A stream that *forget* is told of when it is over, whether it came to begin or not."""

    def __init__(
        self, parts: AsyncIterator[str], forget: Callable[[], None], *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(parts, media_type=media_type, headers=headers)
        self._forget = forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._forget()


async def _has_changed(follower: Follower) -> bool:
    """Wait for a change; False where none came for a while."""
    try:
        await asyncio.wait_for(follower.changed.wait(), HEARTBEAT_SECONDS)
    except TimeoutError:
        return False
    follower.changed.clear()
    return True


async def _may_still(look: Callable[[], Awaitable[object]]) -> bool:
    """Tell whether *look* still finds somebody who is signed in and may see it."""
    try:
        return await look() is not None
    except NotForThem:
        return False
    except Unavailable:
        return True  # the database is away, and nothing else changed; pages say so when they ask


def _nothing(_tx: Transaction) -> None:
    return None


def _refused(status_code: int) -> Response:
    return Response(status_code=status_code, headers=PAGE_HEADERS)
