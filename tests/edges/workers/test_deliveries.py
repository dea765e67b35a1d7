"""The worker delivers what is due to a real receiver, and sends again what was not taken or not recorded."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.site import Site

from muster.domain.control.telling import Telling
from muster.domain.events import Event, EventType
from muster.edges.webhooks.sender import HttpEventSender, receivers_tls
from muster.edges.workers.deliveries import DeliveryWorker
from muster.operations.deliver_events import LEASE, record_errands
from muster.operations.manage_webhooks import NewWebhook, WebhookOrder, add_webhooks
from muster.operations.ports import EventAnswer, EventRequest, EventSender
from muster.protocol.identifiers import ChannelId
from muster.storage import outbox, schema, tellings
from muster.storage.engine import Engine
from muster.storage.errors import Unavailable
from muster.storage.tellings import MassFlip, StoredTelling


class Receiver:
    """A receiver on loopback: answers with *statuses* in turn, then with 204, and keeps what was signed rightly."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.secret = ""
        self.heard: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(headers["Content-Length"]))
        parts = dict(one.split("=", 1) for one in headers["Muster-Signature"].split(","))
        mark = hmac.new(self.secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
        status = self.statuses.pop(0) if self.statuses else 204
        if hmac.compare_digest(mark, parts["v1"]):
            self.heard.append(json.loads(body) | {"status": status})
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def happen(site: Site, *names: str) -> list[str]:
    context = site.runner.context()
    events = [Event(context.new_id(), EventType.DEVICE_ENROLLED, ChannelId(one), site.now) for one in names]
    site.engine.write(lambda tx: outbox.append(tx, events))
    return [one.id for one in events]


def deliver(site: Site, receiver: Receiver, *, kill_after: int | None = None) -> None:
    """Run the worker until nothing is left to deliver, time passing as it asks for; it may be killed after some steps.

    Killed: what it sent has come through, and none of it is recorded.
    """

    async def run() -> None:
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = sa.update(schema.webhooks).values(url=f"http://127.0.0.1:{port}/in")
        site.engine.write(lambda tx: tx.connection.execute(url))
        woken = asyncio.Event()
        worker = DeliveryWorker(site.runner, HttpEventSender(receivers_tls(None)), woken.set)
        steps = 0
        while site.rows(sa.select(schema.outbox.c.sequence)):
            woken.clear()
            due = await worker.step()
            steps += 1
            if worker.is_busy:
                await woken.wait()
            elif due is not None:
                site.runner.time = max(site.runner.time, due)
            if steps == kill_after:
                break
        server.close()

    asyncio.run(run())


@pytest.fixture
def receiver(site: Site) -> Receiver:
    made = site.do(add_webhooks, WebhookOrder("siem", "http://x/", allows_plain=True, allows_private=True))[0]
    assert isinstance(made, NewWebhook)
    receiver = Receiver()
    receiver.secret = made.secret
    return receiver


def test_events_come_in_the_order_of_their_channel_with_signatures_that_hold(site: Site, receiver: Receiver) -> None:
    events = happen(site, "A", "B", "A", "A", "B")

    deliver(site, receiver)

    def of(name: str) -> list[str]:
        return [one["id"] for one in receiver.heard if one["channel_id"] == name]

    assert of("A") == [events[0], events[2], events[3]]
    assert of("B") == [events[1], events[4]]


def test_receiver_that_fails_hears_the_same_event_until_he_takes_it(site: Site, receiver: Receiver) -> None:
    (first, second) = happen(site, "A", "A")
    receiver.statuses = [500, 503, 302, 404, 500]

    deliver(site, receiver)

    heard = [(one["id"], one["status"]) for one in receiver.heard]
    assert heard == [*((first, status) for status in (500, 503, 302, 404, 500)), (first, 204), (second, 204)]


def test_node_that_dies_between_sending_and_recording_has_the_event_seen_twice_under_its_id(
    site: Site, receiver: Receiver
) -> None:
    (event,) = happen(site, "A")
    deliver(site, receiver, kill_after=1)
    assert len(receiver.heard) == 1
    site.runner.time += LEASE

    deliver(site, receiver)

    assert [one["id"] for one in receiver.heard] == [event, event]


class AtOnce:
    """Takes everything at once."""

    async def send(self, request: EventRequest) -> EventAnswer:
        assert request.body
        return EventAnswer(204)


class Breaking:
    """Has a fault of ours."""

    async def send(self, request: EventRequest) -> EventAnswer:
        raise KeyError(request.content_type)


def step_until_answered(site: Site, sender: EventSender) -> DeliveryWorker:
    """Make a step that sends one event, and one that records what became of it."""
    answered = asyncio.Event()
    worker = DeliveryWorker(site.runner, sender, answered.set)

    async def run() -> None:
        await worker.step()
        await answered.wait()
        await worker.step()

    with suppress(Unavailable):
        asyncio.run(run())
    return worker


@pytest.mark.usefixtures("receiver")
def test_outcome_that_could_not_be_recorded_is_recorded_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(site, "A")
    write, is_away = site.runner.write, [True]

    async def writing(operation: Any, items: Sequence[Any]) -> list[Any]:
        if operation is record_errands and is_away.pop():
            raise Unavailable("away")
        return await write(operation, items)

    monkeypatch.setattr(site.runner, "write", writing)
    worker = step_until_answered(site, AtOnce())
    assert site.rows(sa.select(schema.deliveries.c.event_id)) == []
    is_away.append(False)

    asyncio.run(worker.drain())

    assert len(site.rows(sa.select(schema.deliveries.c.event_id))) == 1


@pytest.mark.usefixtures("receiver")
def test_fault_of_ours_is_a_failure_like_another(site: Site) -> None:
    happen(site, "A")

    step_until_answered(site, Breaking())

    assert site.rows(sa.select(schema.outbox.c.last_error)) == [("a fault of ours",)]


def test_worker_goes_on_with_a_mass_flip_that_somebody_decided(site: Site) -> None:
    site.engine.write(lambda tx: tellings.add_flip(tx, MassFlip("F", site.now, 20, 100, 10)))
    site.engine.write(lambda tx: tellings.write(tx, [StoredTelling(ChannelId("A"), Telling(), held_by="F")]))
    site.engine.write(lambda tx: tellings.end_flip(tx, "F", at=site.now, by="ana", is_released=True))

    asyncio.run(DeliveryWorker(site.runner, AtOnce(), lambda: None).step())

    assert site.rows(sa.select(schema.tellings.c.held_by)) == [(None,)]
