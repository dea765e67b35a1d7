"""What the manual says of each reason is what the rules find."""

import re

from hypothesis import given, settings
from tests.domain.control.dossiers import NOW, dossiers

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.rules import RULES
from muster.domain.control.rules.told import SHOWN, TELLING
from muster.domain.control.states import ControlState

FOLLOWS = {"own_fault_over", "device_of_user_lost"}
"""Rules that tell what another rule found, of a fault that is over and of the device, by that one's reason."""
BY_SILENCE = {ControlState.QUIET, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL}


def test_every_reason_is_told_by_rules_and_every_rule_tells_a_reason() -> None:
    assert list(TELLING) == [reason for reason in Reason if reason is not Reason.NONE]
    told = {rule for telling in TELLING.values() for rule in telling.rules}
    assert told == set(RULES)
    assert len(set(RULES)) == len(RULES)


def test_every_rule_asks_a_question_and_has_a_name_of_its_own() -> None:
    assert len({rule.__name__ for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert (rule.__doc__ or "").partition("\n")[0].endswith("?"), rule.__name__


@settings(max_examples=300)
@given(dossiers())
def test_rules_find_only_the_reasons_and_states_that_the_manual_says(dossier: Dossier) -> None:
    for one in judge(dossier, ControlPolicy(agent="agent"), NOW).considered:
        if one.finding is None or one.rule in FOLLOWS:
            continue
        telling = TELLING[one.finding.reason]
        said = set(re.findall(r"`(\w+)`", telling.state))
        if "by silence" in telling.state:
            said |= {state.value for state in BY_SILENCE}
        if "push_path_blocked" in said:
            said |= {SHOWN}
        if SHOWN.partition(",")[0] in telling.state:
            said |= {SHOWN}

        assert one.rule in {rule.__name__ for rule in telling.rules}
        assert (SHOWN if one.finding.state is None else one.finding.state.value) in said
