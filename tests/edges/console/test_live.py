"""Open pages are told that something changed: by one watcher, within bounds, and nobody learns what isn't theirs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from tests.edges.console.test_people_pages import ANA, signed_in
from tests.support.browser import Browser
from tests.support.runner import InlineRunner
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.roles import Role
from muster.edges.console.app import make_console
from muster.edges.console.live import LOOKED_AT_AGAIN, STREAMS_OF_SESSION, EventPages, Follower, Watcher
from muster.edges.console.sessions import Sessions
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.set_roles import AccessOrder, RoleOrder, set_access, set_roles
from muster.operations.sign_in import sign_out as leave
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

T = TypeVar("T")
DEVICE = id_of(MAC)


class Counting(InlineRunner):
    """A runner that counts what is read, and whose database may be gone for the first of it."""

    reads = 0
    gone_for = 0

    async def read(self, view: Callable[[Transaction], T]) -> T:
        self.reads += 1
        if self.reads <= self.gone_for:
            raise Unavailable("the database can't be used now")
        return await super().read(view)


@asynccontextmanager
async def stream(app: Any, cookies: dict[str, str], topic: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """An open stream: what is awaited is its next part, the status first."""
    parts: asyncio.Queue[str] = asyncio.Queue()
    left = asyncio.Event()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/events",
        "raw_path": b"/events",
        "query_string": f"topic={quote(topic)}".encode(),
        "root_path": "",
        "http_version": "1.1",
        "scheme": "http",
        "headers": [(b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode())],
        "client": ("127.0.0.1", 5000),
        "server": ("localhost", 80),
    }

    async def receive() -> dict[str, object]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        parts.put_nowait(str(message["status"]) if "status" in message else message["body"].decode())

    task = asyncio.create_task(app(scope, receive, send))

    async def next_part() -> str:
        return await asyncio.wait_for(parts.get(), 10)

    try:
        yield next_part
    finally:
        left.set()
        await task


def console_of(runner: InlineRunner, watcher: Watcher | None = None) -> Starlette:
    """The streams alone, with a watcher that hardly rests."""
    sessions = Sessions(runner, secure_cookies=False)
    return Starlette(routes=EventPages(runner, sessions, watcher or Watcher(runner, tick=0.001)).routes())


def test_a_page_is_told_when_its_device_changes(ana: Browser, site: Site) -> None:
    identity = site.enroll()
    app = console_of(site.runner)

    async def follow() -> list[str]:
        async with stream(app, ana.cookies, f"device:{DEVICE}") as next_part:
            begun = [await next_part() for _ in range(3)]
            site.wait(minutes=1)
            site.connect(identity)
            return [*begun, await next_part()]

    assert asyncio.run(follow()) == ["200", "retry: 2000\n\n", "data: changed\n\n", "data: changed\n\n"]


@pytest.mark.parametrize("topic", ["fleet", "devices", "commands"])
def test_what_is_about_everybody_is_told_too(ana: Browser, site: Site, topic: str) -> None:
    async def follow() -> list[str]:
        async with stream(console_of(site.runner), ana.cookies, topic) as next_part:
            begun = [await next_part() for _ in range(3)]
            site.wait(minutes=1)
            return [*begun, await next_part()]

    assert asyncio.run(follow())[2:] == ["data: changed\n\n"] * 2


def test_one_watcher_reads_for_all_and_ends_with_the_last(ana: Browser, site: Site) -> None:
    site.enroll(MAC)
    site.enroll(IPAD)
    runner = Counting(site.engine)
    watcher = Watcher(runner, tick=0.01)

    async def follow() -> tuple[set[int], int]:
        async def reads_when_told(follower: Follower) -> int:
            await follower.changed.wait()
            return runner.reads

        followers = [watcher.add(f"device:{id_of(one)}") for one in (MAC, IPAD) for _ in range(50)]
        after_first = set(await asyncio.wait_for(asyncio.gather(*map(reads_when_told, followers)), 60))
        for one in followers:
            watcher.remove(one)
        await asyncio.sleep(0)
        watching = [one for one in asyncio.all_tasks() if one.get_name() == "watcher of the console"]
        return after_first, len(watching)

    assert asyncio.run(follow()) == ({1}, 0)
    assert watcher.count == 0


def test_a_database_that_is_gone_for_a_while_ends_no_stream(ana: Browser, site: Site) -> None:
    site.enroll()
    runner = Counting(site.engine)
    watcher = Watcher(runner, tick=0.001)

    async def follow() -> bool:
        runner.gone_for = 3
        follower = watcher.add(f"device:{DEVICE}")
        told = await asyncio.wait_for(follower.changed.wait(), 10)
        watcher.remove(follower)
        return told

    assert asyncio.run(follow())


def test_streams_are_for_who_may_see(ana: Browser, site: Site, runner: InlineRunner) -> None:
    site.enroll(MAC)
    site.enroll(IPAD)
    site.do(create_groups, GroupOrder("ipads", f"id = '{id_of(IPAD)}'"))
    ben = signed_in(runner, "ben", Role.VIEWER, "ipads")

    assert Browser(ana.app).get("/events?topic=fleet").status == 401
    assert ben.get(f"/events?topic=device:{DEVICE}").status == 404
    assert ben.get("/events?topic=device:NOBODY").status == 404
    assert ana.get("/events?topic=weather").status == 400
    assert ana.get("/events?topic=device:%00").status == 400


def test_a_session_has_a_few_streams_and_one_that_ended_makes_room(ana: Browser, site: Site) -> None:
    app = console_of(site.runner)

    async def first(next_part: Callable[[], Awaitable[str]]) -> str:
        status = await next_part()
        if status == "200":
            await next_part()
        return status

    async def follow() -> list[str]:
        statuses = []
        async with stream(app, ana.cookies, "fleet") as one, stream(app, ana.cookies, "fleet") as two:
            statuses += [await first(one), await first(two)]
            async with stream(app, ana.cookies, "fleet") as three, stream(app, ana.cookies, "fleet") as four:
                statuses += [await first(three), await first(four)]
                async with stream(app, ana.cookies, "fleet") as five:
                    statuses.append(await first(five))
            async with stream(app, ana.cookies, "fleet") as six:
                statuses.append(await first(six))
        return statuses

    assert STREAMS_OF_SESSION == 4
    assert asyncio.run(follow()) == ["200", "200", "200", "200", "429", "200"]


class Slow(InlineRunner):
    """A runner during whose reads others go on."""

    async def read(self, view: Callable[[Transaction], T]) -> T:
        await asyncio.sleep(0)
        return await super().read(view)


def test_as_few_streams_are_there_when_all_are_asked_for_at_once(ana: Browser, site: Site) -> None:
    app = console_of(Slow(site.engine))

    async def ask() -> list[str]:
        async with AsyncExitStack() as stack:
            asked = [await stack.enter_async_context(stream(app, ana.cookies, "fleet")) for _ in range(10)]
            return [await one() for one in asked]

    assert sorted(asyncio.run(ask())) == ["200"] * STREAMS_OF_SESSION + ["429"] * (10 - STREAMS_OF_SESSION)


def sign_out(ana: Browser, site: Site) -> None:
    site.runner.engine.write(lambda tx: leave(tx, [ana.cookies["muster_session"]], site.runner.context()))


def shut_out(_ana: Browser, site: Site) -> None:
    site.do(set_access, AccessOrder("ben", is_disabled=True))


def put_elsewhere(_ana: Browser, site: Site) -> None:
    site.do(set_roles, RoleOrder("ben", Role.VIEWER, ("ipads",)), actor=ANA)


@pytest.mark.parametrize("happens", [sign_out, shut_out, put_elsewhere])
def test_a_stream_ends_with_the_session_and_the_scope(
    ana: Browser, site: Site, runner: InlineRunner, happens: Callable[[Browser, Site], None]
) -> None:
    identity = site.enroll(MAC)
    site.do(create_groups, GroupOrder("ipads", f"id = '{id_of(IPAD)}'"))
    ben = signed_in(runner, "ben", Role.VIEWER)

    async def follow() -> list[str]:
        async with stream(console_of(runner), ben.cookies, f"device:{DEVICE}") as next_part:
            begun = [await next_part() for _ in range(3)]
            happens(ben, site)
            site.wait(seconds=LOOKED_AT_AGAIN.total_seconds())
            site.connect(identity)
            return [*begun, await next_part()]

    assert asyncio.run(follow()) == ["200", "retry: 2000\n\n", "data: changed\n\n", ""]


def test_a_page_that_is_left_open_shows_nobodys_presence(ana: Browser, runner: InlineRunner) -> None:
    async def follow() -> str:
        async with stream(console_of(runner), ana.cookies, "fleet") as next_part:
            return await next_part()

    statuses = []
    for _ in range(4):
        runner.time += timedelta(minutes=50)
        statuses.append(asyncio.run(follow()))

    assert statuses == ["200", "200", "401", "401"]


def test_a_stream_is_not_compressed_and_not_kept(ana: Browser, runner: InlineRunner, site: Site) -> None:
    async def follow() -> str:
        async with stream(make_console(runner, secure_cookies=False), ana.cookies, "fleet") as next_part:
            return await next_part() + await next_part()

    assert asyncio.run(follow()) == "200retry: 2000\n\n"
