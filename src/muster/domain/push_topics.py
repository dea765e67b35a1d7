"""What keeps a whole topic from being pushed: no certificate, one that expired, or a breaker that is open."""

from dataclasses import dataclass
from datetime import datetime

from muster.domain.push_breaker import Breaker
from muster.domain.push_policy import NoPush, Obstacle


@dataclass(frozen=True, slots=True)
class TopicState:
    """What is known of a topic: until when its certificate in use is good (absent: there is none), and its breaker
    (absent: nothing fails)."""

    topic: str
    certificate_until: datetime | None
    breaker: Breaker | None


def obstacle_of(topic: TopicState, now: datetime) -> Obstacle | None:
    """Tell what keeps the channels of *topic* from being pushed, its probes apart; None: nothing does."""
    if topic.certificate_until is None:
        return Obstacle(NoPush.NO_CERTIFICATE)
    if now >= topic.certificate_until:
        return Obstacle(NoPush.CERTIFICATE_EXPIRED)
    if topic.breaker is not None and topic.breaker.is_open:
        return Obstacle(NoPush.BREAKER_OPEN)
    return None
