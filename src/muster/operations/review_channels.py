"""The one loop that drives everything that is due: each channel is looked at, and when to look again is decided.

Level-triggered: what a missed event would have said, the next review finds.
"""

from collections.abc import Collection, Mapping, Sequence
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
    channel_ids = [review.channel_id for review in due]
    queues_due = queue_holds.next_due(tx, channel_ids)
    waiting = queues.waiting_counts(tx, channel_ids)
    enrolled = [review.channel_id for review in due if review.state is EnrollmentState.ENROLLED]
    look_again = _earliest(release_channels(tx, enrolled, ctx), ask_for_apps(tx, enrolled, ctx))
    doubted = pushed_apart(tx, due, ctx)
    ask_again = ask_when_due(
        tx, [review for review in due if review.state is EnrollmentState.ENROLLED], ctx, not_pushed=doubted
    )
    look_again = _earliest(look_again, rotate_due_secrets(tx, enrolled, ctx))
    pinned = renewals.read(tx, channel_ids)
    judged = judge_channels(tx, channel_ids, ctx, pinned)
    look_again = _earliest(look_again, judged.recover_at)
    renewed_at = {channel_id: renewal_due_at(identity, ctx) for channel_id, identity in pinned.items()}
    expected = _Expected(judged.next_at, look_again, queues_due, ask_again, renewed_at)
    _push(tx, due, waiting, doubted, ctx)
    reviews.done(tx, {one: _next_review(one, expected, ctx) for one in channel_ids}, at=ctx.now)
    observations = [_incomplete(review, ctx) for review in due if _is_incomplete(review, ctx)]
    if observations:
        evidence.append(tx, observations, ctx.new_id)
    return Reviewed(
        len(due),
        reviews.next_due(tx),
        more=len(due) == CLAIM_LIMIT,
        to_renew=tuple(one for one in channel_ids if (at := renewed_at.get(one)) is not None and at <= ctx.now),
        to_tend=tuple(sorted(channel_id for channel_id, at in queues_due.items() if at <= ctx.now)),
        accounts_to_renew=ending_accounts(tx, enrolled, ctx),
        not_judged=judged.failed,
    )


@dataclass(frozen=True, slots=True)
class _Expected:
    """When something is expected of channels. All of them are judged again; the rest is of some."""

    judged_again: Mapping[ChannelId, datetime]
    look_again: Mapping[ChannelId, datetime]
    in_queue: Mapping[ChannelId, datetime]
    ask_again: Mapping[ChannelId, datetime]
    renewed: Mapping[ChannelId, datetime | None]


def _next_review(channel_id: ChannelId, expected: _Expected, ctx: Context) -> datetime:
    """Tell when to look next: at the first of what is still to come. A renewal that is due is done after this pass."""
    routine = _full_grain(expected.judged_again[channel_id], ctx)
    next_at = min(
        routine,
        expected.look_again.get(channel_id, routine),
        _later(expected.in_queue.get(channel_id), ctx) or routine,
    )
    if channel_id in expected.ask_again:
        next_at = min(next_at, _full_grain(expected.ask_again[channel_id], ctx))
    renewed_at = expected.renewed.get(channel_id)
    if renewed_at is not None and ctx.now < renewed_at < next_at:
        next_at = min(next_at, _full_grain(renewed_at, ctx))
    return next_at


def _push(
    tx: Transaction,
    due: Sequence[reviews.DueReview],
    waiting: Mapping[ChannelId, queues.WaitingCommands],
    doubted: Collection[ChannelId],
    ctx: Context,
) -> None:
    """Wish for pushes where commands wait, or nothing was heard for long; sooner where a channel is back."""
    back: list[ChannelId] = []
    to_push: dict[ChannelId, PushReason] = {}
    for review in due:
        if review.state is EnrollmentState.ENROLLED and waiting.get(review.channel_id):
            # a wish lost with its push (refused token, restored database) comes back here
            if review.channel_id not in doubted:
                to_push[review.channel_id] = PushReason.COMMAND_WAITING
            if _was_heard_lately(review, ctx) and review.channel_id not in doubted:
                back.append(review.channel_id)
        elif review.state is EnrollmentState.ENROLLED and _is_silent(review, ctx):
            to_push[review.channel_id] = PushReason.SILENT
    push.wish_if_none(tx, to_push, at=ctx.now)
    push.hasten(tx, back, at=ctx.now, by=HASTENED_BY)


def _incomplete(review: reviews.DueReview, ctx: Context) -> Observation:
    epoch = review.provisional_epoch or review.epoch
    return Observation(review.channel_id, Signal.AUTHENTICATE, "token_update_missing", ctx.now, epoch)


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
