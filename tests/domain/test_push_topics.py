"""What keeps a topic from being pushed."""

from datetime import datetime, timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.push_breaker import Breaker, BreakerCause
from muster.domain.push_policy import OBSTACLES, NoPush, Obstacle
from muster.domain.push_topics import TopicState, obstacle_of

LATER = NOON + timedelta(days=1)
COUNTING = Breaker(BreakerCause.APNS_UNREACHABLE, 3, NOON)
OPEN = Breaker(BreakerCause.APNS_UNREACHABLE, 10, NOON, NOON, LATER)


@pytest.mark.parametrize(
    ("certificate_until", "breaker", "because"),
    [
        (LATER, None, None),
        (LATER, COUNTING, None),
        (LATER, OPEN, NoPush.BREAKER_OPEN),
        (NOON, None, NoPush.CERTIFICATE_EXPIRED),
        (NOON, OPEN, NoPush.CERTIFICATE_EXPIRED),
        (None, OPEN, NoPush.NO_CERTIFICATE),
    ],
)
def test_the_certificate_is_asked_for_before_the_breaker(
    certificate_until: datetime | None, breaker: Breaker | None, because: NoPush | None
) -> None:
    found = obstacle_of(TopicState("topic", certificate_until, breaker), NOON)

    assert found == (None if because is None else Obstacle(because))
    assert because is None or because in OBSTACLES
