"""When a push whose answer got lost is sent again."""

from random import Random

# A lost connection costs at most about four seconds of waiting in three steps: long enough for a load balancer to take
# a dead front end out, short enough that the push is still about the command that caused it.
MAX_ATTEMPTS = 4
FIRST_DELAY_SECONDS = 0.2
GROWTH = 4.0
MAX_DELAY_SECONDS = 5.0


def next_attempt_delay(attempt: int, rng: Random) -> float | None:
    """Return how many seconds to wait after failed attempt number *attempt*, or None when it was the last one.

    Attempts count from 1. The delay grows geometrically and lies between half of its step and the whole of it, so that
    pushes lost together do not come back together: APNs takes bursts of reconnects for abuse.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    step: float = min(FIRST_DELAY_SECONDS * GROWTH ** (attempt - 1), MAX_DELAY_SECONDS)
    return step * rng.uniform(0.5, 1.0)
