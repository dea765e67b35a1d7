"""The page of the laboratory: its reference is the table's, and its examples are scenarios which can be played."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from tests.laboratory.scenario.texts import FLEET

from muster.cli.laboratory_page import primitives_reference
from muster.domain.control.states import ControlState
from muster.laboratory.scenario import read_events, read_fleet, reading
from muster.laboratory.scenario.expectations import unmet
from muster.laboratory.scenario.play import play_scenario
from muster.laboratory.scenario.primitives.table import PRIMITIVES
from muster.laboratory.scenario.reading import parse_scenario

PAGE = (Path(__file__).parents[2] / "docs" / "manual" / "laboratory.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.+?)```", PAGE, re.DOTALL)
WHOLE = [example for example in EXAMPLES if "[scenario]" in example]
EVENTS = [example for example in EXAMPLES if "[scenario]" not in example]
SHORT = timedelta(days=4)
"""Long enough for what happens in them; what is expected later is checked by whoever plays them to their end."""


def test_its_reference_is_that_of_the_code() -> None:
    assert primitives_reference() in PAGE, "put in what primitives_reference() returns"
    assert len(EVENTS) == len(PRIMITIVES)


@pytest.mark.parametrize("example", EVENTS, ids=lambda example: re.findall(r'do = "(\w+)"', example)[0])
def test_example_of_each_primitive_is_read(example: str) -> None:
    assert parse_scenario(f"{FLEET}\n{example}").happenings


@pytest.mark.parametrize("example", WHOLE, ids=range(len(WHOLE)))
def test_whole_examples_come_true(example: str) -> None:
    played = play_scenario(parse_scenario(example), duration=SHORT)

    assert unmet(played) == ()


def test_it_has_every_key() -> None:
    known = {
        *reading._OVERALL,
        *read_fleet._SCHEDULE_KEYS,
        *read_fleet._COHORT_KEYS,
        *read_events._EVENT_KEYS,
        *read_events._EXPECT_KEYS,
        *(state.value for state in ControlState),
        *read_fleet.PLATFORMS,
    }

    assert [word for word in sorted(known) if f"`{word}`" not in PAGE] == []
