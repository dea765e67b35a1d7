"""Policies: what each may be, and that nothing stored ever stands in a device's way."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.standing_policies import (
    KINDS,
    MAXIMUM_CHARACTERS,
    Admission,
    PolicyName,
    PolicyValue,
    StandingPolicies,
    read_policy,
    standing_policies,
)

WORDS = st.sampled_from(["", "accept", "refuse", "REFUSE", "0"])
VALUES: st.SearchStrategy[PolicyValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=3,
)


@pytest.mark.parametrize("name", ["on_enroll", "on_restore"])
@pytest.mark.parametrize("text", ["accept", "refuse", '"refuse"'])
def test_devices_are_accepted_or_refused(name: str, text: str) -> None:
    assert read_policy(name, text) == (PolicyName(name), text.strip('"'))


@pytest.mark.parametrize(
    ("name", "text", "code", "told"),
    [
        ("on_enrol", "accept", RefusalCode.NOT_FOUND, "on_enrol"),
        ("on_enroll", "yes", RefusalCode.POLICY_UNFIT, "accept or refuse"),
        ("on_enroll", "", RefusalCode.POLICY_UNFIT, "accept or refuse"),
        ("on_restore", '{"refuse": 1}', RefusalCode.POLICY_UNFIT, "accept or refuse"),
        ("on_restore", "{refuse", RefusalCode.POLICY_UNFIT, "not JSON"),
        ("on_restore", "[1.5]", RefusalCode.POLICY_UNFIT, "not JSON"),
        ("on_restore", "[NaN]", RefusalCode.POLICY_UNFIT, "not JSON"),
        ("on_restore", "[" * 90_000, RefusalCode.POLICY_UNFIT, "not JSON"),
        ("on_restore", "x" * (MAXIMUM_CHARACTERS + 1), RefusalCode.POLICY_UNFIT, "100000 characters"),
    ],
)
def test_what_fits_no_policy_is_refused_with_the_reason(name: str, text: str, code: RefusalCode, told: str) -> None:
    refusal = read_policy(name, text)

    assert isinstance(refusal, Refusal)
    assert refusal.code is code
    assert told in refusal.message


def test_unset_policies_let_devices_in() -> None:
    assert standing_policies({}) == StandingPolicies(on_enroll=Admission.ACCEPT, on_restore=Admission.ACCEPT)


def test_stored_policies_stand() -> None:
    assert standing_policies({"on_restore": "refuse"}) == StandingPolicies(on_restore=Admission.REFUSE)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*PolicyName, "of_a_later_version"]), VALUES, max_size=4))
def test_value_that_nobody_can_read_counts_as_unset(stored: dict[str, PolicyValue]) -> None:
    standing = standing_policies(stored)

    for name in (PolicyName.ON_ENROLL, PolicyName.ON_RESTORE):
        expected = stored.get(name) if stored.get(name) in ("accept", "refuse") else "accept"
        assert getattr(standing, name) == expected


@pytest.mark.parametrize("name", PolicyName)
def test_every_policy_has_its_help_and_a_default_that_fits(name: PolicyName) -> None:
    assert KINDS[name].help
    assert KINDS[name].fault_of(KINDS[name].default) is None
