"""Channels are judged: what is known of them is gathered, the rules are asked, and what changed is told onwards."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Judgement, Verdict, VerdictChange
from muster.domain.control.glance import glance_again_at, is_plainly_well, verdict_on
from muster.domain.control.judging import decide, judge
from muster.domain.control.reasons import Reason
from muster.domain.control.review_schedule import WATCHED_AGAIN, is_watched, judge_again_at
from muster.domain.control.states import ControlState, ProofLevel
from muster.domain.push_policy import PushReason
from muster.operations.context import Context, Present
from muster.operations.control_policies import policies_for
from muster.operations.recover_channels import Looked, recover_channels
from muster.operations.tell_changes import tell_changes
from muster.protocol.identifiers import ChannelId
from muster.storage import dossiers, enrollments, push, renewals, reviews, verdicts
from muster.storage.dossiers import glances
from muster.storage.engine import Transaction
from muster.storage.renewals import DueIdentity
from muster.storage.verdicts import HeldVerdict, Proof

Follower: TypeAlias = Callable[[Transaction, Sequence[VerdictChange], Context], None]

FOLLOWERS: Final[tuple[Follower, ...]] = (tell_changes,)
"""What follows when verdicts change, in this order and in the same transaction."""

JUDGED_AGAIN_AFTER_FAULT: Final = timedelta(hours=1)
"""It was ours, and the same will happen until we mend it: not in a loop that keeps the others waiting."""
_AN_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Judged:
    """What judging a batch brought. *next_at*: when each channel is to be judged again. *failed*: channels that a fault
    of ours kept from being judged, and what it was; what was held of them stands. *recover_at*: when something is to
    be done to bring a channel back."""

    next_at: Mapping[ChannelId, datetime]
    changes: tuple[VerdictChange, ...] = ()
    failed: tuple[tuple[ChannelId, str], ...] = ()
    recover_at: Mapping[ChannelId, datetime] = field(default_factory=dict)


def judge_channels(
    tx: Transaction,
    channel_ids: Sequence[ChannelId],
    ctx: Context,
    identities: Mapping[ChannelId, DueIdentity] | None = None,
) -> Judged:
    """Judge *channel_ids*, record what is held of them now, and tell FOLLOWERS what changed.

    Each stands there once; those not stored are passed over. *identities*: as `renewals.read` read them in this
    transaction, where it did.
    """
    if not channel_ids:
        return Judged({})
    if identities is None:
        identities = renewals.read(tx, channel_ids)
    policies = policies_for(tx, channel_ids, ctx)
    work = _Work(identities, policies, dossiers.read_around(tx, ctx.now))
    _glance(tx, channel_ids, work, ctx)
    rest = [id_ for id_ in channel_ids if id_ not in work.next_at]
    rows = _think(tx, rest, work, ctx) if rest else {}
    if work.changes:
        verdicts.append_changes(tx, work.changes)
        _look_at_users(tx, work.changes, frozenset(channel_ids), ctx)
        _push_again(tx, work.changes, ctx)
        for follow in FOLLOWERS:
            follow(tx, work.changes, ctx)
    if not rest:
        return Judged(work.next_at, tuple(work.changes))
    recovering = recover_channels(tx, work.looked, ctx)
    work.watched |= dict.fromkeys(recovering.waiting, True)
    for channel_id in _watch(tx, rows, work.watched):
        work.next_at[channel_id] = ctx.now + WATCHED_AGAIN
    return Judged(work.next_at, tuple(work.changes), (*work.failed, *recovering.failed), recovering.next_at)


@dataclass(slots=True)
class _Work:
    """What is known of a batch, and what was found until now."""

    identities: Mapping[ChannelId, DueIdentity]
    policies: Mapping[ChannelId, ControlPolicy]
    around: dossiers.Around
    next_at: dict[ChannelId, datetime] = field(default_factory=dict)
    watched: dict[ChannelId, bool] = field(default_factory=dict)
    changes: list[VerdictChange] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    failed: list[tuple[ChannelId, str]] = field(default_factory=list)


def _glance(tx: Transaction, channel_ids: Sequence[ChannelId], work: _Work, ctx: Context) -> None:
    """Judge those that are plainly well, as nearly all are; all the others are left to `_think`."""
    read = glances.read_glances(tx, channel_ids, work.identities, work.around, ctx.now, ctx.policy)
    if read is None:
        return
    proved: list[Proof] = []
    held: list[HeldVerdict] = []
    for channel_id in read.rows:
        policy = work.policies[channel_id]
        if ctx.now - read.rows[channel_id].last_contact_at >= policy.tolerance:
            continue  # what such a silence means takes thought
        try:
            one = glances.glance(read, channel_id)
        except Exception:  # noqa: S112 - a fault of ours, of which `_think` tells if it meets it, too
            continue
        if not is_plainly_well(one.seen, policy, ctx.now):
            continue
        work.next_at[channel_id] = glance_again_at(one.seen, policy, ctx.now)
        if one.is_held:
            proved.append(Proof(channel_id, ProofLevel.OBEYED, one.seen.last_proof_at, one.seen.is_push_proved))
            continue
        first, change = _hold(one, verdict_on(one.seen, policy, ctx.now), None, ctx)
        held.append(first)
        work.changes += () if change is None else (change,)
    verdicts.prove(tx, proved, ctx.now)
    verdicts.record(tx, held, {}, ctx.now)


def _think(
    tx: Transaction, channel_ids: Sequence[ChannelId], work: _Work, ctx: Context
) -> Mapping[ChannelId, dossiers.Row]:
    """Judge channels by all that is known of them; returns their rows."""
    gathered = dossiers.gather(tx, channel_ids, work.identities, ctx.now, ctx.policy, work.around)
    before = verdicts.read(tx, list(gathered.rows))
    held: dict[ChannelId, HeldVerdict] = {}
    # devices first: what is held of a device tells what to hold of its users
    for channel_id in sorted(gathered.rows, key=lambda id_: gathered.rows[id_].device_id != id_):
        policy, known = work.policies[channel_id], before.get(channel_id)
        try:
            dossier = _dossier(gathered, channel_id, held)
            verdict = decide(dossier, policy, ctx.now)
        except Exception as error:  # a fault of ours with one channel; the others are judged
            work.failed.append((channel_id, f"{type(error).__name__}: {error}"))
            work.next_at[channel_id] = ctx.now + JUDGED_AGAIN_AFTER_FAULT
            continue
        work.next_at[channel_id] = judge_again_at(dossier, verdict, policy, ctx.now)
        work.watched[channel_id] = is_watched(dossier, verdict)
        held[channel_id], change = _hold(dossier, verdict, known, ctx)
        judged_before = None if known is None else known.judged_at
        work.looked.append(Looked(dossier, held[channel_id].verdict, policy, judged_before))
        work.changes += () if change is None else (change,)
    verdicts.record(tx, list(held.values()), before, ctx.now)
    return gathered.rows


class _Subject(Protocol):
    """A channel that is judged, by a glance or by its dossier."""

    @property
    def channel_id(self) -> ChannelId:
        """Its id."""

    @property
    def device_id(self) -> ChannelId:
        """That of its device."""

    @property
    def epoch(self) -> int:
        """Its present life."""

    @property
    def last_contact_at(self) -> datetime | None:
        """When it was heard last."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Why a channel is held to be as it is: what is known of it, and what each rule says of that now."""

    dossier: Dossier
    judgement: Judgement
    held: HeldVerdict | None
    """What the last review recorded; absent before the first."""


