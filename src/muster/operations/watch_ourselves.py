"""Our own signs of life and faults: a node says that it lives, and what fails on our side becomes outages.

What one node sees by itself (its errors, identities that no request has, workers that are late) it brings along; what
all share (signs of life of workers, push certificates) any node reads.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from muster.crypto.certificates import CertificateFacts, inspect_certificate
from muster.domain.control.evidence import Detail
from muster.domain.control.own_side import DEVICES, EVERYTHING, Outage, Scope, ScopeKind, is_clock_told_by_devices
from muster.domain.control.reasons import Reason
from muster.domain.control.self_watch import (
    AUTHORITY_ENDS_SOON,
    CLAIMANTS_TO_OPEN,
    FORGET_NODES_AFTER,
    LOOK_BACK,
    NOTABLE_GAP,
    DiskSpace,
    are_enough_to_differ,
    dead_workers,
    downtime,
    ends_soon,
    is_scarce,
)
from muster.domain.control.words import duration, instant
from muster.domain.enrollment import EnrollmentState
from muster.operations.call_again import call_again, end_outage
from muster.operations.context import Context
from muster.operations.count_cohorts import count_cohorts
from muster.operations.follow_incidents import follow_incidents, note_downtime
from muster.operations.note_deaf_topics import note_expired_certificates
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, heartbeats, identities, journal_marks, outages
from muster.storage.engine import Transaction
from muster.storage.heartbeats import THE_NODE

KEEP_OUTAGES: timedelta = timedelta(days=400)
"""As long as contacts are kept: a year can be told from them."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A node begins to live, or does so again after a gap; *workers* are those that it has."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """A node lives; *late* are those of its workers that owe a step for too long."""

    late: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Failing:
    """An endpoint of a node answers *failed* of *answered* requests with errors of ours, since *since*."""

    since: datetime
    answered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Requests came without an identity since *since*, and none with one; *claimed*: whom they claim to come from."""

    since: datetime
    claimed: frozenset[ChannelId]


@dataclass(frozen=True, slots=True)
class DifferingClocks:
    """Requests of *devices* devices were signed at another time than ours, the same for nearly all, since *since*;
    by theirs our clock is *seconds* ahead (behind: negative)."""

    since: datetime
    seconds: int
    devices: int


@dataclass(frozen=True, slots=True)
class NodeFindings:
    """What a node saw by itself. *failing*: by endpoint. *has_identities*: a request with an identity came since it
    looked last. *differing*: absent where a device's clock agrees with ours, or too few were told."""

    failing: Mapping[str, Failing] = field(default_factory=dict)
    dropped: Dropped | None = None
    has_identities: bool = False
    differing: DifferingClocks | None = None
    disk: DiskSpace | None = None
    """Of the node's data; absent: it could not be measured."""


def begin_beating(tx: Transaction, beginnings: Sequence[Beginning], ctx: Context) -> list[Outage | None]:
    """Have this node live; for each, the downtime of all nodes that it ends, which is stored, if there was one.

    Where the database was restored from a backup, signs of life went back with it: the gap is what it lost.
    """
    return [_begin(tx, one, ctx) for one in beginnings]


def beat(tx: Transaction, beats: Sequence[Beat], ctx: Context) -> list[None]:
    """Have this node and its workers live: one small statement, for it is done every few minutes for ever."""
    for one in beats:
        heartbeats.beat(tx, ctx.node, ctx.now, late=one.late)
    return [None] * len(beats)


def watch_ourselves(tx: Transaction, findings: Sequence[NodeFindings], ctx: Context) -> list[None]:
    """Make outages, and of them incidents, of what is found on our side, and end those that are over; None for each.

    When their hour is over, cohorts of theirs are counted before, for they make incidents too.
    """
    tx.lock_name("own_side")
    lasting = outages.lasting(tx)
    for one in findings:
        _follow_errors(tx, lasting, one, ctx)
        _follow_identities(tx, lasting, one, ctx)
        _follow_clocks(tx, lasting, one, ctx)
        _follow_disk(tx, lasting, one, ctx)
    _follow_authority(tx, lasting, ctx)
    signs = heartbeats.read_all(tx)
    living = {one.node for one in signs if one.worker == THE_NODE and ctx.now - one.beat_at < NOTABLE_GAP}
    _follow_nodes(tx, lasting, {one.node for one in signs} - living - {ctx.node}, ctx)
    _follow_workers(tx, lasting, [one for one in signs if one.node in living], ctx)
    note_expired_certificates(tx, ctx)
    count_cohorts(tx, ctx)
    follow_incidents(tx, ctx)
    return [None] * len(findings)


