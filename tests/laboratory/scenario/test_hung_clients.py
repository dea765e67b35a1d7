"""What is right of a client that hangs: it does until a boot, and whom others see meanwhile is no absent device."""

from functools import cache

from tests.laboratory.scenario.watched import Watched

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.score import score

SCENARIO = """
[scenario]
days = 16
[[cohort]]
name = "phones"
platform = "iPhone"
count = 2
[[event]]
do = "hang_on"
on = "phones"
at = "1d"
for = "1d"
command = "DeviceInformation"
client = true
[[event]]
do = "sees"
on = "phones/2"
at = "0d"
by = "wifi"
"""


@cache
def watched() -> Watched:
    return Watched(SCENARIO)


def test_who_is_seen_by_others_is_lost_and_who_is_not_is_absent() -> None:
    played = watched().played

    held = {step.channel_id: (step.after.state, step.after.reason) for step in played.changes}
    assert [held[one.channel_id] for one in played.devices] == [
        (ControlState.INACTIVE, Reason.SILENT),
        (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_MISSING),
    ]


def test_both_are_scored_as_right() -> None:
    scored = score(watched().played)

    assert scored.wrong == ()
    assert scored.lost_in_health == ()