def dossier_of(tx: Transaction, channel_id: ChannelId, ctx: Context) -> Dossier | None:
    """Gather all that is known of one channel; None when it isn't stored. Nothing is written."""
    reasoning = reason_about(tx, channel_id, ctx)
    return None if reasoning is None else reasoning.dossier


def reason_about(tx: Transaction, channel_id: ChannelId, ctx: Present) -> Reasoning | None:
    """Judge one channel as a review would now, and record nothing; None when it isn't stored."""
    gathered = dossiers.gather(tx, [channel_id], renewals.read(tx, [channel_id]), ctx.now, ctx.policy)
    if channel_id not in gathered.rows:
        return None
    dossier = dossiers.dossier(gathered, channel_id)
    held = verdicts.read(tx, [channel_id]).get(channel_id)
    policy = policies_for(tx, [channel_id], ctx)[channel_id]
    judgement = judge(dossier, policy, ctx.now)
    verdict = replace(judgement.verdict, since=_since(dossier, judgement.verdict, held))
    return Reasoning(dossier, replace(judgement, verdict=verdict), held)


def _dossier(gathered: dossiers.Gathered, channel_id: ChannelId, held: Mapping[ChannelId, HeldVerdict]) -> Dossier:
    dossier = dossiers.dossier(gathered, channel_id)
    device = None if dossier.is_device else held.get(dossier.device_id)
    if device is None:
        return dossier
    verdict = device.verdict
    return dossiers.with_device(dossier, verdict.state, verdict.reason, verdict.since)


