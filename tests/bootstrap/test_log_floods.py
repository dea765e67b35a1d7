"""What strangers cause fills no disk with lines, and is told all the same."""

import io
import json
from contextlib import suppress

import pytest
import structlog

from muster.bootstrap.log_floods import COUNTED, OF_ALL, OF_ONE, UNAVAILABLE, WINDOW_SECONDS, FloodGate
from muster.bootstrap.logs import set_up_logs
from muster.settings import read_settings


class Written:
    """A gate at a time that the test sets, and what came through: how many each line stands for."""

    def __init__(self) -> None:
        self.time = 0.0
        self.lines: list[int] = []
        self._gate = FloodGate(lambda: self.time)

    def say(self, event: str = "refused", method: str = "warning", **said: object) -> bool:
        """Log a line; tells whether it is written."""
        try:
            passed = self._gate(None, method, {"event": event, **said})
        except structlog.DropEvent:
            return False
        self.lines.append(passed.get("times", 1))
        return True


def test_equal_refusals_of_a_network_are_written_a_few_times_and_then_counted() -> None:
    written = Written()

    for number in range(100 * OF_ONE):
        written.say(code="identity_unknown", source=f"2001:db8::{number:x}")

    assert written.lines == [1] * OF_ONE + [OF_ONE * 2**power for power in range(1, 7)]


def test_what_is_not_equal_is_written() -> None:
    written = Written()
    for _ in range(OF_ONE + 1):
        last = written.say(code="a", source="192.0.2.1")

    assert not last
    assert written.say(code="b", source="192.0.2.1")
    assert written.say(code="a", source="192.0.2.2")
    assert written.say("key_refused", source="192.0.2.1")
    written.time = WINDOW_SECONDS
    assert written.say(code="a", source="192.0.2.1")


def test_many_networks_together_are_bounded_too() -> None:
    written = Written()

    for number in range(4 * OF_ALL):
        written.say(code="a", source=f"10.0.{number // 256}.{number % 256}")

    assert written.lines == [1] * OF_ALL + [2 * OF_ALL, 4 * OF_ALL]


def test_a_database_that_is_away_is_not_told_for_every_request() -> None:
    written = Written()

    for _ in range(2 * OF_ALL):
        written.say(UNAVAILABLE, "error", error="it can't be reached")

    assert written.lines == [1] * OF_ALL + [2 * OF_ALL]


@pytest.mark.parametrize(
    ("event", "method", "said"),
    [
        ("checkin", "info", {"source": "192.0.2.1"}),
        ("api_failed", "error", {"source": "x"}),
        ("started", "warning", {}),
    ],
)
def test_what_we_say_of_ourselves_is_always_written(event: str, method: str, said: dict[str, object]) -> None:
    written = Written()

    assert all(written.say(event, method, **said) for _ in range(2 * OF_ALL))


def test_memory_is_bounded_and_what_comes_on_and_on_is_not_forgotten() -> None:
    gate, written = FloodGate(lambda: 0.0), 0

    for number in range(2 * COUNTED):
        with suppress(structlog.DropEvent):
            gate(None, "warning", {"event": "refused", "source": f"10.0.{number // 256}.{number % 256}"})
            written += 1

    assert gate.counted == COUNTED
    assert written < OF_ALL + 10


@pytest.mark.usefixtures("_as_before")
def test_logs_go_through_the_gate() -> None:
    stream = io.StringIO()
    set_up_logs(read_settings({}, {}), stream)

    for _ in range(2 * OF_ONE):
        structlog.get_logger("muster.device").warning("refused", code="a", source="192.0.2.1")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == OF_ONE + 1
    assert lines[-1]["times"] == 2 * OF_ONE
