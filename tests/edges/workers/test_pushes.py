"""The push worker: each push is sent once, each outcome recorded, whatever is slow, fails, or stops in between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import push_certificate
from tests.support.push_files import have_push_certificate
from tests.support.pushed_fleet import add_fleet, breaker, due_times, wish_all, wishes
from tests.support.site import TOPIC, Site

from muster.crypto.certificates import fingerprint
from muster.crypto.errors import CannotDecrypt
from muster.domain.access import SERVER, Actor
from muster.edges.workers.pushes import DRAIN_SECONDS, PushWorker
from muster.laboratory.virtual_time import VirtualTimeLoop
from muster.operations.load_push_credentials import load_push_credentials
from muster.operations.ports import PushCredentials, PushReceipt
from muster.operations.push_devices import claim_pushes, record_push_outcomes
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.apns import OutcomeClass, Push, PushOutcome
from muster.protocol.identifiers import ChannelId
from muster.storage import schema
from muster.storage.engine import Engine
from muster.storage.errors import Unavailable

Settle = Callable[[PushReceipt], None]
ACCEPTED = PushOutcome(OutcomeClass.ACCEPTED, 200)
GAVE_UP = PushOutcome(OutcomeClass.NO_ANSWER, 0)


class PatientSender:
    """A push service that answers when the test says so; *at_once*: as soon as it is asked. Lacks a network."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.sent: list[tuple[bytes, Push]] = []
        self._at_once = at_once
        self._unsettled: dict[str, Settle] = {}
        self._closed = False

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Settle) -> None:
        if self._closed:
            raise RuntimeError("closed")
        for push in pushes:
            self.sent.append((credentials.fingerprint, push))
            self._unsettled[push.apns_id] = settle
            if self._at_once:
                self.answer(push)

    async def close(self) -> None:
        self._closed = True
        for apns_id in list(self._unsettled):
            self._settle(apns_id, GAVE_UP)

    def answer(self, *pushes: Push, outcome: PushOutcome = ACCEPTED) -> None:
        """Answer *pushes*, all that wait when there are none."""
        for apns_id in [push.apns_id for push in pushes] or list(self._unsettled):
            self._settle(apns_id, outcome)

    @property
    def pushes(self) -> list[Push]:
        """What was handed to it, in order."""
        return [push for _, push in self.sent]

    def _settle(self, apns_id: str, outcome: PushOutcome) -> None:
        self._unsettled.pop(apns_id)(PushReceipt(apns_id, outcome, 0.25))


class Troubled:
    """A runner whose operations fail as `failing` says: how often yet, and with what."""

    def __init__(self, site: Site) -> None:
        self._inner = site.runner
        self.failing: dict[Any, list[Exception]] = {}
        self.poison: str | None = None
        self.commits_and_fails = False
        self.batches: list[int] = []

    async def write(self, operation: Any, items: Sequence[Any], actor: Actor = SERVER) -> list[Any]:
        if operation is record_push_outcomes:
            self.batches.append(len(items))
            if any(item.claimed.channel_id == self.poison for item in items):
                raise ValueError("a row that can't be")
        if self.failing.get(operation):
            if self.commits_and_fails:
                await self._inner.write(operation, items, actor)
            raise self.failing[operation].pop(0)
        return await self._inner.write(operation, items, actor)

    async def read(self, view: Any) -> Any:
        return await self._inner.read(view)

    def now(self) -> Any:
        return self._inner.now()


