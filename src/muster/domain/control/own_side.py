"""Faults of our own side: what they touch, by attributes of ours alone, and whose silence they explain.

Where a fault may have kept a channel from being heard or called, nothing of its silence in that time counts against it.
A network or a site of theirs is never in here: a stolen cart is not our outage.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from muster.domain.control.dossier import OwnFault
from muster.domain.control.evidence import Detail
from muster.domain.control.reasons import Reason
from muster.domain.control.silence_clock import merged
from muster.domain.push_breaker import BreakerCause
from muster.domain.push_policy import CALLED_APART


class ScopeKind(StrEnum):
    """What those have in common whom something touches."""

    EVERYTHING = ""
    TOPIC = "topic"
    NODE = "node"
    ENDPOINT = "endpoint"
    """A path of ours that devices speak to, on one node: `/mdm@node`."""
    WORKER = "worker"
    """One of our workers, which lives on no node."""
    AUTHORITY = "authority"
    """SHA-256 of one of our authorities' certificates, in hex: those whose identities it issued."""
    DISK = "disk"
    """A node's disk, which is nearly full: it keeps nobody from us yet."""
    ISSUER = "issuer"
    """SHA-256 of the certificate of the authority that issues identities and ends soon: it keeps nobody from us."""
    SITE = "site"
    """A public address; of incidents only, never of our own faults."""
    BUILD = "build"
    """A build of an operating system; of incidents only."""


HARMLESS_YET: Final = frozenset({ScopeKind.DISK, ScopeKind.ISSUER})
"""What a person has to see to before it touches anybody."""
OF_THEIRS: Final = frozenset({ScopeKind.SITE, ScopeKind.BUILD})
"""What devices have in common that is none of ours: no outage is ever of these."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Who is touched: all that share *name*, of *kind*."""

    kind: ScopeKind = ScopeKind.EVERYTHING
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.kind is not ScopeKind.EVERYTHING else ""


EVERYTHING: Final = Scope()


def read_scope(text: str) -> Scope:
    """Read a scope as it is stored. Raises ValueError for a kind that isn't one."""
    kind, _, name = text.partition(":")
    return Scope(ScopeKind(kind), name)


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which our side was at fault or blind. *ended_at* absent: it lasts. *words*: what it is, for sentences,
    such as `our server was down`."""

    id: str
    reason: Reason
    scope: Scope
    began_at: datetime
    ended_at: datetime | None
    words: str
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnAttributes:
    """What of ours a channel hangs on; absent: not known, or nothing. *heard_at*: its last contact.

    *authority*: SHA-256, in hex, of the authority that issued its identity.
    """

    topic: str | None = None
    node: str | None = None
    authority: str | None = None
    heard_at: datetime | None = None


DEAFENING: Final = frozenset(
    {
        Reason.APNS_OUTAGE,
        Reason.PUSH_CERTIFICATE_EXPIRED,
        Reason.PUSH_TOPIC_MISMATCH,
        Reason.OWN_ERRORS,
        Reason.OWN_TLS_CHANGED,
        Reason.OWN_PROXY_DROPS_IDENTITY,
        Reason.OWN_WORKER_DEAD,
        Reason.OWN_DOWNTIME,
        Reason.DATABASE_ROLLED_BACK,
    }
)
"""Faults by which a channel could not be heard, or not be called: the clock of silence stands still meanwhile."""

SPENDING: Final = frozenset(
    {Reason.OWN_DOWNTIME, Reason.OWN_ERRORS, Reason.OWN_TLS_CHANGED, Reason.OWN_PROXY_DROPS_IDENTITY}
)
"""Faults in which pushes arrive and those they wake don't reach us: what APNs kept for them is spent. Whoever did not
answer is called again afterwards."""
CALLED_AGAIN_WITHIN: Final = 2 * CALLED_APART
"""So long after such a fault the clock of silence stands still, too: until that call had its chance."""

DISPROVED_BY_CONTACT: Final = frozenset({Reason.OWN_ERRORS, Reason.OWN_TLS_CHANGED, Reason.OWN_PROXY_DROPS_IDENTITY})
"""Faults that may touch a part of those in their scope: who was heard since one began is not among them."""

ENDPOINTS_OF_CHANNELS: Final = frozenset({"/mdm", "/checkin"})
"""Where enrolled devices speak to us; errors elsewhere keep others from enrolling and tell nothing of a silence."""


WORKERS_OF_CHANNELS: Final = frozenset({"push", "answers"})
"""Workers without which nobody is called, or what was answered isn't read. Others leave other things undone."""