def forget_own_side(tx: Transaction, items: Sequence[None], ctx: Context) -> list[bool]:
    """Forget nodes that are no more, and outages of long ago; False for each: nothing is left to forget."""
    heartbeats.forget(tx, ctx.now - FORGET_NODES_AFTER)
    outages.forget(tx, ctx.now - KEEP_OUTAGES)
    return [False] * len(items)


def _begin(tx: Transaction, beginning: Beginning, ctx: Context) -> Outage | None:
    heartbeats.lock(tx)
    gap = downtime(heartbeats.latest(tx), ctx.now)
    heartbeats.begin(tx, ctx.node, beginning.workers, ctx.now)
    outages.cut_short(tx, ctx.now)
    if gap is None:
        return None
    rollback = journal_marks.last_rollback(tx)
    if rollback is not None and rollback.noticed_at > gap[0]:  # we lived; what was heard is lost with the database
        reason, words = Reason.DATABASE_ROLLED_BACK, "our database was rolled back, and contacts were lost with it"
    else:
        reason, words = Reason.OWN_DOWNTIME, "our server was down"
    outage = Outage(ctx.new_id(), reason, EVERYTHING, *gap, words)
    outages.open_one(tx, outage)
    call_again(tx, outage, ctx)
    note_downtime(tx, outage, ctx)
    return outage


def _follow_errors(tx: Transaction, lasting: Sequence[Outage], found: NodeFindings, ctx: Context) -> None:
    for one in lasting:
        endpoint, _, node = one.scope.name.partition("@")
        is_ours = one.reason is Reason.OWN_ERRORS and one.scope.kind is ScopeKind.ENDPOINT and node == ctx.node
        if is_ours and endpoint not in found.failing:
            end_outage(tx, one, ctx)
    for endpoint, failing in sorted(found.failing.items()):
        scope = Scope(ScopeKind.ENDPOINT, f"{endpoint}@{ctx.node}")
        words = f"our server failed at {failing.failed} of {failing.answered} requests"
        detail: Detail = {
            "endpoint": endpoint,
            "node": ctx.node,
            "answered": failing.answered,
            "failed": failing.failed,
        }
        outages.open_one(tx, Outage(ctx.new_id(), Reason.OWN_ERRORS, scope, failing.since, None, words, detail))


def _follow_identities(tx: Transaction, lasting: Sequence[Outage], found: NodeFindings, ctx: Context) -> None:
    if found.has_identities:
        for one in lasting:
            if one.reason is Reason.OWN_PROXY_DROPS_IDENTITY:
                end_outage(tx, one, ctx)
        return
    dropped = found.dropped
    if dropped is None:
        return
    found_ones = enrollments.find(tx, sorted(dropped.claimed)).values()
    known = [one for one in found_ones if one.state is EnrollmentState.ENROLLED]  # anybody may claim anything
    if known and len(known) >= min(CLAIMANTS_TO_OPEN, enrollments.count_enrolled(tx)):
        words = "requests reach us without the devices' identities, as if a proxy dropped them"
        detail: Detail = {"node": ctx.node, DEVICES: len(known)}
        outages.open_one(
            tx,
            Outage(ctx.new_id(), Reason.OWN_PROXY_DROPS_IDENTITY, EVERYTHING, dropped.since, None, words, detail),
        )


def _follow_clocks(tx: Transaction, lasting: Sequence[Outage], found: NodeFindings, ctx: Context) -> None:
    """Take our clock for wrong where devices agree on another time, enough of those that are heard; only they can take
    that back."""
    told = found.differing
    if told is None or not _are_enough(tx, told, ctx):
        if any(is_clock_told_by_devices(one) and one.detail["node"] == ctx.node for one in lasting):
            outages.close(tx, Reason.OWN_CLOCK_WRONG, EVERYTHING, ctx.now)
        return
    ahead = f"{duration(timedelta(seconds=abs(told.seconds)))} {'ahead of' if told.seconds > 0 else 'behind'}"
    words = f"our clock is {ahead} that of {told.devices} devices, which agree on the time"
    detail: Detail = {"node": ctx.node, "seconds": told.seconds, DEVICES: told.devices}
    since = min(told.since, ctx.now)
    outages.open_one(tx, Outage(ctx.new_id(), Reason.OWN_CLOCK_WRONG, EVERYTHING, since, None, words, detail))