class Node:
    """A worker with its sender over a site."""

    def __init__(self, site: Site, *, at_once: bool = False, room: int = 100, record_limit: int = 1000) -> None:
        self.woken = 0
        self.runner = Troubled(site)
        self.sender = PatientSender(at_once=at_once)
        self.worker = PushWorker(
            self.runner, self.sender, self._wake, maximum_under_way=room, record_limit=record_limit
        )

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def site(engine: Engine) -> Site:
    """A site that has the push certificate of its devices' topic."""
    site = Site(engine)
    have_push_certificate(site)
    return site


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run *main* in virtual time."""

    async def awaited() -> None:
        await main()

    VirtualTimeLoop().run(awaited())


def wish_for(site: Site, count: int, name: str = "A") -> list[ChannelId]:
    """Wish to push a new fleet of *count*."""
    ids = add_fleet(site, count, name=name)
    wish_all(site, ids)
    return ids


def logged(site: Site) -> list[str]:
    """The channels of the recorded outcomes, sorted."""
    return sorted(row[0] for row in site.rows(sa.select(schema.pushes.c.channel_id)))


def test_what_is_due_is_sent_and_its_outcome_recorded_by_the_next_step(site: Site) -> None:
    ids = wish_for(site, 3)
    node = Node(site)

    async def main() -> None:
        assert await node.worker.step() == site.now + site.runner.policy.push_lease
        assert [push.token.decode() for push in node.sender.pushes] == ids
        node.sender.answer()
        assert node.woken == 1  # once for all that arrive together
        await node.worker.step()

    run(main)

    assert logged(site) == ids
    assert wishes(site) == dict.fromkeys(ids, (None, 1, 0))


def test_slow_answer_keeps_nobody_waiting(site: Site) -> None:
    ids = wish_for(site, 3)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        node.sender.answer(node.sender.pushes[0], node.sender.pushes[2])
        others = wish_for(site, 2, "B")
        await node.worker.step()
        assert logged(site) == [ids[0], ids[2]]
        assert [push.token.decode() for push in node.sender.pushes[3:]] == others

    run(main)


def test_answers_that_come_before_send_returns_are_recorded(site: Site) -> None:
    ids = wish_for(site, 5)
    node = Node(site, at_once=True)

    async def main() -> None:
        assert await node.worker.step() == site.now
        await node.worker.step()

    run(main)

    assert logged(site) == ids


def test_no_more_is_claimed_than_there_is_room_for(site: Site) -> None:
    ids = wish_for(site, 5)
    node = Node(site, room=2)

    async def main() -> None:
        assert await node.worker.step() == site.now  # there is more, as far as it knows
        assert await node.worker.step() is None
        assert len(node.sender.sent) == 2
        node.sender.answer(node.sender.pushes[1])
        await node.worker.step()
        assert len(node.sender.sent) == 3
        node.sender.answer()
        await node.worker.step()
        assert len(node.sender.sent) == 5

    run(main)

    assert sorted(push.token.decode() for push in node.sender.pushes) == ids


def test_a_new_certificate_is_used_at_once_on_every_node(site: Site) -> None:
    first, second = Node(site), Node(site)
    renewed = push_certificate(TOPIC, serial_number=9)

    async def main() -> None:
        for number, node in enumerate((first, second)):
            wish_for(site, 1, f"before {number}")
            await node.worker.step()
        upload = UploadedPushCertificate(renewed.certificate_pem, renewed.key_pem)
        site.do(upload_push_certificates, upload)
        for number, node in enumerate((first, second)):
            wish_for(site, 1, f"after {number}")
            await node.worker.step()

    run(main)

    for node in (first, second):
        before, after = (used for used, _ in node.sender.sent)
        assert before != after == fingerprint(renewed.certificate_der)


def test_two_nodes_never_send_the_same_push(site: Site) -> None:
    ids = wish_for(site, 9)
    first, second = Node(site, room=4), Node(site)

    async def main() -> None:
        await asyncio.gather(first.worker.step(), second.worker.step())
        for node in (first, second):
            node.sender.answer()
            await node.worker.step()

    run(main)

    assert sorted(push.token.decode() for node in (first, second) for push in node.sender.pushes) == ids
    assert logged(site) == ids


# --- what fails -------------------------------------------------------------------------------------------------------


def test_outcomes_that_could_not_be_recorded_are_recorded_later_and_nobody_is_pushed_twice(site: Site) -> None:
    ids = wish_for(site, 3)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        node.sender.answer(*node.sender.pushes[:2])
        node.runner.failing[record_push_outcomes] = [Unavailable("down"), Unavailable("down")]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await node.worker.step()
            assert logged(site) == []
        node.sender.answer()
        await node.worker.step()

    run(main)

    assert logged(site) == ids
    assert len(node.sender.sent) == 3
    assert wishes(site) == dict.fromkeys(ids, (None, 1, 0))


def test_outcomes_that_wait_behind_one_that_could_not_be_recorded_are_kept(site: Site) -> None:
    ids = wish_for(site, 11)
    node = Node(site, room=20, record_limit=10)

    async def main() -> None:
        await node.worker.step()
        await node.worker.step()
        node.sender.answer()
        node.runner.failing[record_push_outcomes] = [Unavailable("down")]
        with pytest.raises(Unavailable):
            await node.worker.step()
        await node.worker.step()

    run(main)

    assert logged(site) == sorted(ids)


def test_what_was_claimed_and_could_not_be_sent_takes_its_room(site: Site) -> None:
    wish_for(site, 4)
    node = Node(site, room=2)

    async def main() -> None:
        node.runner.failing[load_push_credentials] = [Unavailable("down"), Unavailable("down")]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await node.worker.step()
        await node.worker.step()

    run(main)

    assert len(node.sender.sent) == 2


def test_nobody_is_woken_by_what_is_given_up_after_stopping(site: Site) -> None:
    wish_for(site, 1)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        await node.worker.drain()
        await node.sender.close()

    run(main)

    assert node.woken == 0


def test_outcomes_whose_commit_came_through_although_it_seemed_to_fail_are_recorded_once(site: Site) -> None:
    ids = wish_for(site, 3)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        node.sender.answer()
        node.runner.failing[record_push_outcomes] = [Unavailable("the connection was lost")]
        node.runner.commits_and_fails = True
        with pytest.raises(Unavailable):
            await node.worker.step()
        await node.worker.step()

    run(main)

    assert logged(site) == ids
    assert wishes(site) == dict.fromkeys(ids, (None, 1, 0))


def test_what_was_claimed_is_sent_although_outcomes_could_not_be_recorded(site: Site) -> None:
    wish_for(site, 1)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        node.sender.answer()
        (other,) = wish_for(site, 1, "B")
        node.runner.failing[record_push_outcomes] = [Unavailable("down")]
        with pytest.raises(Unavailable):
            await node.worker.step()
        assert [push.token.decode() for push in node.sender.pushes[1:]] == [other]

    run(main)


def test_outcomes_are_recorded_although_nothing_could_be_claimed(site: Site) -> None:
    ids = wish_for(site, 2)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        node.sender.answer()
        node.runner.failing[claim_pushes] = [Unavailable("down")]
        with pytest.raises(Unavailable):
            await node.worker.step()

    run(main)

    assert logged(site) == ids


def test_claimed_pushes_whose_certificate_could_not_be_read_are_sent_by_the_next_step(site: Site) -> None:
    ids = wish_for(site, 2)
    node = Node(site, room=2)

    async def main() -> None:
        node.runner.failing[load_push_credentials] = [Unavailable("down")]
        with pytest.raises(Unavailable):
            await node.worker.step()
        assert node.sender.sent == []
        await node.worker.step()

    run(main)

    assert [push.token.decode() for push in node.sender.pushes] == ids


def test_a_certificate_that_does_not_open_keeps_no_other_topic_waiting(site: Site) -> None:
    node = Node(site)

    async def main() -> None:
        wish_for(site, 1)
        node.runner.failing[load_push_credentials] = [CannotDecrypt("moved")]
        await node.worker.step()
        assert node.sender.sent == []
        (other,) = wish_for(site, 1, "B")
        await node.worker.step()
        assert [push.token.decode() for push in node.sender.pushes] == [other]
        site.wait(minutes=5)
        await node.worker.step()
        assert len(node.sender.sent) == 3  # the first one, and the second whose lease has ended as well

    run(main)


def test_an_outcome_that_can_not_be_recorded_keeps_no_other_from_it(site: Site) -> None:
    ids = wish_for(site, 9)
    node = Node(site)
    node.runner.poison = ids[4]

    async def main() -> None:
        await node.worker.step()
        node.sender.answer()
        await node.worker.step()
        await node.worker.step()

    run(main)

    assert logged(site) == [id_ for id_ in ids if id_ != ids[4]]
    assert max(node.runner.batches) == 9


# --- the end ----------------------------------------------------------------------------------------------------------


def test_stopping_records_what_arrives_in_time_and_gives_up_on_the_rest(site: Site) -> None:
    ids = wish_for(site, 30)
    leased_until = site.now + site.runner.policy.push_lease
    node = Node(site)

    async def main() -> None:
        began_at = asyncio.get_running_loop().time()
        await node.worker.step()
        node.sender.answer(*node.sender.pushes[:5])
        asyncio.get_running_loop().call_later(1, lambda: node.sender.answer(*node.sender.pushes[5:10]))
        await node.worker.drain()
        await node.sender.close()
        assert asyncio.get_running_loop().time() - began_at == DRAIN_SECONDS

    run(main)

    assert logged(site) == ids[:10]
    assert breaker(site) is None
    due = due_times(site)
    assert {due[id_] for id_ in ids[10:]} == {leased_until}


def test_stopping_waits_no_longer_than_for_the_last_answer(site: Site) -> None:
    ids = wish_for(site, 3)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        asyncio.get_running_loop().call_later(2, node.sender.answer)
        await node.worker.drain()
        assert asyncio.get_running_loop().time() == 2

    run(main)

    assert logged(site) == ids


def test_stopping_ends_although_the_database_is_out_of_reach(site: Site) -> None:
    wish_for(site, 3)
    node = Node(site)

    async def main() -> None:
        await node.worker.step()
        node.sender.answer()
        node.runner.failing[record_push_outcomes] = [Unavailable("down")]
        await node.worker.drain()

    run(main)

    assert logged(site) == []


def test_a_whole_fleet_is_sent_step_by_step_so_that_stopping_need_not_wait_for_its_end(site: Site) -> None:
    wish_for(site, 30)
    node = Node(site, room=10)

    async def main() -> None:
        due_at = await node.worker.step()
        assert due_at == site.now
        assert len(node.sender.sent) == 10

    run(main)