DEVICES: Final = "devices"
"""Detail of an outage: how many devices told of it."""


def is_clock_told_by_devices(outage: Outage) -> bool:
    """Tell whether it was devices by which our clock is wrong, so that only they can take it back."""
    return outage.reason is Reason.OWN_CLOCK_WRONG and DEVICES in outage.detail


def serves_channels(scope: Scope) -> bool:
    """Tell whether *scope* is a worker without which channels aren't called or read."""
    return scope.kind is ScopeKind.WORKER and scope.name in WORKERS_OF_CHANNELS


def touches_channels(scope: Scope) -> bool:
    """Tell whether a fault of *scope* is in the way of enrolled devices at all: one of an endpoint may not be."""
    if scope.kind is ScopeKind.ENDPOINT:
        return scope.name.partition("@")[0] in ENDPOINTS_OF_CHANNELS
    return scope.kind not in HARMLESS_YET


def touches(outage: Outage, attributes: OwnAttributes) -> bool:
    """Tell whether *outage* touches a channel of these *attributes*; what isn't known of a channel is no link."""
    heard_at = attributes.heard_at
    if outage.reason in DISPROVED_BY_CONTACT and heard_at is not None and heard_at > outage.began_at:
        return False
    match outage.scope.kind:
        case ScopeKind.EVERYTHING:
            return True
        case ScopeKind.TOPIC:
            return outage.scope.name == attributes.topic
        case ScopeKind.NODE:
            return outage.scope.name == attributes.node
        case ScopeKind.AUTHORITY:
            return outage.scope.name == attributes.authority
        case ScopeKind.ENDPOINT:
            return touches_channels(outage.scope)
        case ScopeKind.WORKER:
            return serves_channels(outage.scope)
        case ScopeKind.DISK | ScopeKind.ISSUER | ScopeKind.SITE | ScopeKind.BUILD:
            return False


def faults_touching(
    attributes: OwnAttributes, outages: Iterable[Outage], since: datetime, now: datetime
) -> tuple[OwnFault, ...]:
    """Return the faults that touch a channel now, or did after *since*, the earliest first.

    Not looked at: what began after *now*.
    """
    return tuple(
        OwnFault(one.reason, one.began_at, one.ended_at, one.words, one.id)
        for one in sorted(outages, key=lambda one: (one.began_at, one.id))
        if one.began_at <= now and (one.ended_at is None or one.ended_at > since) and touches(one, attributes)
    )


def deaf_times(faults: Iterable[OwnFault], now: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Return the times in which a channel could not be heard or called, as (from, to), in order, none overlapping."""
    return merged(deafness(faults), _EVER, now)


class Deafness(NamedTuple):
    """A time of which nobody's silence counts. *ended_at* absent: it lasts."""

    began_at: datetime
    ended_at: datetime | None


def deafness(faults: Iterable[OwnFault]) -> tuple[Deafness, ...]:
    """Return the times in which a channel could not be heard or called, in the order of *faults*, as they overlap."""
    return tuple(Deafness(one.began_at, _deaf_until(one)) for one in faults if one.reason in DEAFENING)


def _deaf_until(fault: OwnFault) -> datetime | None:
    if fault.ended_at is None or fault.reason not in SPENDING:
        return fault.ended_at
    return fault.ended_at + CALLED_AGAIN_WITHIN


_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


_OF_BREAKERS: Final = {
    BreakerCause.APNS_UNREACHABLE: (Reason.APNS_OUTAGE, "APNs can't be reached"),
    BreakerCause.APNS_UNAVAILABLE: (Reason.APNS_OUTAGE, "APNs is out of order"),
    BreakerCause.CERTIFICATE_REFUSED: (Reason.PUSH_CERTIFICATE_EXPIRED, "APNs refuses our push certificate"),
    BreakerCause.PUSHES_REFUSED: (Reason.APNS_OUTAGE, "whoever answers for APNs finds fault with every push"),
    BreakerCause.TOKENS_REFUSED: (Reason.PUSH_TOPIC_MISMATCH, "APNs refuses every token of our push topic"),
}


def reason_of_breaker(cause: BreakerCause) -> tuple[Reason, str]:
    """Return the reason that a topic whose breaker opened for *cause* is deaf for, and its words."""
    return _OF_BREAKERS[cause]
