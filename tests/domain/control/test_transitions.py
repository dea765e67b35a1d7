"""The table of states that follow one another is total, and the diagram is drawn from it."""

import re
from itertools import product

import pytest
from hypothesis import given, settings
from tests.domain.control.dossiers import NOW, dossiers

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.judging import judge
from muster.domain.control.states import ControlState
from muster.domain.control.transitions import TRANSITIONS, Likelihood, diagram, transition


def test_every_pair_of_states_is_possible_or_said_not_to_be_and_why() -> None:
    assert set(TRANSITIONS) == set(product(ControlState, ControlState))
    assert all(one.why for one in TRANSITIONS.values())


@pytest.mark.parametrize("state", ControlState)
def test_no_state_is_a_dead_end_and_every_one_can_be_reached(state: ControlState) -> None:
    usual = {pair for pair, one in TRANSITIONS.items() if one.likelihood is Likelihood.USUAL}

    assert any(before is state for before, _ in usual)
    assert any(after is state for _, after in usual)


def test_only_users_are_dormant() -> None:
    to, back = (ControlState.IN_CONTROL, ControlState.DORMANT), (ControlState.DORMANT, ControlState.IN_CONTROL)

    for before, after in (to, back):
        assert transition(before, after, is_device=True).likelihood is Likelihood.IMPOSSIBLE
        assert transition(before, after, is_device=False).likelihood is Likelihood.USUAL


@settings(max_examples=100)
@given(dossiers(), dossiers())
def test_no_two_verdicts_of_a_channel_make_a_step_that_is_said_to_be_impossible(one: Dossier, other: Dossier) -> None:
    before, after = (judge(dossier, ControlPolicy(), NOW).verdict.state for dossier in (one, other))

    if one.is_device is other.is_device and before is not after:
        assert transition(before, after, is_device=one.is_device).likelihood is not Likelihood.IMPOSSIBLE


def test_the_diagram_has_an_arrow_for_what_is_usual_and_for_nothing_else() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+): ", diagram(), re.MULTILINE))

    assert drawn == {
        (before.value, after.value)
        for (before, after), one in TRANSITIONS.items()
        if one.likelihood is Likelihood.USUAL
    }
