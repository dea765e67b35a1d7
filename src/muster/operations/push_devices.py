"""Pushes in three steps: claim what is due (one transaction), send (the edge), record what became of it (another)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple, assert_never

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_breaker import PROBE_PATIENCE, PROBES, Breaker, postpone_probe, take_probe
from muster.domain.push_outcomes import Consequence, OutcomeDecision, SentPush, decide_outcome
from muster.domain.push_policy import (
    OBSTACLES,
    DropWish,
    NoPush,
    Obstacle,
    PushNow,
    PushReason,
    PushSituation,
    Wait,
    decide_push,
)
from muster.domain.push_topics import TopicState, obstacle_of
from muster.operations.context import Context
from muster.operations.ports import PushReceipt
from muster.operations.turn_breaker import TurnedBreaker, turn_breaker
from muster.protocol.apns import OutcomeClass, Push
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record
from muster.storage import push, push_breakers, push_certificates, pushes, reviews
from muster.storage.engine import Transaction, Work
from muster.storage.hot_pushes import DueWish, PushAddress, PutOff, RecordedPush, SettledPush

CLAIM_LIMIT = 1000
"""Wishes claimed in one transaction at most; a full claim is followed by the next at once."""
PROBE_CANDIDATES = 20
"""Held wishes that are looked at to find one that is worth a probe."""

DOUBTFUL_FOR = timedelta(days=1)
"""How far back outcomes are looked for that may be recorded already: longer than a database is ever out of reach."""


class ClaimedPush(NamedTuple):
    """A push to send under the certificate of that fingerprint. *fence* names the claim: an outcome of an older claim
    settles nothing. *sent* is what the outcome is judged by."""

    channel_id: ChannelId
    push: Push
    certificate: bytes
    reason: PushReason
    fence: int
    sent: SentPush


@record(frozen=True, slots=True)
class ClaimedPushes:
    """What to send now. *more*: the limit was reached, others may be due."""

    pushes: tuple[ClaimedPush, ...]
    next_due_at: datetime | None
    more: bool


def claim_pushes(tx: Transaction, limits: Sequence[int], ctx: Context) -> list[ClaimedPushes]:
    """Claim due wishes, up to so many, and decide about each; one ClaimedPushes for each of *limits*.

    A claimed wish is due again when its lease ends, so that another node sends it when this one dies.
    """
    return [_claim(tx, limit, ctx) for limit in limits]


@dataclass(slots=True)
class _Sorted:
    """Wishes by what is done with them."""

    claimed: list[ClaimedPush]
    waits: list[PutOff]
    dropped: list[ChannelId]


def _claim(tx: Transaction, limit: int, ctx: Context) -> ClaimedPushes:
    topics = _Topics(push_certificates.certificates_in_use(tx), push_breakers.read_all(tx), ctx.now)
    # before any wish is held: whoever turns a breaker changes wishes while it has the breaker
    candidates = _take_probes(tx, topics, ctx)
    due = push.claim_due(tx, ctx.now, limit)
    is_due = {wish.channel_id for wish in due}
    done = _Sorted([], [], [])
    dice = ctx.dice()
    expiration = int((ctx.now + ctx.policy.push_expiration).timestamp())
    for wish in (*due, *(wish for wish in candidates if wish.channel_id not in is_due)):
        _sort(wish, topics, ctx.now, expiration, dice, done)
    lease_until = ctx.now + ctx.policy.push_lease
    push.claim_attempts(tx, [claimed.channel_id for claimed in done.claimed], lease_until=lease_until)
    push.put_off(tx, done.waits)
    push.drop_wishes(tx, done.dropped)
    _store_probes(tx, topics, ctx)
    next_due_at = min((at for at in (push.next_due(tx), topics.next_probe_at) if at is not None), default=None)
    return ClaimedPushes(tuple(done.claimed), next_due_at, more=len(due) == limit or bool(topics.unproved))


class _Topics:
    """What keeps the topics from being pushed, and the probes that may be sent all the same."""

    def __init__(
        self,
        certificates: Mapping[str, push_certificates.CertificateInUse],
        breakers: Mapping[str, Breaker],
        now: datetime,
    ) -> None:
        self.certificates = certificates
        self.breakers = breakers
        self.probes_left: dict[str, int] = {}
        self.probing: dict[str, Breaker] = {}
        """Breakers as they are once a probe is under way."""
        self.probed: set[str] = set()
        self.unproved: set[str] = set()
        """Topics of which no candidate was worth a probe so far, while there may be others."""
        self.next_probe_at: datetime | None = None
        self._now = now
        self._obstacles: dict[str, Obstacle | None] = {}

    def obstacle(self, topic: str) -> Obstacle | None:
        """Tell what keeps *topic* from being pushed, its probes apart."""
        if topic not in self._obstacles:
            certificate = self.certificates.get(topic)
            not_after = None if certificate is None else certificate.not_after
            self._obstacles[topic] = obstacle_of(TopicState(topic, not_after, self.breakers.get(topic)), self._now)
        return self._obstacles[topic]

    def may_probe(self, topic: str) -> bool:
        """Tell whether a probe of *topic* may be sent."""
        return self.probes_left.get(topic, 0) > 0

    def expect_probe(self, at: datetime) -> None:
        """Note that a probe is due at *at*."""
        self.next_probe_at = min(at, self.next_probe_at or at)

    def note_probe(self, topic: str) -> None:
        """Count a probe."""
        self.probes_left[topic] -= 1
        self.probed.add(topic)


def _take_probes(tx: Transaction, topics: _Topics, ctx: Context) -> list[DueWish]:
    """Take the held wishes of which one may be sent as a probe, for each topic whose breaker says it is time."""
    candidates: list[DueWish] = []
    blocked = [topic for topic in topics.breakers if topics.obstacle(topic) == Obstacle(NoPush.BREAKER_OPEN)]
    for topic in sorted(blocked):
        breaker = topics.breakers[topic]
        if take_probe(breaker, ctx.now) is not None:
            current = push_breakers.lock(tx, [topic]).get(topic)
            probing = None if current is None else take_probe(current, ctx.now)
            if probing is None:
                continue  # another node was faster; its outcome makes due what is to be done
            topics.probing[topic] = probing
            topics.probes_left[topic] = PROBES[probing.cause]
            held = push.claim_held(tx, topic, PROBE_CANDIDATES)
            if len(held) == PROBE_CANDIDATES:
                topics.unproved.add(topic)
            candidates.extend(held)
        elif breaker.retry_at is not None:
            topics.expect_probe(breaker.retry_at)
    return candidates


def _store_probes(tx: Transaction, topics: _Topics, ctx: Context) -> None:
    """Store which probes are under way. Where nobody wants a push, somebody is wished for: how else would it close."""
    for topic, probing in topics.probing.items():
        if topic in topics.probed:
            topics.unproved.discard(topic)
            push_breakers.store(tx, topic, probing)
            tx.made_due(Work.PUSH, ctx.now + PROBE_PATIENCE)
        elif topic in topics.unproved:
            continue
        elif push.wish_for_topic(
            tx, topic, reason=PushReason.PUSHES_WORK_AGAIN, at=ctx.now, limit=PROBES[probing.cause]
        ):
            topics.unproved.add(topic)
        else:
            push_breakers.store(tx, topic, postpone_probe(probing, ctx.now))
            topics.expect_probe(ctx.now + PROBE_PATIENCE)


def _sort(wish: DueWish, topics: _Topics, now: datetime, expiration: int, dice: Random, done: _Sorted) -> None:
    topic = None if wish.address is None else wish.address.topic
    is_probe = topic is not None and topics.may_probe(topic)
    obstacle = None if topic is None or is_probe else topics.obstacle(topic)
    decision = decide_push(situation_of(wish, obstacle), now)
    match decision:
        case PushNow(next_at):
            assert wish.address is not None
            if is_probe:
                topics.note_probe(wish.address.topic)
            done.claimed.append(_claimed(wish, wish.address, topics, next_at, expiration, dice))
        case Wait(until, because):
            done.waits.append(PutOff(wish.channel_id, until, because if because in OBSTACLES else None))
        case DropWish():
            done.dropped.append(wish.channel_id)
        case _:
            assert_never(decision)


def situation_of(wish: DueWish, obstacle: Obstacle | None) -> PushSituation:
    """Make a wish into what `decide_push` decides by."""
    return PushSituation(
        wish.wanted_at,
        wish.reason,
        wish.attempts,
        wish.last_contact_at,
        wish.commands_waiting,
        wish.declined,
        is_enrolled=wish.state is EnrollmentState.ENROLLED,
        target=wish.target,
        obstacle=obstacle,
    )


def _claimed(
    wish: DueWish, address: PushAddress, topics: _Topics, next_at: datetime, expiration: int, dice: Random
) -> ClaimedPush:
    assert wish.target is not None
    return ClaimedPush(
        wish.channel_id,
        Push(_new_apns_id(dice), address.topic, address.token, address.push_magic, expiration),
        topics.certificates[address.topic].fingerprint,
        wish.reason,
        wish.fence + 1,
        SentPush(wish.target, wish.last_contact_at, wish.failures, next_at),
    )


def _new_apns_id(dice: Random) -> str:
    """Return a UUIDv4 (RFC 9562, 5.4) in lower case, as APNs writes it; `uuid` takes four times as long."""
    digits = f"{dice.getrandbits(128) & ~(0xF << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class PushResult(NamedTuple):
    """A claimed push and its receipt. *may_be_recorded*: it was tried, and nobody knows whether that came through."""

    claimed: ClaimedPush
    receipt: PushReceipt
    may_be_recorded: bool = False


class RecordedOutcome(NamedTuple):
    """What followed from a result. *opened* or *closed*: it was the one by which its topic's breaker did so."""

    consequence: Consequence
    opened: Breaker | None = None
    closed: Breaker | None = None


