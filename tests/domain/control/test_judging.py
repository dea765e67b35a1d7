"""The judge makes one verdict of what the rules find."""

from datetime import UTC, datetime, timedelta

import pytest

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, Silence
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, ProofLevel
from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelId, ChannelKind

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def dossier(*, silent_for: timedelta, suspicion: float = 0.0) -> Dossier:
    heard_at = NOW - silent_for
    return Dossier(
        ChannelId("A"),
        ChannelId("A"),
        ChannelKind.DEVICE,
        EnrollmentState.ENROLLED,
        1,
        first_seen_at=NOW - timedelta(days=100),
        silence=Silence(heard_at, silent_for, suspicion),
        last_contact_at=heard_at,
        last_proof_at=heard_at,
    )


@pytest.mark.parametrize(
    ("silent_for", "suspicion", "state", "proof_level"),
    [
        (timedelta(hours=1), 0.0, ControlState.IN_CONTROL, ProofLevel.OBEYED),
        (timedelta(hours=23), 5.0, ControlState.IN_CONTROL, ProofLevel.OBEYED),
        (timedelta(days=3), 1.9, ControlState.IN_CONTROL, ProofLevel.OBEYED),
        (timedelta(days=3), 2.0, ControlState.QUIET, ProofLevel.OBEYED),
        (timedelta(days=7), 0.0, ControlState.INACTIVE, ProofLevel.OBEYED),
        (timedelta(days=15), 0.0, ControlState.INACTIVE, ProofLevel.NOTHING),
        (timedelta(days=21), 0.0, ControlState.OUT_OF_CONTROL, ProofLevel.NOTHING),
    ],
)
def test_silence_is_judged_by_rhythm_and_then_by_the_limits(
    silent_for: timedelta, suspicion: float, state: ControlState, proof_level: ProofLevel
) -> None:
    verdict = judge(dossier(silent_for=silent_for, suspicion=suspicion), ControlPolicy(), NOW).verdict

    assert (verdict.state, verdict.proof_level) == (state, proof_level)
    assert verdict.reason is (Reason.NONE if state is ControlState.IN_CONTROL else Reason.SILENT)
