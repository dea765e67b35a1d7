"""The pieces of the benchmark of pushes do what they say; how fast anything is, no test asserts."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from benchmarks.push import CLIENT, Measured, format_table
from benchmarks.push_runs import Run
from tests.support.postgresql import find_binaries

ALONE = Measured(CLIENT, Run(1000, 1000, 0.1, 0.05, 90.0), 0.0)
STORED = Measured("stored on postgresql", Run(1000, 1000, 0.2, 0.1, 95.4), 0.1)


def test_table_has_rates_costs_and_ratios_to_the_client_alone() -> None:
    first, second = format_table([ALONE, STORED, ALONE, STORED]).splitlines()[1:]

    assert first.split() == ["client", "alone", "10,000", "1.00", "50.0", "0.0", "1.00", "90"]
    assert second.split() == ["stored", "on", "postgresql", "5,000", "0.50", "100.0", "100.0", "4.00", "95"]


@pytest.mark.witness("nghttpd")
def test_every_push_is_accepted_and_has_one_outcome_in_the_database() -> None:
    if shutil.which("nghttpd") is None:
        pytest.skip("nghttpd is not installed")
    if find_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    arguments = ["--pushes", "300", "--repetitions", "1", "--json", "/dev/stderr"]

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.push", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stderr[done.stderr.index("[") :])
    assert [one["name"] for one in measured] == [CLIENT, "stored on postgresql", "stored on sqlite"]
    assert [one["run"]["accepted"] for one in measured] == [300] * 3
