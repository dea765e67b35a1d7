"""The real server inside this process: the same application, doors and workers behind a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from muster.bootstrap.service import Service
from muster.bootstrap.serving import ServedApplication, client_tls, server_config
from muster.settings import Settings

GRACE_SECONDS = 3
"""How long requests in hand may take at the end: nobody waits longer for a prompt."""
TICK_SECONDS = 0.01


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the laboratory."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def serving(service: Service, settings: Settings, bound: socket.socket) -> AsyncIterator[None]:
    """Serve *service* on *bound* as long as the context lasts; both are closed at its end.

    Raises RuntimeError when the server doesn't come up; its log says why.
    """
    tls = client_tls(settings)
    config = server_config(settings, ServedApplication(settings, service, tls), tls)
    config.timeout_graceful_shutdown = GRACE_SECONDS
    server = _Server(config)
    running = asyncio.create_task(_serve(server, bound), name="server")
    try:
        while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn tells by a flag only
            await asyncio.sleep(TICK_SECONDS)
        if not server.started:
            raise RuntimeError("the server did not start")
        yield
    finally:
        server.should_exit = True
        await running


async def _serve(server: _Server, bound: socket.socket) -> None:
    try:
        await server.serve(sockets=[bound])
    except SystemExit as error:  # how uvicorn says that it could not start
        raise RuntimeError("the server did not start") from error
