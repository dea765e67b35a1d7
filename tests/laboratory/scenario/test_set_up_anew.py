"""What is right of the users of a shared iPad that was set up anew: the first is there again, others aren't."""

from functools import cache

from tests.laboratory.scenario.watched import Watched

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.score import score

SCENARIO = """
[scenario]
days = 16
[[cohort]]
name = "carts"
platform = "SharediPad"
way = "setup_assistant"
users = 2
[[event]]
do = "user_login"
on = "carts"
user = 2
at = "1d"
for = "2h"
[[event]]
do = "erase"
on = "carts"
at = "3d"
back = "2h"
"""


@cache
def watched() -> Watched:
    return Watched(SCENARIO)


def test_the_first_user_is_in_control_and_the_one_who_did_not_come_back_has_left() -> None:
    played = watched().played
    users = played.devices[0].users

    held = {step.channel_id: (step.after.state, step.after.reason) for step in played.changes}
    assert held[users[1]] == (ControlState.IN_CONTROL, Reason.NONE)
    assert held[users[2]] == (ControlState.ENDED, Reason.USER_EVICTED)


def test_that_is_scored_as_right() -> None:
    scored = score(watched().played)

    assert scored.wrong == ()
    assert scored.healthy_days == scored.healthy_right > 0
