"""The closed list of reasons is numbered without gaps, and every one has its facts."""

from muster.domain.control.reasons import REASONS, Reason


def test_every_reason_has_facts_and_a_number_of_its_own() -> None:
    assert list(REASONS) == list(Reason)
    assert [facts.number for facts in REASONS.values()] == list(range(60))
