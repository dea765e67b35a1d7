"""The one loop that drives everything that is due: each channel is looked at, and when to look again is decided.

Level-triggered: what a missed event would have said, the next review finds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from muster.domain.control.evidence import Observation, Signal
from muster.domain.control.review_schedule import ROUTINE
from muster.domain.enrollment import EnrollmentState
from muster.domain.policy import Policy
from muster.domain.push_policy import PushReason
from muster.operations.ask_for_apps import ask_for_apps
from muster.operations.ask_for_inventory import ask_when_due
from muster.operations.context import Context
from muster.operations.judge_channels import judge_channels
from muster.operations.recovery_steps import pushed_apart
from muster.operations.release_set_up import release_channels
from muster.operations.renew_accounts import ending_accounts
from muster.operations.renew_identities import due_at as renewal_due_at
from muster.operations.rotate_secrets import rotate_due_secrets
from muster.protocol.identifiers import ChannelId
from muster.storage import evidence, push, queue_holds, queues, renewals, reviews
from muster.storage.engine import Transaction

CLAIM_LIMIT = 200
"""Channels reviewed in one transaction."""
REVIEW_INTERVAL = ROUTINE
"""How long a channel is left alone when nothing is expected of it; what is has a time of its own."""
HASTENED_BY = timedelta(hours=1)
"""A wish that waits longer than this, as for a silent channel, is looked at when commands wait and it was heard."""
REVIEW_GRAIN = Policy().review_grain
"""As the policy has it by default."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What one pass did. *more*: the limit was reached, others may be due. *to_renew*: devices about whose identity
    something is to be done, each in a transaction of its own (`renew_identities`).
    """

    count: int
    next_due_at: datetime | None
    more: bool
    to_renew: tuple[ChannelId, ...] = ()
    to_tend: tuple[ChannelId, ...] = ()
    """Channels in whose queue something has expired or is to be tried again (`tend_queues`), sorted."""
    accounts_to_renew: tuple[str, ...] = ()
    """Accounts whose certificates end, each in a transaction of its own (`renew_accounts`)."""
    not_judged: tuple[tuple[ChannelId, str], ...] = ()
    """Channels that a fault of ours kept from being judged, and what it was."""


def review_channels(tx: Transaction, items: Sequence[None], ctx: Context) -> list[Reviewed]:
    """Review the channels that are due; one Reviewed for each of *items*."""
    return [_review(tx, ctx) for _ in items]


def _review(tx: Transaction, ctx: Context) -> Reviewed:
    due = reviews.claim_due(tx, ctx.now, CLAIM_LIMIT)
    queues_due = queue_holds.next_due(tx, [review.channel_id for review in due])
    waiting = queues.waiting_counts(tx, [review.channel_id for review in due])
    enrolled = [review.channel_id for review in due if review.state is EnrollmentState.ENROLLED]
    look_again = _earliest(release_channels(tx, enrolled, ctx), ask_for_apps(tx, enrolled, ctx))
    doubted = pushed_apart(tx, due, ctx)
    ask_again = ask_when_due(
        tx, [review for review in due if review.state is EnrollmentState.ENROLLED], ctx, not_pushed=doubted
    )
    for channel_id, rotates_at in rotate_due_secrets(tx, enrolled, ctx).items():
        look_again[channel_id] = min(rotates_at, look_again.get(channel_id, rotates_at))
    pinned = renewals.read(tx, [review.channel_id for review in due])
    judged = judge_channels(tx, [review.channel_id for review in due], ctx, pinned)
    look_again = _earliest(look_again, judged.recover_at)
    to_renew: list[ChannelId] = []
    next_reviews: dict[ChannelId, datetime] = {}
    back: list[ChannelId] = []
    to_push: dict[ChannelId, PushReason] = {}
    observations = []
    for review in due:
        if _is_incomplete(review, ctx):
            observations.append(
                Observation(
                    review.channel_id,
                    Signal.AUTHENTICATE,
                    "token_update_missing",
                    ctx.now,
                    review.provisional_epoch or review.epoch,
                )
            )
        if review.state is EnrollmentState.ENROLLED and waiting.get(review.channel_id):
            # a wish lost with its push (refused token, restored database) comes back here
            if review.channel_id not in doubted:
                to_push[review.channel_id] = PushReason.COMMAND_WAITING
            if _was_heard_lately(review, ctx) and review.channel_id not in doubted:
                back.append(review.channel_id)
        elif review.state is EnrollmentState.ENROLLED and _is_silent(review, ctx):
            to_push[review.channel_id] = PushReason.SILENT
        routine = _full_grain(judged.next_at[review.channel_id], ctx)
        next_at = min(
            routine,
            look_again.get(review.channel_id, routine),
            _later(queues_due.get(review.channel_id), ctx) or routine,
        )
        if review.channel_id in ask_again:
            next_at = min(next_at, _full_grain(ask_again[review.channel_id], ctx))
        identity = pinned.get(review.channel_id)
        renewed_at = None if identity is None else renewal_due_at(identity, ctx)
        if renewed_at is not None and renewed_at <= ctx.now:
            to_renew.append(review.channel_id)
        elif renewed_at is not None and renewed_at < next_at:
            next_at = min(next_at, _full_grain(renewed_at, ctx))
        next_reviews[review.channel_id] = next_at
    push.wish_if_none(tx, to_push, at=ctx.now)
    push.hasten(tx, back, at=ctx.now, by=HASTENED_BY)
    reviews.done(tx, next_reviews, at=ctx.now)
    if observations:
        evidence.append(tx, observations, ctx.new_id)
    return Reviewed(
        len(due),
        reviews.next_due(tx),
        more=len(due) == CLAIM_LIMIT,
        to_renew=tuple(to_renew),
        to_tend=tuple(sorted(channel_id for channel_id, at in queues_due.items() if at <= ctx.now)),
        accounts_to_renew=ending_accounts(tx, enrolled, ctx),
        not_judged=judged.failed,
    )


def _later(at: datetime | None, ctx: Context) -> datetime | None:
    return at if at is not None and at > ctx.now else None


def _earliest(*times: Mapping[ChannelId, datetime]) -> dict[ChannelId, datetime]:
    """Put together when channels are to be looked at again, for several reasons: the first of them counts."""
    first: dict[ChannelId, datetime] = {}
    for channel_id, at in (item for one in times for item in one.items()):
        first[channel_id] = min(at, first.get(channel_id, at))
    return first


def _full_grain(at: datetime, ctx: Context) -> datetime:
    return at + (_EPOCH - at) % ctx.policy.review_grain


def _is_silent(review: reviews.DueReview, ctx: Context) -> bool:
    heard_at = review.last_contact_at or review.first_seen_at
    return ctx.now - heard_at >= ctx.policy.silence_before_push


def _was_heard_lately(review: reviews.DueReview, ctx: Context) -> bool:
    return review.last_contact_at is not None and ctx.now - review.last_contact_at < REVIEW_INTERVAL


def _is_incomplete(review: reviews.DueReview, ctx: Context) -> bool:
    """Tell whether an Authenticate has waited for its TokenUpdate longer than patience has it, and says so once."""
    return (
        review.state is EnrollmentState.ENROLLING
        and ctx.now - review.first_seen_at >= ctx.policy.enrollment_patience
        and (review.reviewed_at is None or review.reviewed_at - review.first_seen_at < ctx.policy.enrollment_patience)
    )
