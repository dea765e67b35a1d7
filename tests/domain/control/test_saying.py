"""Verdicts in words."""

from datetime import UTC, datetime, timedelta

import pytest

from muster.domain.control import saying
from muster.domain.control.finding import Cited
from muster.domain.control.reasons import Reason
from muster.domain.control.states import SEVERITY, ControlState, Forecast, ProofLevel

NOW = datetime(2026, 11, 22, 14, 31, tzinfo=UTC)
WELL, RISK, ENDED = ControlState.IN_CONTROL, ControlState.AT_RISK, ControlState.ENDED


def test_every_state_and_forecast_has_its_word_and_place() -> None:
    assert set(saying.STATES) == set(ControlState) == set(saying.GRAVITY) == set(SEVERITY)
    assert set(saying.FORECASTS) == set(Forecast)
    assert set(saying.CAUSES) == set(Reason)
    assert {WELL, ENDED, ControlState.DORMANT}.isdisjoint(saying.WORRIES)


@pytest.mark.parametrize(
    ("states", "needing", "said"),
    [
        ({}, 0, "No device is judged yet."),
        ({ENDED: 3}, 0, "No device is enrolled."),
        ({WELL: 1}, 0, "The one device is under control."),
        ({WELL: 1200, ENDED: 3}, 0, "All 1,200 devices are under control."),
        ({WELL: 412, RISK: 8}, 3, "412 of 420 devices are under control. 3 need you."),
        ({WELL: 1, RISK: 1}, 1, "1 of 2 devices is under control. 1 needs you."),
        ({RISK: 1}, 0, "0 of 1 device are under control."),
    ],
)
def test_the_fleet_is_said_with_its_figures(states: dict[ControlState, int], needing: int, said: str) -> None:
    assert saying.fleet_sentences(states, needing) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 0, "–"), (0, 5, "0.0 %"), (5, 5, "100 %"), (99_999, 100_000, "99.9 %"), (1, 3, "33.3 %")],
)
def test_shares_are_never_rounded_up(part: int, whole: int, said: str) -> None:
    assert saying.share(part, whole) == said


def test_verdict_begins_with_its_state_and_since_when() -> None:
    since = NOW - timedelta(days=9)

    assert saying.verdict_sentence(RISK, since, "its identity expires", NOW) == (
        "At risk since 13 November: its identity expires."
    )
    assert saying.verdict_sentence(ControlState.UNKNOWN, since, "", NOW) == "Not judged since 13 November."


@pytest.mark.parametrize(
    ("step", "forecast", "said"),
    [
        ("it is pushed once", Forecast.BY_ITSELF, "It is pushed once."),
        ("", Forecast.BY_ITSELF, "May come back by itself."),
        ("", Forecast.NOTHING_TO_DO, ""),
    ],
)
def test_next_is_the_step_or_what_is_expected(step: str, forecast: Forecast, said: str) -> None:
    assert saying.next_sentence(step, forecast) == said


def test_proof_says_its_level_and_what_that_means() -> None:
    said = saying.proof_sentence(ProofLevel.OBEYED, NOW - timedelta(days=1), NOW, is_push_proved=True)

    assert said == "Proof 4 of 4: it did what a command asked, after a push, yesterday at 14:31 UTC."
    assert saying.proof_sentence(ProofLevel.NOTHING, None, NOW) == (
        "Proof 0 of 4: nothing was heard of it in the proof window."
    )


def test_evidence_says_when_unless_it_does_so_itself() -> None:
    at = NOW - timedelta(days=9)

    assert saying.evidence_sentence(Cited("S1", at, "last heard"), NOW) == "Last heard, on 13 November at 14:31 UTC"
    assert saying.evidence_sentence(Cited("S1", at, "heard on 13 November at 14:31 UTC"), NOW) == (
        "Heard on 13 November at 14:31 UTC"
    )


def test_causes_are_named_only_where_there_are_several() -> None:
    assert saying.candidates_sentence((Reason.SILENT,)) == ""
    assert saying.candidates_sentence((Reason.SILENT, Reason.CLIENT_HUNG)).endswith(
        "the likeliest first: it is switched off or without a network; its MDM client hangs."
    )
