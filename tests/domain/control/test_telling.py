"""Which steps others are told, and which wait for a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.control.states import TOLD, ControlState
from muster.domain.control.telling import (
    NOT_TELLING,
    SMALLEST_MASS_FLIP,
    Say,
    Telling,
    as_heard,
    is_mass_flip,
    what_to_say,
)

CONTROL, RISK, QUIET, INACTIVE, OUT, ENDED, DORMANT, UNKNOWN = (
    ControlState.IN_CONTROL,
    ControlState.AT_RISK,
    ControlState.QUIET,
    ControlState.INACTIVE,
    ControlState.OUT_OF_CONTROL,
    ControlState.ENDED,
    ControlState.DORMANT,
    ControlState.UNKNOWN,
)


@pytest.mark.parametrize(
    ("known", "state", "said"),
    [
        (CONTROL, CONTROL, Say.LET_BE),
        (CONTROL, QUIET, Say.LET_BE),
        (CONTROL, RISK, Say.TELL),
        (CONTROL, INACTIVE, Say.TELL_UNLESS_MANY),
        (CONTROL, OUT, Say.TELL_UNLESS_MANY),
        (CONTROL, ENDED, Say.TELL),
        (CONTROL, UNKNOWN, Say.NOTHING),
        (CONTROL, DORMANT, Say.NOTHING),
        (RISK, RISK, Say.LET_BE),
        (RISK, CONTROL, Say.TELL),
        (RISK, QUIET, Say.TELL),
        (OUT, INACTIVE, Say.TELL_UNLESS_MANY),
        (OUT, RISK, Say.TELL),
        (OUT, UNKNOWN, Say.NOTHING),
        (ENDED, CONTROL, Say.TELL),
    ],
)
def test_others_are_told_of_what_they_do_not_know(known: ControlState, state: ControlState, said: Say) -> None:
    assert what_to_say(Telling(known), state) is said


def test_state_that_a_person_declined_to_tell_is_not_told_while_it_lasts() -> None:
    known = Telling(CONTROL, declined=OUT)

    assert what_to_say(known, OUT) is Say.LET_BE
    assert what_to_say(known, INACTIVE) is Say.TELL_UNLESS_MANY


@given(st.lists(st.sampled_from(ControlState), max_size=20))
def test_whatever_happens_a_listener_ends_up_knowing_the_last_state_that_tells_anything(
    states: list[ControlState],
) -> None:
    known = Telling()
    for state in states:
        if what_to_say(known, state) in (Say.TELL, Say.TELL_UNLESS_MANY):
            known = Telling(as_heard(state))

    told = [state for state in states if state not in NOT_TELLING]
    assert known.state is (as_heard(told[-1]) if told else CONTROL)
    assert known.state in {CONTROL, *TOLD}


@pytest.mark.parametrize(
    ("count", "fleet", "share", "is_mass"),
    [
        (SMALLEST_MASS_FLIP - 1, 19, 10, False),
        (SMALLEST_MASS_FLIP, 199, 10, True),
        (SMALLEST_MASS_FLIP, 200, 10, False),
        (1001, 10_000, 10, True),
        (10_000, 10_000, 100, False),
    ],
)
def test_a_mass_is_more_than_a_share_and_than_a_cart(count: int, fleet: int, share: int, is_mass: bool) -> None:
    assert is_mass_flip(count, fleet, share) is is_mass
