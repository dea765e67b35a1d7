"""APNs as an MDM server and its devices meet it, without a network: which pushes it takes, keeps, delivers and refuses.

Sources: Apple, "Sending notification requests to APNs" (apns-expiration; one stored notification for a device that is
offline, for 30 days at most), "Handling notification responses from APNs" (reasons, and the timestamp of 410).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from uuid import UUID

from muster.protocol.apns import Push
from muster.simulator.apns_certificates import PushCertificates
from muster.simulator.apns_refusal import Refusal
from muster.simulator.apns_weather import Condition, Refuse, Throttle, TokenCounts, Weather

__all__ = ["Arrival", "Environment", "Refusal", "SimulatedAPNs"]

TOKEN_BYTES = 32
LONGEST_STORED = timedelta(days=30)
"""However late a push expires, APNs keeps it no longer."""
USUAL_THROTTLE = Throttle(pushes=120, seconds=60.0)
"""Apple names no figures. Two a second for a minute, to one token, is what a server does that has run wild."""


class Environment(StrEnum):
    """The two worlds of APNs; a token of one means nothing in the other."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A push that APNs took (*refusal* None) or refused, whether or not its sender learned of that."""

    at: datetime
    push: Push
    refusal: Refusal | None


@dataclass(slots=True)
class _Registration:
    """An installation. *ended_at*: since when it is gone; APNs may learn of that later."""

    topic: str
    environment: Environment
    wake: Callable[[Push], None] | None = None
    stored: Push | None = None
    stored_until: float = 0.0
    ended_at: datetime | None = None


class SimulatedAPNs:
    """The state of APNs. Time is an argument, randomness is *rng*; devices take part by tokens they were issued.

    *throttle* limits the pushes to each token; None: nothing does. *reports_end_after*: how long the token of an
    installation that is gone is still taken for good; Apple's 410 comes hours or days late, here at once unless told.
    *on_arrival* is told of every push. `received` counts arrivals of each apns-id, answered or not, refused or not.
    `weather` and `certificates` are to be changed by whoever plays with it; what they say of connections is for the
    door to obey.

    Lacks what no MDM server can see: collapse identifiers, priorities and delayed delivery.
    """

    def __init__(
        self,
        rng: Random,
        *,
        environment: Environment = Environment.PRODUCTION,
        throttle: Throttle | None = USUAL_THROTTLE,
        reports_end_after: timedelta = timedelta(0),
        on_arrival: Callable[[Arrival], None] = lambda _: None,
    ) -> None:
        self.received: Counter[str] = Counter()
        self.weather = Weather(rng)
        self.certificates = PushCertificates()
        self.reports_end_after = reports_end_after
        self._rng = rng
        self._environment = environment
        self._counts = TokenCounts(throttle) if throttle is not None else None
        self._on_arrival = on_arrival
        self._registrations: dict[bytes, _Registration] = {}
        self._outage: Condition | None = None

    # Devices

    def issue_token(self, topic: str, environment: Environment | None = None) -> bytes:
        """Register an installation of *topic*, offline at first, and return its new push token.

        One of another *environment* than this APNs' (None: the same) gets a token that is no good here.
        """
        token = self._rng.randbytes(TOKEN_BYTES)
        self._registrations[token] = _Registration(topic, environment or self._environment)
        return token

    def go_online(self, token: bytes, wake: Callable[[Push], None], now: datetime) -> None:
        """Connect the device that holds *token*: the push stored for it, if it has not expired, and every later one are
        handed to *wake*, which must not block.

        Nothing comes for a token whose installation has ended. Raises KeyError for one that was never issued.
        """
        registration = self._registrations[token]
        if registration.ended_at is not None:
            return
        registration.wake = wake
        stored, registration.stored = registration.stored, None
        if stored is not None and registration.stored_until > now.timestamp():
            wake(stored)

    def go_offline(self, token: bytes) -> None:
        """Disconnect the device. Raises KeyError for a token that was never issued."""
        self._registrations[token].wake = None

    def unregister(self, token: bytes, at: datetime) -> None:
        """End an installation at *at*, as when its profile was removed or its device erased: nothing reaches it now.

        Pushes to *token* are refused as Unregistered since *at*, once `reports_end_after` has passed; until then they
        are taken and lost. Raises KeyError for a token that was never issued.
        """
        registration = self._registrations[token]
        registration.wake = registration.stored = None
        registration.ended_at = at

    # Servers

    def issue_apns_id(self) -> str:
        """Return a name for a push that came without one."""
        return str(UUID(bytes=self._rng.randbytes(16), version=4))

    def receive(self, push: Push, now: datetime) -> Refusal | None:
        """Take *push*: deliver it, keep it in place of the one kept before, or drop it. None means accepted (200)."""
        self.received[push.apns_id] += 1
        refusal = self._refusal(push, now)
        if refusal is None and not self.weather.drops(push.topic, push.token, now):
            self._take(push, now)
        self._on_arrival(Arrival(now, push, refusal))
        return refusal

    # Scripts

    def reject(self, token: bytes, refusal: Refusal, *, times: int | None = None) -> None:
        """Refuse the next *times* pushes to *token*, all of them when None."""
        self.weather.add(Condition(_refuse(refusal), tokens=frozenset([token]), times=times))

    def reject_topic(self, topic: str, refusal: Refusal, *, times: int | None = None) -> None:
        """Refuse the next *times* pushes for *topic*, as APNs does when its certificate was revoked; all when None."""
        self.weather.add(Condition(_refuse(refusal), topics=frozenset([topic]), times=times))

    def begin_outage(self, reason: str) -> None:
        """Refuse every push with *reason* ("ServiceUnavailable", "InternalServerError") until `end_outage`."""
        self.end_outage()
        self._outage = Condition(Refuse(reason))
        self.weather.add(self._outage)

    def end_outage(self) -> None:
        """Take pushes again."""
        if self._outage is not None:
            self.weather.remove(self._outage)
            self._outage = None

    def _refusal(self, push: Push, now: datetime) -> Refusal | None:
        scripted = self.weather.refusal(push.topic, push.token, now)
        if scripted is not None:
            return Refusal(scripted.reason, scripted.since)
        registration = self._registrations.get(push.token)
        if registration is None or registration.environment is not self._environment:
            return Refusal("BadDeviceToken")
        if registration.topic != push.topic:
            return Refusal("DeviceTokenNotForTopic")
        if registration.ended_at is not None and now >= registration.ended_at + self.reports_end_after:
            return Refusal("Unregistered", registration.ended_at)
        if self._counts is not None and not self._counts.take(push.token, now):
            return Refusal("TooManyRequests")
        return None

    def _take(self, push: Push, now: datetime) -> None:
        registration = self._registrations[push.token]
        if registration.ended_at is not None:
            return
        if registration.wake is not None:
            registration.wake(push)
        elif push.expiration > now.timestamp():
            registration.stored = push
            registration.stored_until = min(push.expiration, (now + LONGEST_STORED).timestamp())


def _refuse(refusal: Refusal) -> Refuse:
    return Refuse(refusal.reason, refusal.unregistered_at)