def _hold(
    dossier: _Subject, verdict: Verdict, before: HeldVerdict | None, ctx: Context
) -> tuple[HeldVerdict, VerdictChange | None]:
    """Return what is held of a channel now, and the step to it where state or reason changed."""
    since = _since(dossier, verdict, before)
    if since is not verdict.since:  # of those that are well since long ago it always is
        verdict = replace(verdict, since=since)
    if before is not None and (before.verdict.state, before.verdict.reason) == (verdict.state, verdict.reason):
        return HeldVerdict(dossier.channel_id, verdict, before.change_id, before.noticed_at, ctx.now), None
    change = VerdictChange(
        ctx.new_id(),
        dossier.channel_id,
        dossier.device_id,
        dossier.epoch,
        # steps of one story can be told apart by their times
        ctx.now if before is None else max(ctx.now, before.noticed_at + _AN_INSTANT),
        None if before is None else before.verdict,
        verdict,
    )
    return HeldVerdict(dossier.channel_id, verdict, change.id, change.at, ctx.now), change


def _since(dossier: _Subject, verdict: Verdict, before: HeldVerdict | None) -> datetime:
    """Tell since when a state lasts: what was found may be younger, for the state had another reason before.

    What began after the last look is another time of the same: the channel was well in between. Who is well again has
    been so since it was heard, and not before it was last found to be otherwise.
    """
    if before is None:
        return verdict.since
    is_as_before = before.verdict.state is verdict.state
    if verdict.state is ControlState.IN_CONTROL:
        if is_as_before:
            return before.verdict.since
        return max(verdict.since, before.judged_at, dossier.last_contact_at or before.judged_at)
    is_another = verdict.since > before.judged_at
    return verdict.since if is_another or not is_as_before else min(verdict.since, before.verdict.since)


def _watch(
    tx: Transaction, rows: Mapping[ChannelId, dossiers.Row], watched: Mapping[ChannelId, bool]
) -> Sequence[ChannelId]:
    """Have channels judged at their next contact whose verdict a contact may change, and others no more.

    Connects hold a channel's row and then have it reviewed, so nobody is waited for here. Returns the channels that
    are still to be turned.
    """
    turned = {id_: is_on for id_, is_on in watched.items() if rows[id_].is_watched is not is_on}
    if not turned:
        return ()
    free = set(enrollments.claim_rows(tx, sorted(turned)))
    for is_on in (True, False):
        enrollments.set_watched(tx, [id_ for id_ in free if turned[id_] is is_on], is_watched=is_on)
    return sorted(turned.keys() - free)


_AWAY: Final = frozenset({ControlState.QUIET, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL})


def _push_again(tx: Transaction, changes: Sequence[VerdictChange], ctx: Context) -> None:
    """Push those whose pushes may have been in vain, for what kept them from coming is over.

    That is who could not be judged for a fault of ours, who is silent in a network that lets others through again, and
    the users of a device that is back.
    """
    judged = [one.channel_id for one in changes if _was(one, ControlState.UNKNOWN)]
    push.wish_at_pace(tx, judged, reason=PushReason.PUSHES_WORK_AGAIN, at=ctx.now)
    back = [one.channel_id for one in changes if one.channel_id == one.device_id and _is_back(one)]
    users = enrollments.user_channels_of_all(tx, back) if back else ()
    unblocked = [
        one.channel_id
        for one in changes
        if one.before is not None
        and one.before.reason is Reason.NETWORK_BLOCKS_SERVER
        and one.after.reason is Reason.SILENT
    ]
    push.wish(tx, [*unblocked, *users], reason=PushReason.RECOVERY, at=ctx.now, due_at=ctx.now)


def _was(change: VerdictChange, state: ControlState) -> bool:
    return change.before is not None and change.before.state is state and change.after.state is not state


def _is_back(change: VerdictChange) -> bool:
    """Tell whether a device that was silent or lost is heard again."""
    before, after = change.before, change.after
    is_well = after.state in (ControlState.IN_CONTROL, ControlState.AT_RISK)
    return before is not None and before.state in _AWAY and is_well


def _look_at_users(
    tx: Transaction, changes: Sequence[VerdictChange], batch: Container[ChannelId], ctx: Context
) -> None:
    """Have the users of devices judged whose own verdict changed, but for those of this batch."""
    devices = [change.channel_id for change in changes if change.channel_id == change.device_id]
    users = enrollments.user_channels_of_all(tx, devices) if devices else ()
    reviews.schedule_all(tx, [one for one in users if one not in batch], ctx.now)
