"""Metrics of one process and of several that share a directory."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.runner import InlineRunner

from muster.edges.health.metrics import Exposition

COUNT = "from prometheus_client import Counter; Counter('witness', 'w').inc(int(__import__('sys').argv[1]))"


def test_processes_that_share_a_directory_are_added_up(
    runner: InlineRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "metrics"
    directory.mkdir()
    for count in ("2", "3"):
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
        subprocess.run([sys.executable, "-c", COUNT, count], env=environment, check=True)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))

    text = asyncio.run(Exposition(runner).render()).decode()

    assert "witness_total 5.0" in text
    assert "muster_fleet_readable 1.0" in text