def record_push_outcomes(tx: Transaction, results: Sequence[PushResult], ctx: Context) -> list[RecordedOutcome]:
    """Record what APNs answered, turn the breakers, and settle each wish; one RecordedOutcome for each.

    What was recorded before all the same is left as it is.
    """
    known = _recorded_before(tx, results, ctx)
    if not known:
        return _record(tx, results, ctx)
    recorded = iter(_record(tx, [one for one in results if one.claimed.push.apns_id not in known], ctx))
    return [
        RecordedOutcome(before) if (before := known.get(one.claimed.push.apns_id)) is not None else next(recorded)
        for one in results
    ]


def _recorded_before(tx: Transaction, results: Sequence[PushResult], ctx: Context) -> Mapping[str, Consequence]:
    doubtful = [(one.claimed.channel_id, one.claimed.push.apns_id) for one in results if one.may_be_recorded]
    return pushes.consequences(tx, doubtful, since=ctx.now - DOUBTFUL_FOR)


def _record(tx: Transaction, results: Sequence[PushResult], ctx: Context) -> list[RecordedOutcome]:
    if not results:
        return []
    in_use = {topic: one.fingerprint for topic, one in push_certificates.certificates_in_use(tx).items()}
    turned = _turn_breakers(tx, results, in_use, ctx)  # first: whoever waits for a breaker holds no wish
    dice = ctx.dice()
    decided = [_decide(result, turned[result.claimed.push.topic], in_use, ctx.now, dice.random()) for result in results]
    # before the wishes, as in a review
    refused = [one.claimed.channel_id for one, said in zip(results, decided, strict=True) if _is_refusal(said)]
    reviews.schedule_all(tx, refused, ctx.now)
    push.settle(tx, [_settled(result, one) for result, one in zip(results, decided, strict=True)], ctx.now)
    pushes.append(tx, [_recorded(result, one, ctx.now) for result, one in zip(results, decided, strict=True)])
    recorded = [RecordedOutcome(one.consequence) for one in decided]
    for index in {result.claimed.push.topic: index for index, result in enumerate(results)}.values():
        one = turned[results[index].claimed.push.topic]
        recorded[index] = RecordedOutcome(recorded[index].consequence, one.opened, one.closed)
    return recorded


