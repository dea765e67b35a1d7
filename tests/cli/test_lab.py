"""`muster lab run`: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from muster.cli.application import main
from muster.cli.errors import ExitCode
from muster.laboratory.scenario import score

SCENARIO = """
[scenario]
days = 12
[[cohort]]
name = "macs"
platform = "Mac"
count = 2
ddm = true
[[event]]
do = "power_off"
on = "macs/1"
at = "1d"
[[event]]
do = "errors"
on = "server"
at = "2d"
for = "1h"
answered_500 = 0.5
[[expect]]
on = "macs/1"
at = "9d"
within = "2d"
state = "inactive"
[[expect]]
on = "macs/2"
at = "9d"
state = "in_control"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "story.toml"
    file.write_text(SCENARIO)
    return file


def test_run_tells_the_story_and_ends_well(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["lab", "run", str(scenario)])

    told = capsys.readouterr().out
    assert code == ExitCode.OK, told
    assert told.startswith("story: 2 devices over 12d, seed 0\n")
    assert "1d * power_off" in told
    assert "inactive, silent: " in told
    assert told.endswith("2 expectations, 0 of them not met\n")


def test_run_ends_with_1_when_something_was_not_as_expected(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.write_text(SCENARIO.replace('state = "in_control"', 'state = "ended"'))

    code = main(["lab", "run", str(scenario)])

    told = capsys.readouterr().out
    line = SCENARIO.splitlines().index('on = "macs/2"')
    assert code == ExitCode.FAULT
    assert f"{scenario}:{line}: not as expected: macs/2 was in_control, none at 9d: " in told
    assert "2 expectations, 1 of them not met" in told


def test_limits_of_the_whole_are_counted_with_what_is_expected(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.write_text(f"{SCENARIO}[expect_overall]\nright_state_healthy = 0.9\nout_of_control_healthy = 0\n")
    monkeypatch.setattr(score, "fallen_short", lambda _scored, _limits: ("right_state_healthy is 0.8, under 0.9",))

    code = main(["lab", "run", str(scenario)])

    told = capsys.readouterr().out
    assert code == ExitCode.FAULT
    assert f"{scenario}: overall: right_state_healthy is 0.8, under 0.9\n" in told
    assert told.endswith("4 expectations, 1 of them not met\n")


def test_run_ends_with_2_at_a_bad_file(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.write_text(SCENARIO.replace("power_off", "power_of").replace("days = 12", "days = 0"))

    code = main(["lab", "run", str(scenario)])

    told = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert f"{scenario}:3: scenario.days: is more than 0" in told
    assert "there is no 'power_of' here; did you mean power_off?" in told


def test_run_ends_with_2_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", str(tmp_path / "none.toml")]) == ExitCode.USAGE
    assert "does not exist" in capsys.readouterr().err


def test_run_ends_with_2_where_the_server_has_no_worker_of_the_name(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = SCENARIO.replace('do = "errors"', 'do = "worker_dead"').replace("answered_500 = 0.5", 'worker = "nobody"')
    scenario.write_text(worker)

    assert main(["lab", "run", str(scenario)]) == ExitCode.USAGE
    assert "event[2].worker: there is no 'nobody' here" in capsys.readouterr().err


def test_equal_seeds_give_equal_runs_in_two_processes_and_another_seed_another(scenario: Path) -> None:
    def output(seed: str, hash_seed: str) -> bytes:
        command = [sys.executable, "-m", "muster.cli", "lab", "run", str(scenario), "--json", "--days", "3"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run([*command, "--seed", seed], check=False, capture_output=True, env=environment).stdout

    first, second, other = output("7", "1"), output("7", "2"), output("8", "1")

    assert first == second
    assert first != other
    assert json.loads(first)["ended_at"] == "2026-01-08T08:00:00Z"
