"""The shipped scenarios: each can be read, and what it expects comes true when it is played."""

from pathlib import Path

import pytest

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.table import CAUSES
from muster.laboratory.scenario.expectations import unmet
from muster.laboratory.scenario.play import play_scenario
from muster.laboratory.scenario.primitives.table import PRIMITIVES
from muster.laboratory.scenario.reading import read_scenario
from muster.laboratory.scenario.score import fallen_short, score
from muster.laboratory.scenario.shipped import scenario_file, shipped


@pytest.mark.parametrize("file", shipped().values(), ids=lambda file: file.stem)
def test_shipped_scenario_can_be_read_and_says_what_it_is(file: Path) -> None:
    scenario = read_scenario(file)

    assert scenario.description
    assert scenario.devices


def test_every_primitive_has_its_truth() -> None:
    assert set(CAUSES) == set(PRIMITIVES)


def test_every_reason_that_can_be_played_has_a_scenario_of_its_name() -> None:
    reasons = {reason.value for reason in Reason if reason is not Reason.NONE}

    assert reasons - set(shipped()) == {Reason.AWAITING_USER_SIGN_IN, Reason.RECORD_DELETED_WHILE_ENROLLED}


def test_a_name_means_a_shipped_scenario_and_a_path_the_file(tmp_path: Path) -> None:
    file = tmp_path / "silent"
    file.touch()

    assert scenario_file("silent") == shipped()["silent"]
    assert scenario_file(str(file)) == file
    assert scenario_file("none") == Path("none")


@pytest.mark.lab
@pytest.mark.parametrize("file", shipped().values(), ids=lambda file: file.stem)
def test_what_a_shipped_scenario_expects_comes_true(file: Path) -> None:
    scenario = read_scenario(file)

    played = play_scenario(scenario)

    assert not unmet(played)
    assert not fallen_short(score(played), scenario.limits)
