"""The worker queues order after order, part after part."""

import asyncio

import pytest
import sqlalchemy as sa
from tests.support.fleet import add_device
from tests.support.runner import InlineRunner
from tests.support.site import Site

from muster.domain.bulk_acts import BulkKind
from muster.edges.workers import sends as worker
from muster.edges.workers.sends import SendWorker
from muster.operations.act_by_query import BulkOrder, order_bulk_acts
from muster.operations.send_by_query import SendOrder, order_sends
from muster.protocol.command import CommandRequest
from muster.storage import bulk_acts, schema, sends
from muster.storage.engine import Engine


@pytest.fixture
def site(engine: Engine) -> Site:
    """An installation with two devices."""
    site = Site(engine)
    for name in ("A", "B"):
        add_device(engine, name)
    return site


def order(site: Site, query: str) -> None:
    site.do(order_sends, SendOrder(query, CommandRequest("SecurityInfo")))


def run(runner: InlineRunner, steps: int) -> list[bool]:
    """Make some steps; tells of each whether another is to follow at once."""
    return [asyncio.run(SendWorker(runner).step()) == runner.time for _ in range(steps)]


def waiting(site: Site) -> list[str]:
    return [name for (name,) in site.rows(sa.select(schema.queue.c.channel_id).order_by(schema.queue.c.channel_id))]


def test_orders_that_are_under_way_are_finished(site: Site) -> None:
    order(site, "id = 'A'")
    order(site, "id = 'B'")

    follows = run(site.runner, 3)

    assert follows == [True, True, False]
    assert waiting(site) == ["A", "B"]


def test_order_that_fails_is_ended_and_the_next_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    order(site, "id = 'A'")
    order(site, "id = 'B'")

    def fails(*_: object) -> None:
        raise ValueError("x")

    with monkeypatch.context() as broken:
        broken.setattr(worker, "continue_sends", fails)
        run(site.runner, 1)
    run(site.runner, 1)

    assert waiting(site) == ["B"]
    assert [one.stopped_because for one in site.engine.read(sends.latest)] == [
        None,
        "a fault of the server's: ValueError: x",
    ]


def test_acts_go_on_beside_orders(site: Site) -> None:
    order(site, "id = 'A'")
    site.do(order_bulk_acts, BulkOrder("id = 'B'", BulkKind.PUSH))

    follows = run(site.runner, 2)

    assert follows == [True, False]
    assert waiting(site) == ["A"]
    assert [one.done for one in site.engine.read(bulk_acts.latest)] == [1]


def test_act_that_fails_is_ended_and_the_next_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.do(order_bulk_acts, BulkOrder("id = 'A'", BulkKind.PUSH), BulkOrder("id = 'B'", BulkKind.PUSH))

    def fails(*_: object) -> None:
        raise ValueError("x")

    with monkeypatch.context() as broken:
        broken.setattr(worker, "continue_bulk_acts", fails)
        run(site.runner, 1)
    run(site.runner, 1)

    newest, oldest = site.engine.read(bulk_acts.latest)
    assert (newest.done, newest.stopped_because) == (1, None)
    assert (oldest.done, oldest.stopped_because) == (0, "a fault of the server's: ValueError: x")
