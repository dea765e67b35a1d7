"""How long things may take towards APNs, and how long to wait before they are tried again."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

FIRST_DELAY_SECONDS: Final = 0.2
GROWTH: Final = 4.0
MAX_DELAY_SECONDS: Final = 60.0
_MAX_STEP: Final = 10  # far beyond the longest delay; keeps the power below from overflowing


def growing_delay(step: int, rng: Random) -> float:
    """Return how many seconds to wait before trying again for the *step*-th time, from 1.

    The delay grows geometrically and lies between half of its step and the whole of it, so that what was lost together
    does not come back together: APNs takes bursts of reconnects for abuse.
    """
    longest: float = min(FIRST_DELAY_SECONDS * GROWTH ** (min(step, _MAX_STEP) - 1), MAX_DELAY_SECONDS)
    return longest * rng.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """The times and numbers of tries, all in seconds.

    max_attempts: how often a push may be sent whose answer got lost, and how many connections in a row may fail before
    what waits for one is given up. Four cost about four seconds of waiting: long enough for a load balancer to take a
    dead front end out, short enough that the push is still about the command that caused it.

    push_seconds: from `send` to the outcome, at the latest. A claim of pushes lasts 5 minutes.
    attempt_seconds: for APNs' answer, which takes 0.1 s as a rule; four attempts fit into push_seconds.
    connect_seconds: until a connection is open for requests: address, proxy, TLS, the server's settings.
    address_seconds: for TCP to one of several addresses, so that one that swallows packets leaves time for the next.
    idle_ping_seconds, busy_ping_seconds: how long a connection may be silent before it is asked whether it still
    lives: without pushes under way (firewalls forget a connection after five minutes or more) and with them.
    ping_answer_seconds: for that answer; without one the connection is dead, and its pushes go elsewhere.
    """

    max_attempts: int = 4
    push_seconds: float = 120.0
    attempt_seconds: float = 20.0
    connect_seconds: float = 10.0
    address_seconds: float = 3.0
    idle_ping_seconds: float = 60.0
    busy_ping_seconds: float = 5.0
    ping_answer_seconds: float = 5.0
    delay: Callable[[int, Random], float] = growing_delay
