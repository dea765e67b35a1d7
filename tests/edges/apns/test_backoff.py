"""When a push whose answer got lost is sent again."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.apns.backoff import MAX_ATTEMPTS, MAX_DELAY_SECONDS, next_attempt_delay


@given(st.integers(1, MAX_ATTEMPTS - 1), st.integers())
def test_delay_lies_in_the_upper_half_of_its_step(attempt: int, seed: int) -> None:
    delay = next_attempt_delay(attempt, Random(seed))

    assert delay is not None
    step = min(0.2 * 4 ** (attempt - 1), MAX_DELAY_SECONDS)
    assert step / 2 <= delay <= step


@pytest.mark.parametrize("attempt", [MAX_ATTEMPTS, MAX_ATTEMPTS + 1])
def test_last_attempt_is_followed_by_none(attempt: int) -> None:
    assert next_attempt_delay(attempt, Random(0)) is None


def test_pushes_lost_together_come_back_apart() -> None:
    rng = Random(7)

    delays = {next_attempt_delay(1, rng) for _ in range(20)}

    assert len(delays) == 20
