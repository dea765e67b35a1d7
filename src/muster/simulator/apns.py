"""APNs as an MDM server and its devices meet it, without a network: which pushes it takes, keeps, delivers and refuses.

Sources: Apple, "Sending notification requests to APNs" (apns-expiration; one stored notification for a device that is
offline), "Handling notification responses from APNs" (reasons).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from uuid import UUID

from muster.protocol.apns import REASONS, Push

TOKEN_BYTES = 32

_STATUSES = {reason: status for status, reason in REASONS}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why APNs did not take a push: Apple's *reason*, and for a token no longer in use since when (aware UTC).

    Raises ValueError for a reason which APNs does not have.
    """

    reason: str
    unregistered_at: datetime | None = None

    def __post_init__(self) -> None:
        """Check the reason."""
        if self.reason not in _STATUSES:
            raise ValueError(f"APNs has no reason {self.reason!r}")

    @property
    def status(self) -> int:
        """The HTTP status which goes with the reason."""
        return _STATUSES[self.reason]


@dataclass(slots=True)
class _Script:
    """How pushes to one token or topic are refused: *times* more of them, or all of them when None."""

    refusal: Refusal
    times: int | None


@dataclass(slots=True)
class _Registration:
    topic: str
    wake: Callable[[Push], None] | None = None
    stored: Push | None = None


class SimulatedAPNs:
    """The state of APNs. Time is an argument, randomness is *rng*; devices take part by tokens they were issued.

    Lacks what no MDM server can see: collapse identifiers, priorities and delayed delivery.
    `received` counts arrivals of each apns-id, answered or not, refused or not.
    """

    def __init__(self, rng: Random) -> None:
        self.received: Counter[str] = Counter()
        self._rng = rng
        self._registrations: dict[bytes, _Registration] = {}
        self._token_scripts: dict[bytes, _Script] = {}
        self._topic_scripts: dict[str, _Script] = {}
        self._outage: Refusal | None = None

    def issue_token(self, topic: str) -> bytes:
        """Register an installation of *topic*, offline at first, and return its new push token."""
        token = self._rng.randbytes(TOKEN_BYTES)
        self._registrations[token] = _Registration(topic)
        return token

    def issue_apns_id(self) -> str:
        """Return a name for a push that came without one."""
        return str(UUID(bytes=self._rng.randbytes(16), version=4))

    def go_online(self, token: bytes, wake: Callable[[Push], None], now: datetime) -> None:
        """Connect the device that holds *token*: the push stored for it, if it has not expired, and every later one are
        handed to *wake*, which must not block.

        Raises KeyError for a token that was never issued.
        """
        registration = self._registrations[token]
        registration.wake = wake
        stored, registration.stored = registration.stored, None
        if stored is not None and stored.expiration > now.timestamp():
            wake(stored)

    def go_offline(self, token: bytes) -> None:
        """Disconnect the device. Raises KeyError for a token that was never issued."""
        self._registrations[token].wake = None

    def receive(self, push: Push, now: datetime) -> Refusal | None:
        """Take *push*: deliver it, keep it in place of the one kept before, or drop it. None means accepted (200)."""
        self.received[push.apns_id] += 1
        refusal = self._refusal(push)
        if refusal is not None:
            return refusal
        registration = self._registrations[push.token]
        if registration.wake is not None:
            registration.wake(push)
        elif push.expiration > now.timestamp():
            registration.stored = push
        return None

    def unregister(self, token: bytes, at: datetime) -> None:
        """Refuse *token* as no longer in use since *at*, as after its profile was removed or its device erased."""
        self._registrations[token].stored = None
        self.reject(token, Refusal("Unregistered", at))

    def reject(self, token: bytes, refusal: Refusal, *, times: int | None = None) -> None:
        """Refuse the next *times* pushes to *token*, all of them when None."""
        self._token_scripts[token] = _Script(refusal, times)

    def reject_topic(self, topic: str, refusal: Refusal, *, times: int | None = None) -> None:
        """Refuse the next *times* pushes for *topic*, as APNs does when its certificate was revoked; all when None."""
        self._topic_scripts[topic] = _Script(refusal, times)

    def begin_outage(self, reason: str) -> None:
        """Refuse every push with *reason* ("ServiceUnavailable", "InternalServerError") until `end_outage`."""
        self._outage = Refusal(reason)

    def end_outage(self) -> None:
        """Take pushes again."""
        self._outage = None

    def _refusal(self, push: Push) -> Refusal | None:
        if self._outage is not None:
            return self._outage
        scripted = _next(self._topic_scripts.get(push.topic)) or _next(self._token_scripts.get(push.token))
        if scripted is not None:
            return scripted
        registration = self._registrations.get(push.token)
        if registration is None:
            return Refusal("BadDeviceToken")
        return Refusal("DeviceTokenNotForTopic") if registration.topic != push.topic else None


def _next(script: _Script | None) -> Refusal | None:
    if script is None or script.times == 0:
        return None
    if script.times is not None:
        script.times -= 1
    return script.refusal