def _are_enough(tx: Transaction, told: DifferingClocks, ctx: Context) -> bool:
    return are_enough_to_differ(told.devices, enrollments.count_heard(tx, ctx.now - LOOK_BACK))


def _follow_disk(tx: Transaction, lasting: Sequence[Outage], found: NodeFindings, ctx: Context) -> None:
    """Tell of a disk that is nearly full before nothing can be written any more."""
    scope, disk = Scope(ScopeKind.DISK, ctx.node), found.disk
    was_scarce = any(one.scope == scope for one in lasting)
    if disk is None:
        return
    if is_scarce(disk, was_scarce=was_scarce):
        words = f"the disk of {ctx.node} is nearly full: {_size(disk.free)} of {_size(disk.total)} are free"
        detail: Detail = {"node": ctx.node, "free": disk.free, "total": disk.total}
        outages.open_one(tx, Outage(ctx.new_id(), Reason.OWN_ERRORS, scope, ctx.now, None, words, detail))
    elif was_scarce:
        outages.close(tx, Reason.OWN_ERRORS, scope, ctx.now)


def _size(octets: int) -> str:
    return f"{octets / 2**30:,.1f} GiB"


@lru_cache(maxsize=4)
def _facts(certificate_der: bytes) -> CertificateFacts:
    return inspect_certificate(certificate_der)


def _follow_authority(tx: Transaction, lasting: Sequence[Outage], ctx: Context) -> None:
    """Tell of the end of the authority that issues identities, while there is time for another."""
    current = next((one for one in identities.all_authorities(tx) if one.is_current), None)
    name = "" if current is None else current.fingerprint.hex()
    facts = None if current is None else _facts(current.certificate_der)
    is_ending = facts is not None and ends_soon(facts.not_after, ctx.now)
    for one in lasting:
        if one.scope.kind is ScopeKind.ISSUER and (one.scope.name != name or not is_ending):
            outages.close(tx, one.reason, one.scope, ctx.now)
    if facts is None or not is_ending:
        return
    ends = "ended" if facts.not_after <= ctx.now else "ends"
    words = (
        f"our authority {facts.common_name or name[:16]} {ends} {instant(facts.not_after, ctx.now)}, and no identity "
        "outlives it: `muster authority rotate` makes another"
    )
    scope = Scope(ScopeKind.ISSUER, name)
    since = max(facts.not_after - AUTHORITY_ENDS_SOON, facts.not_before)
    outages.open_one(tx, Outage(ctx.new_id(), Reason.IDENTITY_EXPIRING, scope, since, None, words))


def _follow_nodes(tx: Transaction, lasting: Sequence[Outage], gone: Container[str], ctx: Context) -> None:
    """End what nodes found that are *gone*; one that was down for a while finds it again."""
    for one in lasting:
        if one.detail.get("node") in gone and one.reason is not Reason.DATABASE_ROLLED_BACK:
            end_outage(tx, one, ctx)


def _follow_workers(
    tx: Transaction, lasting: Sequence[Outage], signs: Sequence[heartbeats.Heartbeat], ctx: Context
) -> None:
    dead = dead_workers(((one.worker, one.beat_at) for one in signs if one.worker != THE_NODE), ctx.now)
    for outage in lasting:
        if outage.reason is Reason.OWN_WORKER_DEAD and outage.scope.name not in dead:
            outages.close(tx, outage.reason, outage.scope, ctx.now)
    for worker, since in dead.items():
        words = f"our worker for {worker} is dead"
        scope = Scope(ScopeKind.WORKER, worker)
        outages.open_one(
            tx, Outage(ctx.new_id(), Reason.OWN_WORKER_DEAD, scope, since, None, words, {"worker": worker})
        )
