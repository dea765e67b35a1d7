"""/healthz, /readyz and /metrics as supervisors see them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from starlette.applications import Starlette
from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner

from muster.edges.health.readiness import Check
from muster.edges.health.routes import make_health
from muster.operations.views.readiness import NotReady
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

T = TypeVar("T")


def _asker(runner: InlineRunner, checks: Mapping[str, Check] | None = None) -> Browser:
    return Browser(Starlette(routes=make_health(runner, checks or {})))


class _Flickering(InlineRunner):
    """A runner whose database can be taken away."""

    is_gone = False
    reads = 0

    async def read(self, view: Callable[[Transaction], T]) -> T:
        self.reads += 1
        if self.is_gone:
            raise Unavailable("the database can't be used now")
        return await super().read(view)


def _fails(_tx: Transaction) -> str:
    raise NotReady("set the clock")


def test_a_living_process_says_so_whatever_its_database_does(runner: InlineRunner) -> None:
    gone = _Flickering(runner.engine)
    gone.is_gone = True

    reply = _asker(gone, {"clock": _fails}).get("/healthz")

    assert (reply.status, reply.text) == (200, "ok\n")


def test_ready_names_each_check_with_what_it_found(runner: InlineRunner) -> None:
    reply = _asker(runner, {"schema": lambda _: "schema 1"}).get("/readyz")

    assert reply.status == 200
    assert reply.json() == {
        "status": "ready",
        "checks": {
            "database": {"status": "ok", "detail": "answers"},
            "schema": {"status": "ok", "detail": "schema 1"},
        },
    }


def test_one_failed_check_is_a_problem_document_that_names_it(runner: InlineRunner) -> None:
    reply = _asker(runner, {"schema": lambda _: "schema 1", "clock": _fails}).get("/readyz")

    assert reply.status == 503
    assert reply.header("content-type") == "application/problem+json"
    assert reply.header("retry-after") == "5"
    problem = reply.json()
    assert (problem["status"], problem["title"], problem["detail"]) == (503, "Not ready", "clock: set the clock")
    assert problem["checks"]["schema"]["status"] == "ok"
    assert problem["checks"]["clock"] == {"status": "failed", "detail": "set the clock"}


def test_without_a_database_nothing_else_is_checked(runner: InlineRunner) -> None:
    gone = _Flickering(runner.engine)
    gone.is_gone = True

    problem = _asker(gone, {"schema": lambda _: "schema 1"}).get("/readyz").json()

    assert problem["checks"]["database"]["status"] == "failed"
    assert problem["checks"]["schema"]["status"] == "not checked"


def test_many_probes_in_one_second_are_one_run(runner: InlineRunner) -> None:
    counting = _Flickering(runner.engine)
    asker = _asker(counting)

    for _ in range(5):
        asker.get("/readyz")
    once = counting.reads
    counting.time = NOW + timedelta(seconds=1)
    asker.get("/readyz")

    assert (once, counting.reads) == (1, 2)


def test_readiness_comes_back_with_the_database(runner: InlineRunner) -> None:
    flickering = _Flickering(runner.engine)
    asker = _asker(flickering)
    statuses = []

    for second, is_gone in enumerate([False, True, False]):
        flickering.is_gone = is_gone
        flickering.time = NOW + timedelta(seconds=second)
        statuses.append(asker.get("/readyz").status)

    assert statuses == [200, 503, 200]


def test_metrics_are_text_that_prometheus_reads(runner: InlineRunner) -> None:
    fleet.add_device(runner.engine, "A")
    fleet.add_device(runner.engine, "B", state="ended")
    fleet.add_push_certificate(runner.engine, NOW)

    reply = _asker(runner).get("/metrics")

    assert reply.status == 200
    assert reply.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.text.splitlines()
    assert 'muster_channels{kind="Device",state="enrolled"} 1.0' in lines
    assert 'muster_channels{kind="Device",state="ended"} 1.0' in lines
    assert "muster_fleet_readable 1.0" in lines
    [line] = [line for line in lines if line.startswith("muster_push_certificate_not_after_seconds{")]
    assert line.startswith('muster_push_certificate_not_after_seconds{topic="com.apple.mgmt.External.test"} ')
    assert float(line.rpartition(" ")[2]) == NOW.timestamp()


def test_the_fleet_is_counted_at_most_every_ten_seconds(runner: InlineRunner) -> None:
    counting = _Flickering(runner.engine)
    asker = _asker(counting)

    for second in range(10):
        counting.time = NOW + timedelta(seconds=second)
        asker.get("/metrics")
    at_first = counting.reads
    counting.time = NOW + timedelta(seconds=10)
    asker.get("/metrics")

    assert (at_first, counting.reads) == (1, 2)


def test_without_a_database_the_process_still_tells_its_own_metrics(runner: InlineRunner) -> None:
    gone = _Flickering(runner.engine)
    gone.is_gone = True

    text = _asker(gone).get("/metrics").text

    assert "muster_fleet_readable 0.0" in text
    assert "muster_channels" not in text
    assert "python_info" in text
