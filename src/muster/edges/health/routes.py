"""The three addresses: /healthz, /readyz, /metrics."""

from collections.abc import Mapping

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from muster.edges.health.metrics import Exposition
from muster.edges.health.problems import NOT_KEPT, problem
from muster.edges.health.readiness import TIMEOUT_SECONDS, Check, Prober, Readiness
from muster.operations.ports import Runner

RETRY_AFTER_SECONDS = 5


def make_health(
    runner: Runner, checks: Mapping[str, Check], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> list[BaseRoute]:
    """Make the routes that tell of this process's health.

    *checks* are run by name, in one reading transaction, after the check `database` which is always there; those of
    muster.operations.views.readiness are meant. None of the routes asks who is asking, and none tells a secret.
    """
    endpoints = _Endpoints(Prober(runner, checks, timeout_seconds=timeout_seconds), Exposition(runner))
    return [
        Route("/healthz", endpoints.healthz),
        Route("/readyz", endpoints.readyz),
        Route("/metrics", endpoints.metrics),
    ]


class _Endpoints:
    def __init__(self, prober: Prober, exposition: Exposition) -> None:
        self._prober = prober
        self._exposition = exposition

    async def healthz(self, _request: Request) -> Response:
        """The process lives and its event loop turns: no more is asked, so that no restart follows a database's."""
        return PlainTextResponse("ok\n", headers=NOT_KEPT)

    async def readyz(self, _request: Request) -> Response:
        readiness = await self._prober.probe()
        checks = {"checks": _as_json(readiness)}
        if readiness.is_ready:
            return JSONResponse({"status": "ready", **checks}, headers=NOT_KEPT)
        failed = [name for name, finding in readiness.findings.items() if finding.is_ok is False]
        detail = "; ".join(f"{name}: {readiness.findings[name].detail}" for name in failed)
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return problem(503, "Not ready", detail, extensions=checks, headers=retry)

    async def metrics(self, _request: Request) -> Response:
        # the media type is given whole: Starlette would add a second charset
        headers = {**NOT_KEPT, "Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        return Response(await self._exposition.render(), headers=headers)


def _as_json(readiness: Readiness) -> dict[str, dict[str, str]]:
    words = {True: "ok", False: "failed", None: "not checked"}
    return {
        name: {"status": words[finding.is_ok], "detail": finding.detail} for name, finding in readiness.findings.items()
    }
