"""What holds of every judgement, whatever the dossier."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.control.dossiers import DAY, NOW, dossiers, later

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Finding, Verdict
from muster.domain.control.judging import decide, judge
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.states import ControlState

POLICIES = st.sampled_from(
    [
        ControlPolicy(),
        ControlPolicy(agent="agent"),
        ControlPolicy(tolerance=2 * DAY, silence_limit=5 * DAY, proof_window=3 * DAY, inventory_limit=10 * DAY),
        ControlPolicy(tolerance=30 * DAY, silence_limit=60 * DAY, expects_user_channel=False),
    ]
)
NAMES = ("APNs", "Z ", "Y ", "InstallProfile", "ProfileList", "Automated")
BADNESS = {
    ControlState.IN_CONTROL: 0,
    ControlState.DORMANT: 0,
    ControlState.AT_RISK: 1,
    ControlState.QUIET: 1,
    ControlState.INACTIVE: 2,
    ControlState.OUT_OF_CONTROL: 3,
    ControlState.UNKNOWN: 4,
    ControlState.ENDED: 5,
}
"""At risk and quiet are equally far from well: what was at risk while it answered may be but quiet when it doesn't."""


@settings(max_examples=150)
@given(dossiers(), POLICIES)
def test_every_dossier_has_one_verdict_with_its_words(dossier: Dossier, policy: ControlPolicy) -> None:
    judgement = judge(dossier, policy, NOW)

    verdict = judgement.verdict
    assert (verdict.state is ControlState.IN_CONTROL) == (verdict.reason is Reason.NONE)
    findings = [each.finding for each in judgement.considered if each.finding is not None]
    told: list[Verdict | Finding] = [verdict, *findings]
    for one in told:
        assert one.since <= NOW
        assert one.sentence[-1] != "."
        assert "None" not in one.sentence
        assert one.sentence[0].islower() or one.sentence[0].isdigit() or one.sentence.startswith(NAMES)
        assert one.look_again_at is None or one.look_again_at > NOW
        assert len(set(one.candidates)) == len(one.candidates)
    assert judge(dossier, policy, NOW) == judgement
    assert decide(dossier, policy, NOW) == verdict


@settings(max_examples=100)
@given(dossiers(), POLICIES)
def test_only_what_is_ours_makes_a_verdict_unknown(dossier: Dossier, policy: ControlPolicy) -> None:
    verdict = judge(dossier, policy, NOW).verdict

    if verdict.state is ControlState.UNKNOWN:
        # a whole topic that APNs refuses is ours; one token's is not, and is at risk
        assert REASONS[verdict.reason].is_ours or (
            verdict.reason is Reason.PUSH_TOPIC_MISMATCH
            and dossier.push is not None
            and dossier.push.breaker is not None
        )
    if dossier.is_device:
        assert verdict.state is not ControlState.DORMANT


@settings(max_examples=100)
@given(dossiers(), POLICIES)
def test_a_witness_alone_never_makes_a_device_be_in_control(dossier: Dossier, policy: ControlPolicy) -> None:
    without = judge(replace(dossier, witnesses=()), policy, NOW).verdict
    verdict = judge(dossier, policy, NOW).verdict

    if verdict.state is ControlState.IN_CONTROL:
        assert without.state is ControlState.IN_CONTROL
    assert (verdict.proof_level, verdict.proof_at) == (without.proof_level, without.proof_at)


@settings(max_examples=200)
@given(dossiers(), POLICIES, st.integers(1, 60 * 24 * 90))
def test_growing_silence_makes_no_verdict_better(dossier: Dossier, policy: ControlPolicy, minutes: int) -> None:
    by = timedelta(minutes=minutes)
    now, then = (judge(dossier, policy, NOW).verdict, judge(later(dossier, by), policy, NOW + by).verdict)

    assert BADNESS[then.state] >= BADNESS[now.state], (now, then)


@settings(max_examples=400)
@given(dossiers(), POLICIES, st.floats(0, 1, exclude_max=True))
def test_until_it_is_looked_at_again_time_alone_changes_nothing(
    dossier: Dossier, policy: ControlPolicy, share: float
) -> None:
    now = judge(dossier, policy, NOW).verdict
    until = now.look_again_at or NOW + 400 * DAY
    just_before = until - NOW - timedelta(microseconds=1)
    for shift in (min((until - NOW) * share, just_before), just_before):
        then = judge(later(dossier, shift), policy, NOW + shift).verdict

        assert (then.state, then.reason) == (now.state, now.reason), (now, then)
