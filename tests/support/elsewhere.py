"""A server that a command line asks from elsewhere: the interface for programs over a data directory, on a socket.

Clock and randomness are the test's, here and there alike, so that the same act is answered in the same words. Workers
run none: what they would do is done by who asks.
"""

import getpass
import io
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp
from tests.support.command_line import CommandLine
from tests.support.runner import NOW

from muster.bootstrap import data_directory
from muster.bootstrap.data_directory import Surroundings
from muster.cli import office, orders_to_many
from muster.cli.acting import ACTING_AS
from muster.cli.connection import Connection, connect
from muster.crypto.keys import RSAPrivateKey
from muster.domain.roles import Role
from muster.edges.api.application import AdminApi, mounted_at_root
from muster.edges.api.endpoints import Site
from muster.operations.act_by_query import continue_bulk_acts
from muster.operations.manage_tokens import NewToken, TokenOrder, create_tokens
from muster.operations.send_by_query import continue_sends
from muster.simulator.keys.published import published_keys

US = "https://mdm.example"


class Circumstances:
    """The clock and the randomness of both sides."""

    def __init__(self) -> None:
        self.time = NOW
        self._random, self._number = random.Random(0), 0

    def begin(self, number: int) -> None:
        """Begin the randomness anew, for the command of this number; what it may read from standard input is there."""
        self._random, self._number = random.Random(number), number
        sys.stdin = io.TextIOWrapper(io.BytesIO(b"correct horse battery staple\n"))

    def new_rsa_key(self, _bits: int) -> RSAPrivateKey:
        """Return a key that was made long ago, another one for each number."""
        return published_keys()[8 + self._number % 16]

    def now(self) -> datetime:
        """Return the time."""
        return self.time

    def random_bytes(self, count: int) -> bytes:
        """Return the next bytes, the same ones after each beginning with the same number."""
        return self._random.randbytes(count)


@contextmanager
def held_still() -> Iterator[Circumstances]:
    """Have commands, here and elsewhere, run at one time with one randomness."""
    circumstances = Circumstances()
    around = Surroundings(
        now=circumstances.now,
        random_bytes=circumstances.random_bytes,
        new_rsa_key=circumstances.new_rsa_key,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", sys.stdin)
        patch.setattr(data_directory, "Surroundings", lambda: around)
        patch.setattr(office, "present", circumstances.now)
        patch.setenv("MUSTER_PUBLIC_URL", US)
        yield circumstances


@contextmanager
def serving(
    data_dir: Path, *, requests_per_minute: int = 100_000, before: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> Iterator[tuple[str, Connection]]:
    """Answer programs over *data_dir* until the block ends; its address, and the data. *before* puts something in front
    of the application."""
    ACTING_AS.set(None)  # as the test's last command left it
    with ExitStack() as stack:
        data = stack.enter_context(connect(data_dir, None, None))
        # a server's worker goes on with sends; here it does so whenever a command waits for it
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(orders_to_many, "pause", lambda _seconds: _work(data))
        api = AdminApi(
            data.runner,
            Site(data.settings.policy(), US, data.settings.organization),
            requests_per_minute=requests_per_minute,
        )
        with answering(before(Starlette(routes=[mounted_at_root(api)]))) as url:
            yield url, data


def _work(data: Connection) -> None:
    data.runner.write_now(continue_sends, [None])
    data.runner.write_now(continue_bulk_acts, [None])


@contextmanager
def answering(app: object, **options: str) -> Iterator[str]:
    """Serve an ASGI application on a socket of the loopback; its address. *options*: of uvicorn."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **options)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        scheme = "https" if options else "http"
        yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def token_of(data: Connection, role: Role = Role.OWNER, *groups: str) -> str:
    """Return the secret of a new token, which is called as who sits here."""
    name = f"{getpass.getuser()}@{socket.gethostname()}"
    [made] = data.runner.write_now(create_tokens, [TokenOrder(name, role, timedelta(days=1), groups)])
    assert isinstance(made, NewToken), made
    return made.secret


class FarCommandLine(CommandLine):
    """`muster` in this process, of a server elsewhere."""

    def __init__(self, url: str, token: str | None, *options: str) -> None:
        super().__init__()
        self._options = ("--server", url, *(() if token is None else ("--token", token)), *options)

    def arguments(self, *arguments: str) -> list[str]:
        """Name the server before the command."""
        return [*self._options, *arguments]


__all__ = ["FarCommandLine", "answering", "held_still", "serving", "token_of"]
