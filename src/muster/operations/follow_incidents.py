"""Common causes become incidents, one each: opened, grown, closed, and told once, whatever the number of devices."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from muster.domain.control.cohorts import HUNG_ALIKE
from muster.domain.control.evidence import Detail
from muster.domain.control.incidents import (
    SILENT_TOGETHER,
    UNPUSHED_TOGETHER,
    Cause,
    Incident,
    follow_causes,
    scope_of_incident,
)
from muster.domain.control.own_side import DEAFENING, HARMLESS_YET, Outage, Scope, ScopeKind, serves_channels
from muster.domain.control.reasons import Reason
from muster.domain.control.words import count, duration, instant
from muster.domain.events import Event, EventType
from muster.operations.context import Context
from muster.storage import cohorts, enrollments, incidents, outages, outbox, push_certificates, reviews
from muster.storage.engine import Transaction


def follow_incidents(tx: Transaction, ctx: Context) -> None:
    """Bring the incidents up to what lasts now, and put into the outbox which were opened and closed."""
    known = incidents.open_ones(tx)
    lasting = outages.lasting(tx)
    causes = (
        *_causes_of_ours(tx, lasting, ctx),
        *_causes_of_sites(tx, ctx),
        *_causes_of_firewalls(tx, ctx),
        *_causes_of_builds(tx, ctx),
    )
    if not known and not causes:
        return
    steps = follow_causes(known, causes)
    opened = [_incident(cause, ctx) for cause in steps.opened]
    incidents.add(tx, opened)
    _judge_touched(tx, opened, ctx)
    for one, cause in steps.grown:
        incidents.change(tx, one.id, sentence=cause.sentence, channels=max(one.channels, cause.channels), at=ctx.now)
    for one in steps.closed:
        incidents.close(tx, one.id, ctx.now)
    outbox.append_of_no_channel(
        tx,
        [
            *(_event(EventType.INCIDENT_OPENED, one, ctx) for one in opened),
            *(_event(EventType.INCIDENT_CLOSED, one, ctx) for one in steps.closed),
        ],
    )


def note_downtime(tx: Transaction, outage: Outage, ctx: Context) -> None:
    """Have a downtime, which is known only once it is over, stand among the incidents."""
    assert outage.ended_at is not None, "it is over"
    lasted = duration(outage.ended_at - outage.began_at)
    touched = enrollments.count_enrolled(tx)
    sentence = f"{outage.words}: {lasted} from {_at(outage.began_at, ctx)} on, in which nobody's silence counts"
    incident = Incident(
        ctx.new_id(),
        outage.reason,
        outage.scope,
        outage.began_at,
        ctx.now,
        ctx.now,
        outage.ended_at,
        sentence,
        touched,
    )
    incidents.add(tx, [incident])
    outbox.append_of_no_channel(
        tx, [_event(EventType.INCIDENT_OPENED, incident, ctx), _event(EventType.INCIDENT_CLOSED, incident, ctx)]
    )


def _causes_of_ours(tx: Transaction, lasting: tuple[Outage, ...], ctx: Context) -> tuple[Cause, ...]:
    grouped: dict[tuple[Reason, Scope], list[Outage]] = defaultdict(list)
    for one in lasting:
        grouped[one.reason, scope_of_incident(one)].append(one)
    touched = _Touched(tx)
    causes = []
    for (reason, scope), some in grouped.items():
        began_at = min(one.began_at for one in some)
        number = 0 if scope.kind in HARMLESS_YET else touched.of(scope)
        sentence = f"{some[0].words}, since {_at(began_at, ctx)}; {_are(number, 'enrollment')} touched"
        if scope.kind in HARMLESS_YET:
            sentence = some[0].words
        causes.append(Cause(reason, scope, began_at, sentence, number))
    return tuple(causes)


def _causes_of_sites(tx: Transaction, ctx: Context) -> tuple[Cause, ...]:
    """Sites that fell silent together, for longer than so many of their devices' own rhythm explains."""
    causes = []
    for site in cohorts.silent_sites(tx):
        if site.silent < SILENT_TOGETHER or site.silent_since is None:
            continue
        number = cohorts.count_missed(tx, site.address)
        if number < SILENT_TOGETHER:
            continue
        since = site.silent_since
        sentence = f"{count(site.silent, 'device')} at {site.address} are silent together since {_at(since, ctx)}"
        alive = site.heard_elsewhere + site.witnessed
        if alive:
            sentence += f", and {count(alive, 'other')} from there {'is' if alive == 1 else 'are'} alive"
        reason = Reason.NETWORK_BLOCKS_SERVER if alive else Reason.SILENT
        causes.append(Cause(reason, Scope(ScopeKind.SITE, site.address), since, sentence, number))
    return tuple(causes)


