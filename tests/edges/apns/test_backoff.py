"""How long to wait before something is tried again."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from muster.edges.apns.backoff import MAX_DELAY_SECONDS, Pace, growing_delay


@given(st.integers(1, 10_000), st.integers())
def test_delay_lies_in_the_upper_half_of_its_step(step: int, seed: int) -> None:
    delay = growing_delay(step, Random(seed))

    longest = min(0.2 * 4 ** (min(step, 10) - 1), MAX_DELAY_SECONDS)
    assert longest / 2 <= delay <= longest


def test_pushes_lost_together_come_back_apart() -> None:
    rng = Random(7)

    delays = {growing_delay(1, rng) for _ in range(20)}

    assert len(delays) == 20


def test_all_attempts_of_a_push_fit_into_its_time() -> None:
    pace = Pace()

    delays = sum(0.2 * 4**step for step in range(pace.max_attempts - 1))

    assert pace.max_attempts * pace.attempt_seconds + delays < pace.push_seconds < 300
