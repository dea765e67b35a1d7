"""Erasing, locking, restarting and shutting down is limited within an hour, by whatever door."""

from dataclasses import replace

import pytest
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import CommandUUID

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
