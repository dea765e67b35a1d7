"""Erasing, locking, restarting and shutting down is limited within an hour, by whatever door."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.limit_disruption import forget_disruptions
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID
from muster.storage import disruptions, schema

LOCK = CommandRequest("DeviceLock")


@pytest.fixture(autouse=True)
def limit_of_two(site: Site) -> None:
    site.runner.policy = replace(site.runner.policy, disruptions_per_hour=2)
    site.enroll()
    site.enroll(IPAD)


def send(site: Site, request: CommandRequest = LOCK, named_count: int | None = None) -> RefusalCode | None:
    """Send to both devices."""
    asked = CommandOrder((id_of(MAC), id_of(IPAD)), request, anyway=True, named_count=named_count)
    outcome = site.do(queue_commands, asked)[0]
    return outcome.code if isinstance(outcome, Refusal) else None


def test_limit_holds_over_types_and_orders_and_ends_with_the_hour(site: Site) -> None:
    said = [send(site), send(site, CommandRequest("RestartDevice"))]
    site.wait(hours=1)
    said.append(send(site))

    assert said == [None, RefusalCode.DISRUPTIONS_LIMITED, None]


def test_refused_order_queues_nothing(site: Site) -> None:
    send(site)
    queued = site.queued()

    send(site)

    assert site.queued() == queued


def test_named_count_is_meant(site: Site) -> None:
    send(site)

    assert send(site, named_count=3) is RefusalCode.COUNT_WRONG
    assert send(site, named_count=2) is None


def test_questions_are_not_limited(site: Site) -> None:
    assert {send(site, CommandRequest("SecurityInfo")) for _ in range(3)} == {None}


def test_what_was_taken_back_in_time_does_not_count(site: Site) -> None:
    asked = CommandOrder((id_of(MAC), id_of(IPAD)), LOCK, command_uuid=CommandUUID("lock"), anyway=True)
    assert isinstance(site.do(queue_commands, asked)[0], QueuedCommand)

    site.do(cancel_commands, CancelOrder(CommandUUID("lock")))

    assert send(site) is None


def test_orders_are_forgotten_when_they_count_no_more_since_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disruptions, "FORGOTTEN_AT_ONCE", 1)
    here = [id_of(MAC)]
    for uuid in (CommandUUID("one"), CommandUUID("two")):
        site.engine.write(
            lambda tx, of=uuid: disruptions.add(tx, of, here, request_type="EraseDevice", at=site.now, by="ada")  # type: ignore[misc]
        )
        site.wait(hours=2)
    site.runner.time += disruptions.KEPT_FOR - timedelta(hours=4)

    assert site.do(forget_disruptions, None) == [False]
    assert len(site.rows(sa.select(schema.disruptions))) == 2

    site.wait(hours=3)
    assert [site.do(forget_disruptions, None) for _ in range(3)] == [[True], [True], [False]]
    assert site.rows(sa.select(schema.disruptions.c.command_uuid)) == []
