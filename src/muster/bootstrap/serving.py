"""Serving: one process, or several equal ones, behind one listening socket."""

import asyncio
import fcntl
import gc
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from muster.bootstrap.bounded_http import BoundedHttp
from muster.bootstrap.data_directory import make_data_dir
from muster.bootstrap.logs import set_up_logs
from muster.bootstrap.peers import BehindProxies
from muster.bootstrap.server_tls import ServerTls
from muster.bootstrap.service import Service, open_service
from muster.edges.device.application import AsgiApplication
from muster.edges.device.http import Receive, Scope, Send
from muster.settings import Settings

BACKLOG = 2048
"""Connections that may wait to be accepted: a whole site after an outage."""
KEEP_ALIVE_SECONDS = 15
"""Devices come back for the next command within a second or two; an idle TLS connection costs 40 KB."""
GRACE_SECONDS = 30
"""How long requests in hand may take to finish at a stop."""
WORKER_SILENCE_SECONDS = 30
"""A worker process that doesn't answer its parent this long is replaced; a busy machine needs seconds to start one."""
ORPHAN_CHECK_SECONDS = 1.0
"""How soon a worker process notices that its parent was killed, and ends too: the address must become free."""

GARBAGE_THRESHOLD = 10_000
"""Objects made, less those gone, before a search for garbage. Python's own 700 are fewer than requests in hand hold, so
that nearly every search found nothing; it took a tenth of a connect and doubled the slowest ones' time."""


class AlreadyServed(Exception):
    """Another server runs on this data directory; the message says what to do."""


class ServedApplication:
    """The ASGI application of one process, which opens its node at startup and stops it at shutdown.

    Without *service* it lives in a worker process, and ends when its parent does. Its *tls* is told whom to trust.
    """

    def __init__(self, settings: Settings, service: Service | None = None, tls: ServerTls | None = None) -> None:
        self._settings = settings
        self._service = service
        self.tls = tls
        self._watch: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or live through the lifespan protocol."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._service is not None
        await self._service.application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            if self._service is None:
                self._watch = asyncio.create_task(_end_with_parent(), name="parent")
                set_up_logs(self._settings)
                self._service = open_service(self._settings)
            if self.tls is not None:
                self.tls.trust(self._service.authorities.certificates_der())
                self._service.authorities.tell = self.tls.trust
            await self._service.start()
        except Exception as error:  # said by the server, which then ends the process
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        settle_memory()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def __reduce__(self) -> tuple[type["ServedApplication"], tuple[Settings, None, ServerTls | None]]:
        """Travel to a worker process as settings, and with the TLS that travels beside."""
        return ServedApplication, (self._settings, None, self.tls)


def settle_memory() -> None:
    """Take what the start has made, which stays, out of every later search for garbage, and search less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


async def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    while parent is None or parent.is_alive():  # noqa: ASYNC110 - nothing tells us but asking
        await asyncio.sleep(ORPHAN_CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def listen(settings: Settings) -> socket.socket:
    """Bind the listening socket. Raises OSError when the address can't be had."""
    host, port = settings.listen_host, settings.listen_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.set_inheritable(True)  # worker processes get it
    except OSError:
        bound.close()
        raise
    return bound


def server_config(settings: Settings, application: AsgiApplication, tls: ServerTls | None = None) -> uvicorn.Config:
    """Configure the HTTP server. *tls* makes the context of its TLS; without it nobody is asked for a certificate."""
    return uvicorn.Config(
        BehindProxies(application, settings.trusted_proxies) if settings.trusted_proxies else application,
        http=BoundedHttp,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        proxy_headers=False,  # it would hide who the connection comes from; see BehindProxies
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        ssl_context_factory=None if tls is None else tls.make_context,
        workers=settings.workers,
        timeout_worker_healthcheck=WORKER_SILENCE_SECONDS,
    )


def client_tls(settings: Settings) -> ServerTls | None:
    """Return the TLS that asks for client certificates; None where nobody is asked."""
    return ServerTls() if settings.tls_client_certificates == "ask" else None


def serve(settings: Settings, bound: socket.socket) -> int:
    """Serve on *bound* until SIGTERM or SIGINT ends it, requests in hand being finished; returns the exit code.

    Raises what `open_service` raises, and AlreadyServed.
    """
    make_data_dir(settings)
    with _alone(settings):
        set_up_logs(settings)
        return _serve_many(settings, bound) if settings.workers > 1 else _serve_one(settings, bound)


def _serve_one(settings: Settings, bound: socket.socket) -> int:
    service = open_service(settings)
    tls = client_tls(settings)
    server = uvicorn.Server(server_config(settings, ServedApplication(settings, service, tls), tls))

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it serves, and raises the signal again afterwards: that must not kill us
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        server.run(sockets=[bound])
    except SystemExit:
        return 1  # the reason stands in the log
    return 0


def _serve_many(settings: Settings, bound: socket.socket) -> int:
    open_service(settings).close()  # says at once, and once, what is wrong
    metrics = settings.data_dir / "run" / "metrics"
    _empty(metrics)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    tls = client_tls(settings)
    config = server_config(settings, ServedApplication(settings, tls=tls), tls)
    supervisor = Multiprocess(config, sockets=[bound])
    supervisor.run()
    has_failed = any(process.exitcode not in _ENDED_WELL for process in supervisor.processes)
    return 1 if has_failed else 0


_ENDED_WELL = (0, -signal.SIGTERM, -signal.SIGINT)
"""How worker processes end that were asked to: uvicorn raises the signal again once everything is closed."""


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep a second server off this data directory: both would write the same journal. Raises AlreadyServed."""
    directory = settings.data_dir / "run"
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "server.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyServed(
                f"a server runs on {settings.data_dir} already; stop it, or give this one a --data-dir of its own"
            ) from error
        yield


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
