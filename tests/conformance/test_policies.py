"""Policies are kept as they were set, on both engines alike."""

from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.standing_policies import Admission, PolicyName, PolicyValue, StandingPolicies
from muster.storage import policies
from muster.storage.engine import Engine
from muster.storage.policies import StoredPolicy


def write(engine: Engine, value: PolicyValue, *, hours: int = 0, by: str = "ana") -> None:
    at = NOON + timedelta(hours=hours)
    engine.write(lambda tx: policies.write(tx, PolicyName.ON_ENROLL, value, at=at, by=by))


def test_policy_stands_as_it_was_set_last(engine: Engine) -> None:
    assert engine.read(policies.read) == StandingPolicies()
    write(engine, "refuse")
    write(engine, "accept", hours=1, by="bea")
    write(engine, "refuse", hours=2, by="cleo")

    assert engine.read(policies.read) == StandingPolicies(on_enroll=Admission.REFUSE)
    assert engine.read(policies.stored) == (StoredPolicy("on_enroll", "refuse", NOON + timedelta(hours=2), "cleo"),)


@pytest.mark.parametrize("value", [None, True, 7, "ü", [1, "two", None], {"enabled": False, "lists": [{}]}])
def test_value_comes_back_as_it_was_stored(engine: Engine, value: PolicyValue) -> None:
    write(engine, value)

    assert [one.value for one in engine.read(policies.stored)] == [value]
    assert engine.read(policies.read) == StandingPolicies()
