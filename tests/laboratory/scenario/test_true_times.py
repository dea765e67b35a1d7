"""What the server holds is taken down by the true time, whatever its own clock says; and what workers it has."""

from datetime import timedelta
from functools import cache

from tests.laboratory.scenario.watched import Watched

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.primitives.server import WORKERS

HOUR = timedelta(hours=1)
SCENARIO = """
[scenario]
days = 2
[[cohort]]
name = "phones"
platform = "iPhone"
count = 2
own_connects = "3h"
[[event]]
do = "clock_offset"
on = "server"
at = "30h"
for = "6h"
offset = "-1d"
"""


@cache
def watched() -> Watched:
    return Watched(SCENARIO)


def test_a_clock_that_was_set_back_rewrites_no_story() -> None:
    one = watched()

    told = [(one.since(step.at), step.after.reason) for step in one.played.changes]
    assert {reason for at, reason in told if at < 29 * HOUR} == {Reason.NONE}
    assert {reason for at, reason in told if 29 * HOUR <= at < 36 * HOUR} == {Reason.OWN_CLOCK_WRONG}
    assert {reason for at, reason in told if at >= 36 * HOUR} == {Reason.NONE}


def test_every_worker_of_the_server_can_be_named() -> None:
    assert set(WORKERS) == watched().workers
