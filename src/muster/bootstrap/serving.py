"""Serving: one process, or several equal ones, behind one listening socket."""

import os
import shutil
import socket
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from muster.bootstrap.logs import set_up_logs
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


class ServedApplication:
    """The ASGI application of one process, which opens its node at startup and stops it at shutdown."""

    def __init__(self, settings: Settings, service: Service | None = None) -> None:
        self._settings = settings
        self._service = service

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
                set_up_logs(self._settings)
                self._service = open_service(self._settings)
            await self._service.start()
        except Exception as error:  # said by the server, which then ends the process
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def __reduce__(self) -> tuple[type["ServedApplication"], tuple[Settings]]:
        """Travel to a worker process as settings alone."""
        return ServedApplication, (self._settings,)


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


def server_config(settings: Settings, application: AsgiApplication) -> uvicorn.Config:
    """Configure the HTTP server."""
    return uvicorn.Config(
        application,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        workers=settings.workers,
    )


def serve(settings: Settings, bound: socket.socket) -> int:
    """Serve on *bound* until a signal ends it; returns the exit code."""
    set_up_logs(settings)
    if settings.workers > 1:
        return _serve_many(settings, bound)
    service = open_service(settings)
    server = uvicorn.Server(server_config(settings, ServedApplication(settings, service)))
    server.run(sockets=[bound])
    return 0 if server.started else 1


def _serve_many(settings: Settings, bound: socket.socket) -> int:
    open_service(settings).close()  # says at once, and once, what is wrong
    metrics = settings.data_dir / "run" / "metrics"
    _empty(metrics)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    config = server_config(settings, ServedApplication(settings))
    Multiprocess(config, sockets=[bound]).run()
    return 0


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
