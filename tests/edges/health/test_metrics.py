"""Metrics of one process and of several that share a directory."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support import fleet
from tests.support.runner import NOW, InlineRunner

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


def test_what_keeps_pushes_back_is_told_and_so_is_what_does_not(runner: InlineRunner) -> None:
    for name, outcome in (("A", "accepted"), ("B", "token_bad"), ("C", "token_bad")):
        fleet.add_device(runner.engine, name)
        fleet.add_push_target(runner.engine, name, outcome, None if outcome == "accepted" else NOW)
        fleet.add_push_wish(runner.engine, name, due_at=NOW, held_because="breaker_open" if name == "A" else None)
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=5))
    fleet.add_push_breaker(runner.engine, is_open=True)
    fleet.add_push_breaker(runner.engine, is_open=False, topic="counting")

    lines = asyncio.run(Exposition(runner).render()).decode().splitlines()

    assert {
        'muster_push_breaker_open{cause="apns_unreachable",topic="com.apple.mgmt.External.test"} 1.0',
        'muster_push_breaker_open{cause="tokens_refused",topic="com.apple.mgmt.External.test"} 0.0',
        'muster_push_breaker_open{cause="apns_unreachable",topic="counting"} 0.0',
        'muster_pushes_held{because="breaker_open"} 1.0',
        'muster_pushes_held{because="no_certificate"} 0.0',
        'muster_push_tokens_refused{outcome="token_bad"} 2.0',
        'muster_push_tokens_refused{outcome="token_unregistered"} 0.0',
        "muster_pushes_wanted 3.0",
    } <= set(lines)