def _causes_of_firewalls(tx: Transaction, ctx: Context) -> tuple[Cause, ...]:
    """Sites whose network keeps its devices from APNs."""
    return tuple(
        Cause(
            Reason.PUSH_PATH_BLOCKED,
            Scope(ScopeKind.SITE, site.address),
            site.since,
            f"no push reaches {count(site.devices, 'device')} at {site.address} since {_at(site.since, ctx)}, and they"
            " come by themselves alone; their network has to let them reach APNs (TCP 5223 or 443)",
            site.devices,
        )
        for site in cohorts.unpushed_sites(tx, at_least=UNPUSHED_TOGETHER)
    )


def _causes_of_builds(tx: Transaction, ctx: Context) -> tuple[Cause, ...]:
    return tuple(
        Cause(
            Reason.CLIENT_HUNG,
            Scope(ScopeKind.BUILD, one.build),
            one.since,
            f"{count(one.hung, 'device')} of build {one.build} stopped in mid-dialogue since {_at(one.since, ctx)}",
            one.hung,
        )
        for one in cohorts.builds_hung(tx)
        if one.hung >= HUNG_ALIKE
    )


def _judge_touched(tx: Transaction, opened: Sequence[Incident], ctx: Context) -> None:
    """Have those judged now whose verdicts a fault of ours makes unknown; the end of one they notice by themselves."""
    grave = [one for one in opened if one.scope.kind not in HARMLESS_YET]
    ours = [one for one in grave if one.reason in DEAFENING or one.reason is Reason.OWN_CLOCK_WRONG]
    scopes = {one.scope for one in ours if one.scope.kind is not ScopeKind.WORKER or serves_channels(one.scope)}
    topics = sorted(one.name for one in scopes if one.kind is ScopeKind.TOPIC)
    if len(topics) < len(scopes):
        reviews.bring_enrolled_forward(tx, ctx.now)
        return
    for topic in topics:
        reviews.bring_enrolled_forward(tx, ctx.now, topic=topic)


class _Touched:
    """How many enrolled channels a scope touches; each is counted when it is asked for first."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._all: int | None = None
        self._by_topic: dict[str, int] | None = None

    def of(self, scope: Scope) -> int:
        if scope.kind is ScopeKind.TOPIC:
            if self._by_topic is None:
                listeners = push_certificates.listeners(self._tx)
                self._by_topic = {topic: one.enrollments for topic, one in listeners.items()}
            return self._by_topic.get(scope.name, 0)
        if self._all is None:
            self._all = enrollments.count_enrolled(self._tx)
        return self._all


def _at(at: datetime, ctx: Context) -> str:
    return instant(at, ctx.now).removeprefix("on ")


def _are(number: int, noun: str) -> str:
    return f"{count(number, noun)} {'is' if number == 1 else 'are'}"


def _incident(cause: Cause, ctx: Context) -> Incident:
    return Incident(
        ctx.new_id(),
        cause.reason,
        cause.scope,
        cause.began_at,
        ctx.now,
        ctx.now,
        None,
        cause.sentence,
        cause.channels,
    )


def _event(kind: EventType, incident: Incident, ctx: Context) -> Event:
    detail: Detail = {
        "incident": incident.id,
        "reason": incident.reason.value,
        "scope": str(incident.scope),
        "began_at": f"{incident.began_at:%Y-%m-%dT%H:%M:%SZ}",
        "channels": incident.channels,
        "sentence": incident.sentence,
    }
    return Event(ctx.new_id(), kind, outbox.NO_CHANNEL, ctx.now, detail)
