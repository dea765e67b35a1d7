"""Pushes in three steps: claim what is due (one transaction), send (the edge), record what became of it (another)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.push_policy import PushReason, PushSituation, WishMet, decide_push
from muster.operations.context import Context
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push
from muster.protocol.identifiers import ChannelId
from muster.storage import commands, enrollments, evidence, people, push, push_certificates
from muster.storage.engine import Transaction

CLAIM_LIMIT = 200
"""Wishes claimed in one transaction; a full claim is followed by the next at once."""

FOR_GOOD = frozenset({OutcomeClass.TOKEN_UNREGISTERED, OutcomeClass.TOKEN_BAD, OutcomeClass.TOPIC_MISMATCH})
"""Outcomes after which the same token is not pushed again, until a TokenUpdate brings another."""


@dataclass(frozen=True, slots=True)
class ClaimedPush:
    """A push to send. *fence* names the claim: an outcome of an older claim settles nothing."""

    channel_id: ChannelId
    push: Push
    fence: int
    next_at: datetime
    """When the wish is looked at again, after the outcome is recorded."""


@dataclass(frozen=True, slots=True)
class ClaimedPushes:
    """What to send now. *more*: the limit was reached, others may be due."""

    pushes: tuple[ClaimedPush, ...]
    next_due_at: datetime | None
    more: bool


def claim_pushes(tx: Transaction, items: Sequence[None], ctx: Context) -> list[ClaimedPushes]:
    """Claim due wishes and decide about each; one ClaimedPushes for each of *items*.

    A claimed wish is due again when its lease ends, so that another node sends it when this one dies.
    """
    return [_claim(tx, ctx) for _ in items]


def _claim(tx: Transaction, ctx: Context) -> ClaimedPushes:
    due = push.claim_due(tx, ctx.now, CLAIM_LIMIT)
    waiting = commands.waiting_counts(tx, [wish.channel_id for wish in due])
    claimed: list[ClaimedPush] = []
    met: list[ChannelId] = []
    for wish in due:
        if wish.state != EnrollmentState.ENROLLED.value or wish.token is None or wish.refused_at is not None:
            # nobody to push, or a user who is logged out; a TokenUpdate makes a new wish when commands wait
            met.append(wish.channel_id)
            continue
        count = waiting.get(wish.channel_id, 0)
        situation = PushSituation(wish.wanted_at, wish.reason, wish.attempts, wish.last_contact_at, count)
        decision = decide_push(situation, ctx.now)
        if isinstance(decision, WishMet):
            met.append(wish.channel_id)
            continue
        fence = push.claim_attempt(tx, wish.channel_id, lease_until=ctx.now + ctx.policy.push_lease)
        claimed.append(ClaimedPush(wish.channel_id, _push(wish, ctx), fence, decision.next_at))
    if met:
        push.drop_wishes(tx, met)
    return ClaimedPushes(tuple(claimed), push.next_due(tx), more=len(due) == CLAIM_LIMIT)


def _push(wish: push.DueWish, ctx: Context) -> Push:
    assert wish.topic is not None
    assert wish.token is not None
    assert wish.push_magic is not None
    apns_id = str(uuid.UUID(bytes=ctx.random_bytes(16), version=4))
    expiration = int((ctx.now + ctx.policy.push_expiration).timestamp())
    return Push(apns_id, wish.topic, wish.token, wish.push_magic, expiration)


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a claimed push. *receipt* None: there was no certificate to send it with."""

    claimed: ClaimedPush
    receipt: PushReceipt | None


def record_push_outcomes(tx: Transaction, results: Sequence[PushResult], ctx: Context) -> list[None]:
    """Record what APNs answered, as evidence of each channel, and settle each wish; one None for each."""
    tx.lock_rows(sorted({result.claimed.channel_id for result in results}))
    stored = enrollments.find(tx, [result.claimed.channel_id for result in results])
    observations = []
    for result in results:
        claimed = result.claimed
        outcome = None if result.receipt is None else result.receipt.outcome
        observed = "no_certificate" if outcome is None else outcome.outcome_class.value
        is_for_good = outcome is not None and outcome.outcome_class in FOR_GOOD
        push.record_outcome(
            tx,
            claimed.channel_id,
            token=claimed.push.token,
            outcome=observed,
            reason=None if outcome is None else outcome.reason,
            at=ctx.now,
            is_for_good=is_for_good,
        )
        push.settle(tx, claimed.channel_id, fence=claimed.fence, due_at=claimed.next_at)
        enrollment = stored.get(claimed.channel_id)
        detail = {
            "apns_id": claimed.push.apns_id,
            "status": None if outcome is None else outcome.status,
            "reason": None if outcome is None else outcome.reason,
        }
        epoch = 0 if enrollment is None else enrollment.epoch
        observations.append(Observation(claimed.channel_id, Signal.PUSH_ANSWER, observed, ctx.now, epoch, "", detail))
    evidence.append(tx, observations, ctx.new_id)
    return [None] * len(results)


def load_push_credentials(tx: Transaction, items: Sequence[None], ctx: Context) -> list[tuple[PushCredentials, ...]]:
    """Open the push certificate in use of each topic."""
    credentials = tuple(
        PushCredentials(
            topic=stored.topic,
            certificate_pem=stored.certificate_pem,
            key_pem=ctx.open(
                stored.key_sealed, table="push_certificates", column="key_sealed", row=stored.fingerprint.hex()
            ),
            fingerprint=stored.fingerprint,
        )
        for stored in push_certificates.current_certificates(tx)
    )
    return [credentials for _ in items]


def ask_for_push(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[Refusal | None]:
    """Wish to push channels because an administrator asks; None where the wish was made, in order."""
    tx.lock_rows(sorted(channel_ids))
    stored = enrollments.find(tx, channel_ids)
    outcomes: list[Refusal | None] = []
    for channel_id in channel_ids:
        enrollment = stored.get(channel_id)
        if enrollment is None:
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, f"no enrollment {channel_id} is known"))
        elif enrollment.state is not EnrollmentState.ENROLLED:
            outcomes.append(
                Refusal(RefusalCode.NOT_ENROLLED, f"{channel_id} is not enrolled now ({enrollment.state.value})")
            )
        else:
            push.wish(tx, [channel_id], reason=PushReason.ASKED_FOR, at=ctx.now, due_at=ctx.now)
            people.record_act(tx, ctx.actor, "push.send", channel_id, {}, ctx.now)
            outcomes.append(None)
    return outcomes
