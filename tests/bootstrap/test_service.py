"""A node that is put together is taken apart again, whatever was started, sent, or failed in between."""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from starlette.routing import Route
from tests.support.browser import Browser
from tests.support.runner import InlineRunner

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.service import Service, open_service
from muster.domain.control.self_watch import DiskSpace
from muster.edges.console.app import make_console
from muster.edges.console.sessions import EVENTS
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import Push
from muster.settings import read_settings
from muster.storage import push
from muster.storage.sqlite import SqliteEngine


class Idle:
    """A push service that is never sent anything; it fails to close where told."""

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = 0
        self._fails = fails

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        raise AssertionError(credentials.topic, len(pushes), settle)

    async def close(self) -> None:
        self.closed += 1
        if self._fails:
            raise OSError("a socket that won't")


def a_service(directory: Path, sender: Idle | None = None, disk: DiskSpace | None = None) -> Service:
    settings = read_settings({"data_dir": directory / "data", "public_url": "https://muster.example"}, {})
    around = Surroundings(poll=None, durable=False, disk=lambda _directory: disk)
    return open_service(settings, around, push_sender=sender)


def test_what_was_never_started_closes_without_a_word(tmp_path: Path) -> None:
    a_service(tmp_path).close()


def test_what_never_pushed_stops_with_the_real_sender_unused(tmp_path: Path) -> None:
    async def main() -> None:
        service = a_service(tmp_path)
        await service.start()
        await service.stop()

    asyncio.run(main())


def test_stopping_ends_the_workers_before_the_sender_and_the_database_last(tmp_path: Path) -> None:
    sender = Idle()

    async def main() -> Service:
        service = a_service(tmp_path, sender)
        await service.start()
        await asyncio.sleep(0)
        await service.stop()
        return service

    service = asyncio.run(main())

    assert sender.closed == 1
    with pytest.raises(RuntimeError, match="shutdown"):
        asyncio.run(service.runner.read(push.next_due))


def test_sender_that_fails_to_close_leaves_no_database_open(tmp_path: Path) -> None:
    async def main() -> Service:
        service = a_service(tmp_path, Idle(fails=True))
        await service.start()
        with pytest.raises(OSError, match="won't"):
            await service.stop()
        return service

    service = asyncio.run(main())

    with pytest.raises(RuntimeError, match="shutdown"):
        asyncio.run(service.runner.read(push.next_due))


def test_a_node_whose_disk_is_full_is_not_ready(tmp_path: Path) -> None:
    async def main() -> tuple[int, str]:
        service = a_service(tmp_path, disk=DiskSpace(free=1000, total=2**40))
        await service.start()
        reply = await asyncio.to_thread(Browser(service.application).get, "/readyz")
        await service.stop()
        return reply.status, reply.json()["detail"]

    status, detail = asyncio.run(main())

    assert status == 503
    assert detail.startswith("disk: 0 MiB are free")


def test_every_address_of_the_console_is_the_consoles_among_all_doors(
    tmp_path: Path, sqlite_engine: SqliteEngine
) -> None:
    console = make_console(InlineRunner(sqlite_engine), secure_cookies=False)
    asked = [
        (method, re.sub(r"\{[^}]+\}", "x", route.path))
        for route in console.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if route.path != EVENTS  # it never ends
    ]
    same_origin = [("sec-fetch-site", "same-origin")]

    async def main() -> list[int]:
        service = a_service(tmp_path)
        await service.start()
        whole = Browser(service.application)
        found = [(await asyncio.to_thread(whole.ask, *one, same_origin)).status for one in asked]
        await service.stop()
        return found

    found = asyncio.run(main())

    assert len(found) > 100
    assert dict(zip(asked, found, strict=True)) == {
        one: Browser(console).ask(*one, same_origin).status for one in asked
    }