def _turn_breakers(
    tx: Transaction, results: Sequence[PushResult], in_use: Mapping[str, bytes], ctx: Context
) -> dict[str, TurnedBreaker]:
    """Turn the breaker of each topic. What was sent under a certificate that was replaced since says nothing of it."""
    outcomes: dict[str, list[OutcomeClass]] = defaultdict(list)
    for result in results:
        said = outcomes[result.claimed.push.topic]
        if result.claimed.certificate == in_use.get(result.claimed.push.topic):
            said.append(result.receipt.outcome.outcome_class)
    known = push_breakers.read_all(tx)
    return {topic: turn_breaker(tx, topic, known.get(topic), outcomes[topic], ctx) for topic in sorted(outcomes)}


def _decide(
    result: PushResult, turned: TurnedBreaker, in_use: Mapping[str, bytes], now: datetime, jitter: float
) -> OutcomeDecision:
    claimed = result.claimed
    return decide_outcome(
        claimed.sent,
        result.receipt.outcome,
        now,
        jitter,
        held_because=NoPush.BREAKER_OPEN if turned.is_open else None,
        is_tokens_own=claimed.certificate == in_use.get(claimed.push.topic) and not turned.blames_all_tokens,
    )


def _is_refusal(decision: OutcomeDecision) -> bool:
    return decision.consequence is Consequence.STOPPED


def _settled(result: PushResult, decision: OutcomeDecision) -> SettledPush:
    claimed, outcome = result.claimed, result.receipt.outcome
    return SettledPush(
        claimed.channel_id,
        claimed.fence,
        claimed.push.token,
        claimed.sent.target.updated_at,
        outcome.outcome_class,
        outcome.reason,
        decision.due_at,
        decision.failures,
        not decision.is_attempt,
        decision.target,
        decision.held_because,
    )


def _recorded(result: PushResult, decision: OutcomeDecision, now: datetime) -> RecordedPush:
    claimed, receipt = result.claimed, result.receipt
    return RecordedPush(
        claimed.channel_id,
        now,
        claimed.push.apns_id,
        claimed.push.topic,
        claimed.reason,
        receipt.outcome,
        round(receipt.latency_seconds * 1000),
        receipt.attempts,
        decision.consequence,
    )
