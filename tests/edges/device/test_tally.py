"""A node counts what it answers, and which requests bring identities."""

import asyncio
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

from muster.domain.control.self_watch import LOOK_BACK, MAXIMUM_CLOCKS
from muster.edges.device.tally import MAXIMUM_CLAIMANTS, Tally
from muster.operations.watch_ourselves import DifferingClocks
from muster.protocol.identifiers import ChannelId, DeviceId

A, B, C = DeviceId("A"), DeviceId("B"), DeviceId("C")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        """Tell it."""
        return self.time


def answer(tally: Tally, endpoint: str, statuses: Iterable[int]) -> list[int]:
    """Answer requests through what counts them; returns the statuses that went out."""
    sent: list[int] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if "status" in message:
            sent.append(message["status"])

    async def all_of_them() -> None:
        for status in statuses:
            counting = tally.counting(endpoint, send)
            await counting({"type": "http.response.start", "status": status, "headers": []})
            await counting({"type": "http.response.body", "body": b""})

    asyncio.run(all_of_them())
    return sent


def test_an_endpoint_that_answers_with_errors_is_found_and_only_it() -> None:
    tally = Tally(Clock())

    sent = answer(tally, "/mdm", [200, 503, 500, 500])
    answer(tally, "/scep", [200, 403, 404])
    found = tally.take()

    assert sent == [200, 503, 500, 500]
    assert [(one, of.since, of.answered, of.failed) for one, of in found.failing.items()] == [("/mdm", NOW, 4, 3)]


def test_an_exception_is_an_error_too() -> None:
    tally = Tally(Clock())

    for _ in range(3):
        tally.note_fault("/mdm")

    assert list(tally.take().failing) == ["/mdm"]


def test_an_endpoint_recovers() -> None:
    clock = Clock()
    tally = Tally(clock)
    answer(tally, "/mdm", [500] * 10)

    failing = []
    for _ in range(6):
        clock.time += timedelta(minutes=5)
        failing.append("/mdm" in tally.take().failing)
        answer(tally, "/mdm", [200] * 10)

    assert failing == [True, True, True, False, False, False]


def test_requests_without_an_identity_count_from_the_first_until_one_has_one() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.note_identity()
    before = tally.take()
    tally.note_none(ChannelId("A"))
    clock.time += timedelta(minutes=5)
    tally.note_none(None)
    tally.note_none(ChannelId("B"))
    meanwhile = tally.take()
    tally.note_identity()

    after = tally.take()

    assert (before.has_identities, before.dropped) == (True, None)
    assert meanwhile.dropped is not None
    assert (meanwhile.has_identities, meanwhile.dropped.since) == (False, NOW)
    assert meanwhile.dropped.claimed == {"A", "B"}
    assert (after.has_identities, after.dropped) == (True, None)


def test_whom_strangers_claim_to_be_is_bounded() -> None:
    tally = Tally(Clock())

    for number in range(MAXIMUM_CLAIMANTS + 5):
        tally.note_none(ChannelId(str(number)))

    dropped = tally.take().dropped
    assert dropped is not None
    assert len(dropped.claimed) == MAXIMUM_CLAIMANTS


def test_clocks_that_agree_on_another_time_count_until_one_agrees_with_ours() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.note_clock(b"a", C, 7200)
    tally.note_clock(b"a", A, 7201)
    tally.note_clock(b"b", B, 7199)
    tally.note_clock(b"renewed", B, 7199)
    few = tally.take()
    clock.time += timedelta(minutes=5)
    tally.note_clock(b"c", C, 7200)
    found = tally.take()
    still = tally.take()
    tally.note_clock(b"d", C, 10)

    assert few.differing is None
    assert found.differing == still.differing == DifferingClocks(NOW, -7200, 3)
    assert tally.take().differing is None


def test_what_clocks_told_is_forgotten_after_a_day_and_bounded() -> None:
    clock = Clock()
    tally = Tally(clock)
    for number in range(MAXIMUM_CLOCKS + 5):
        tally.note_clock(str(number).encode(), DeviceId(str(number)), 7200)

    found = tally.take().differing
    clock.time += LOOK_BACK + timedelta(seconds=1)

    assert found is not None
    assert found.devices == MAXIMUM_CLOCKS
    assert tally.take().differing is None
