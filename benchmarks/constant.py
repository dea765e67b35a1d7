"""What the HTTP server alone costs: the same set-up as `muster serve`, answering every request alike.

Run as `python -m benchmarks.constant PORT WORKERS` by the benchmarks, for the denominator of their ratios.
"""

import sys

import uvicorn
from uvicorn.supervisors import Multiprocess

from muster.bootstrap.serving import listen, server_config
from muster.edges.device.http import Receive, Scope, Send
from muster.settings import Settings


async def constant(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the request and answer 200 with nothing, as a connect is answered when nothing waits."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until a signal ends it."""
    port, workers = sys.argv[1:]
    # the settings are not checked against each other: several workers want PostgreSQL only to store something
    settings = Settings.model_validate({"listen": f"127.0.0.1:{port}", "workers": workers})
    config = server_config(settings, constant)
    with listen(settings) as bound:
        print(f"listening on 127.0.0.1:{bound.getsockname()[1]}", file=sys.stderr, flush=True)
        if settings.workers > 1:
            Multiprocess(config, sockets=[bound]).run()
        else:
            uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
