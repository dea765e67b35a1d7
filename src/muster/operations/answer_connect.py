"""A device asks for its next command, and reports on the last one: the hot path.

One transaction for a whole batch: lock the channels, decide, write once. What is rare (a report nobody waits for, a
refusal, an error to record) costs statements of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from muster.domain.answered_commands import is_to_be_read
from muster.domain.command_queue import (
    UNASKED_FOR,
    HoldReason,
    QueueEffect,
    QueueEntry,
    QueuePurpose,
    effect_of,
    ends_dialogue,
    head_query,
    is_once_only,
    is_parting,
    is_stuck,
    retry_at,
)
from muster.domain.command_secrets import answer_holds_secret
from muster.domain.control.contact import FoldedContact, fold_contact
from muster.domain.control.evidence import CLOCK_OFF_BY, CLOCK_RIGHT, CLOCK_WRONG, ERASE_HANDED_OUT, Observation, Signal
from muster.domain.control.rhythm import fold_rhythm
from muster.domain.enrollment import (
    STRAY,
    EndReason,
    Enrollment,
    EnrollmentState,
    Lane,
    Speaker,
    channel_unknown,
    goes_on,
    has_gone_back,
    lane_of,
    waits_for_token_update,
)
from muster.domain.errors import Refusal
from muster.domain.events import MessageTopic
from muster.domain.letting_go import LetGo
from muster.domain.set_up import RELEASE_REQUEST_TYPES
from muster.domain.user_login import UserLogin
from muster.operations.attend_logins import Attended, attend, choose_for_login, note_login, read_logins
from muster.operations.checkin import Speaking, come_back, note_restricted, speaker_for, wake, wakes
from muster.operations.close_commands import settle_followers
from muster.operations.context import Context
from muster.operations.follow_pin import follow_silently, move_on
from muster.operations.hand_out import HandOut, next_hand_out, opened
from muster.operations.keep_unqueued import UnqueuedAnswer, record_unqueued, seal_answer
from muster.operations.record_refusals import RefusedContact, record_refusals
from muster.operations.settle_answers import ERASE_DEVICE, SettledEntry, note_erasure, settle_answers
from muster.operations.tell_messages import HeardMessage, tell_messages
from muster.operations.turn_away import restored_refused, turned_away
from muster.protocol.connect import ReportHead, Status
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.records import record
from muster.storage import enrollments, evidence, queue_holds, reports, reviews
from muster.storage.engine import Transaction
from muster.storage.hot import AppliedConnect, ClosedEntry, LockedChannel
from muster.storage.journal_records import handed_out_record


@record(frozen=True, slots=True)
class ConnectRequest:
    """One connect: its decoded head, the SHA-256 of the certificate that signed it, and the body as it came."""

    head: ReportHead
    fingerprint: bytes
    body: bytes
    source: str
    identity_not_after: datetime
    """Until when the certificate is valid."""
    beside: bytes | None = None
    """SHA-256 of another certificate that the connection presented, where it is not the signer's."""
    clock_seconds: int | None = None
    """How far the device's clock is ahead of ours, where that is to be noted; absent: it is as it was noted, or right
    and always was."""
    wants_command: bool = True
    """False for a report that is processed belatedly: nobody is there to be handed a command."""
    parameters: Mapping[str, str] | None = None
    """Those of its address, where others are told what devices say; absent: nobody is."""


@record(frozen=True, slots=True)
class ConnectReply:
    """What the device gets: the next command's plist, or nothing (*body* empty)."""

    body: bytes = b""
    command_uuid: CommandUUID | None = None
    request_type: str | None = None
    signals: tuple[str, ...] = ()
    """What was out of the ordinary, for the log."""


ConnectOutcome: TypeAlias = ConnectReply | LetGo | Refusal


_NoT = TypeVar("_NoT", Refusal, LetGo, LetGo | Refusal)


@dataclass(slots=True)
class _Aside:
    """What the batch writes beside its hot statements."""

    observations: list[Observation] = field(default_factory=list)
    unqueued: list[UnqueuedAnswer] = field(default_factory=list)
    returned: list[tuple[ConnectRequest, Enrollment, Speaker]] = field(default_factory=list)
    woken: list[ChannelId] = field(default_factory=list)
    watched: list[ChannelId] = field(default_factory=list)
    refused: list[RefusedContact] = field(default_factory=list)
    going_on: list[tuple[ConnectRequest, Enrollment]] = field(default_factory=list)
    restricted: list[tuple[ConnectRequest, Enrollment, Speaker]] = field(default_factory=list)
    settled: list[SettledEntry] = field(default_factory=list)
    gone_back: list[tuple[ConnectRequest, Enrollment]] = field(default_factory=list)
    moving_on: list[tuple[ConnectRequest, Enrollment]] = field(default_factory=list)
    heard: list[HeardMessage] = field(default_factory=list)
    logins: dict[ChannelId, UserLogin] = field(default_factory=dict)
    """Of the users of Macs in the batch, as they were before it."""


def answer_connects(tx: Transaction, requests: Sequence[ConnectRequest], ctx: Context) -> list[ConnectOutcome]:
    """Answer *requests*, each of another channel and sorted by channel id; one outcome for each, in order.

    A report that answers no queued command is recorded and answered all the same: refused, the device would send it
    for ever.
    """
    locked = tx.lock_channels([head_query(r.head.channel.id, r.head.status, r.head.command_uuid) for r in requests])
    outcomes: list[ConnectOutcome] = []
    applied: list[AppliedConnect] = []
    aside = _Aside(logins=read_logins(tx, [request.head for request in requests]))
    for request in requests:
        outcome = _answer(tx, request, locked.get(request.head.channel.id), ctx, applied, aside)
        outcomes.append(outcome)
    if applied:
        tx.apply_connects(applied, ctx.now)
    _write_aside(tx, aside, ctx)
    return outcomes


def _answer(
    tx: Transaction,
    request: ConnectRequest,
    channel: LockedChannel | None,
    ctx: Context,
    applied: list[AppliedConnect],
    aside: _Aside,
) -> ConnectOutcome:
    head = request.head
    if channel is None:
        return _refuse(request, channel_unknown(head.channel), ctx, aside)
    enrollment = channel.enrollment
    admitted = _admit(tx, request, enrollment, ctx)
    if not isinstance(admitted, _Admitted):
        return _refuse(request, admitted, ctx, aside)
    speaker, is_free = admitted.speaker, admitted.lane is Lane.FULL
    is_going_on = speaker is Speaker.PROVISIONAL and goes_on(enrollment, request.fingerprint)
    _note_speaker(request, channel, admitted, ctx, aside, is_going_on=is_going_on)
    answered = channel.answered
    attended = _attend(request, ctx, aside)
    effect = _effect(answered, head, attended)
    if answered is not None and attended is not None and attended.keeps(answered):
        queue_holds.note_answered(tx, enrollment.channel.id, answered.command_uuid)
    is_repeated = head.status is Status.ERROR and effect is QueueEffect.NONE and _is_tried_again(answered)
    if head.status is not Status.IDLE and not is_repeated:
        _observe(request, channel, ctx, aside)
    if answered is not None and effect is QueueEffect.CLOSE and _sets_something_going(answered):
        assert head.status is not None, "an undefined status closes nothing"
        aside.settled.append(SettledEntry(enrollment, answered, head.status, request.body, request.source, speaker))
    is_stale = answered is not None and _settle_in_queue(tx, request, answered, effect, ctx)
    is_open = _may_be_handed(request, speaker, is_going_on=is_going_on) and not _is_last_word(channel, head)
    found = None
    if is_open and not (answered is not None and is_parting(answered, head.status)):
        query = head_query(enrollment.channel.id, head.status, head.command_uuid)
        first = tx.lock_channels([query])[enrollment.channel.id].head if is_stale else channel.head
        found = next_hand_out(tx, enrollment, query, first, ctx, only=None if is_free else QueuePurpose.RENEWAL)
    if attended is not None and is_open:
        found = _attend_to(tx, request, enrollment, attended, found, ctx, aside)
    next_entry = None if found is None else found.entry
    is_last_time = next_entry is not None and is_once_only(next_entry.request_type, next_entry.purpose)
    if next_entry is not None and is_last_time:
        _note_last_time(tx, enrollment, next_entry, ctx)
    written = _applied(request, channel, effect, next_entry, ctx, is_free=is_free, is_last_time=is_last_time)
    applied.append(written)
    if request.parameters is not None:
        aside.heard.append(_heard(head, request.body, request.parameters))
    return (
        ConnectReply()
        if found is None
        else ConnectReply(found.body, found.entry.command_uuid, found.entry.request_type)
    )


def _note_last_time(tx: Transaction, enrollment: Enrollment, entry: QueueEntry, ctx: Context) -> None:
    """Note what is handed out once only: it must not be again from a backup that was made before."""
    tx.to_journal.append(handed_out_record(enrollment.channel.id, entry.command_uuid, at=ctx.now))
    if entry.request_type == ERASE_DEVICE:
        note_erasure(tx, enrollment, ERASE_HANDED_OUT, entry.command_uuid, ctx)


def _applied(
    request: ConnectRequest,
    channel: LockedChannel,
    effect: QueueEffect,
    next_entry: QueueEntry | None,
    ctx: Context,
    *,
    is_free: bool,
    is_last_time: bool,
) -> AppliedConnect:
    """Return what the batch's one update writes of it."""
    head, answered = request.head, channel.answered
    contact = fold_contact(channel.contact, ctx.now) if is_free else None
    return AppliedConnect(
        channel.enrollment.channel.id,
        contact,
        is_proof=is_free and answered is not None and head.status is Status.ACKNOWLEDGED,
        rhythm=None if contact is None else _rhythm(channel, contact),
        source=request.source or None,
        closed=_closed(answered, head, request.body, ctx) if answered is not None and _closes(effect) else None,
        not_now=answered.command_uuid if answered is not None and effect is QueueEffect.COUNT_NOT_NOW else None,
        handed_out=next_entry,
        withhold_after=is_last_time,
    )


def _heard(head: ReportHead, body: bytes, parameters: Mapping[str, str]) -> HeardMessage:
    return HeardMessage(
        MessageTopic.CONNECT,
        head.channel,
        head.identifiers,
        body,
        parameters,
        status=head.status_text,
        command_uuid=head.command_uuid,
    )


def _settle_in_queue(
    tx: Transaction, request: ConnectRequest, answered: QueueEntry, effect: QueueEffect, ctx: Context
) -> bool:
    """Do what an answer does to the queue beside its own entry; tells whether something may be handed out now that
    could not, so that the head has to be read anew.
    """
    channel_id = request.head.channel.id
    if effect is QueueEffect.RETRY:
        until = retry_at(answered, ctx.now)
        reports.record_kept(tx, channel_id, _closed(answered, request.head, request.body, ctx), ctx.now)
        queue_holds.put_off(tx, channel_id, answered, until)
        reviews.schedule(tx, channel_id, until)
    if effect is QueueEffect.COUNT_NOT_NOW and is_stuck(answered):
        queue_holds.free(tx, channel_id, [answered.command_uuid], HoldReason.PARKED)  # it is answered, after all
    if effect is not QueueEffect.CLOSE or not answered.has_followers:
        return False
    is_done = request.head.status is Status.ACKNOWLEDGED
    return settle_followers(tx, channel_id, answered.command_uuid, ctx, is_success=is_done)


def _is_tried_again(answered: QueueEntry | None) -> bool:
    return answered is not None and answered.failed_count > 0


def _effect(answered: QueueEntry | None, head: ReportHead, attended: Attended | None) -> QueueEffect:
    """Tell what a report does to the command that it answers: nothing to one that stays for the user's next login."""
    if answered is None:
        return QueueEffect.NONE
    effect = effect_of(head.status, answered)
    ends = effect in (QueueEffect.CLOSE, QueueEffect.RETRY)
    return QueueEffect.NONE if ends and attended is not None and attended.keeps(answered) else effect


def _attend(request: ConnectRequest, ctx: Context, aside: _Aside) -> Attended | None:
    """Read what a report says of a user's login to a Mac; None for all others, and for what is processed belatedly."""
    login = aside.logins.get(request.head.channel.id)
    return attend(login, request.head, ctx.now) if login is not None and request.wants_command else None


def _attend_to(
    tx: Transaction,
    request: ConnectRequest,
    enrollment: Enrollment,
    attended: Attended,
    found: HandOut | None,
    ctx: Context,
    aside: _Aside,
) -> HandOut | None:
    """Tell what a user who logs in is handed, and note what his report says of that."""
    next_entry = None if found is None else found.entry
    chosen = choose_for_login(tx, attended, enrollment.channel.id, next_entry, ctx)
    if chosen is not next_entry:
        found = None if chosen is None else opened(chosen, ctx)
    handed_out = None if found is None else found.entry
    aside.observations += note_login(
        tx,
        attended,
        request.head,
        next_up=next_entry,
        handed_out=handed_out,
        epoch=enrollment.epoch,
        source=request.source,
        ctx=ctx,
    )
    return found


@record(frozen=True, slots=True)
class _Admitted:
    speaker: Speaker
    lane: Lane


def _note_speaker(
    request: ConnectRequest,
    channel: LockedChannel,
    admitted: _Admitted,
    ctx: Context,
    aside: _Aside,
    *,
    is_going_on: bool,
) -> None:
    """Note what it means that this identity speaks for the channel now, where it means anything."""
    enrollment, head, speaker = channel.enrollment, request.head, admitted.speaker
    is_of_device = head.channel.is_device
    if enrollment.state is EnrollmentState.ENDED and not _is_last_word(channel, head):
        aside.returned.append((request, enrollment, speaker))
    if admitted.lane is Lane.RENEWAL:
        aside.restricted.append((request, enrollment, speaker))
    elif request.wants_command and wakes(enrollment, speaker):
        aside.woken.append(enrollment.channel.id)
    if admitted.lane is Lane.FULL and channel.is_watched:
        aside.watched.append(enrollment.channel.id)
    if request.clock_seconds is not None:
        _note_clock(request, enrollment, request.clock_seconds, ctx, aside)
    if is_going_on and request.wants_command and is_of_device:
        aside.going_on.append((request, enrollment))
    if is_of_device and has_gone_back(enrollment.pins, speaker, ctx.now, ctx.policy.former_pin_lifetime):
        aside.gone_back.append((request, enrollment))
    if is_of_device and waits_for_token_update(enrollment, speaker):
        aside.moving_on.append((request, enrollment))


def _note_clock(request: ConnectRequest, enrollment: Enrollment, seconds: int, ctx: Context, aside: _Aside) -> None:
    """Keep it as evidence of the device that its clock is wrong, or is right again, and have it reviewed for that."""
    device, detail = ChannelId(enrollment.channel.device_id), {"seconds": seconds}
    word = CLOCK_RIGHT if abs(seconds) < CLOCK_OFF_BY.total_seconds() else CLOCK_WRONG
    seen = Observation(device, Signal.CONTACT, word, ctx.now, enrollment.epoch, request.source, detail)
    aside.observations.append(seen)
    aside.watched.append(device)


def _admit(
    tx: Transaction, request: ConnectRequest, enrollment: Enrollment, ctx: Context
) -> _Admitted | LetGo | Refusal:
    speaker = speaker_for(tx, enrollment, request.fingerprint, request.beside, ctx)
    let_go = _let_go(tx, request, enrollment, speaker, ctx) if request.wants_command else None
    if let_go is not None:
        return let_go
    if isinstance(speaker, Refusal):
        return speaker
    lane = lane_of(speaker, request.identity_not_after, ctx.now, ctx.policy.restricted_lane)
    return lane if isinstance(lane, Refusal) else _Admitted(speaker, lane)


def _let_go(
    tx: Transaction, request: ConnectRequest, enrollment: Enrollment, speaker: Speaker | Refusal, ctx: Context
) -> LetGo | Refusal | None:
    """Tell whether the device is turned away; only one that is ended, or has no pin in force, costs a look."""
    device_id = enrollment.channel.device_id
    is_stray = isinstance(speaker, Refusal) and speaker.code in STRAY
    if is_stray or (isinstance(speaker, Speaker) and enrollment.state is EnrollmentState.ENDED):
        let_go = turned_away(tx, device_id, request.fingerprint, ctx)
        if let_go is not None:
            return let_go
    return restored_refused(tx, device_id, request.fingerprint, ctx) if speaker is Speaker.SUPERSEDED else None


def _ends(answered: QueueEntry | None, head: ReportHead) -> bool:
    """Tell whether a report says that our enrollment profile is removed: it is the device's last word."""
    is_removal = answered is not None and answered.purpose is QueuePurpose.UNENROLL
    return is_removal and head.status is Status.ACKNOWLEDGED


def _is_last_word(channel: LockedChannel, head: ReportHead) -> bool:
    """Tell whether a report is the last word of a device that leaves, or may be that, said again."""
    is_repeated = channel.answered is None and head.status is Status.ACKNOWLEDGED
    is_unenrolled = channel.enrollment.ended_reason is EndReason.UNENROLLED
    return _ends(channel.answered, head) or (is_repeated and is_unenrolled)


def _sets_something_going(answered: QueueEntry) -> bool:
    """Tell whether the answer to a command is for `settle_answers`; most are settled by their report alone."""
    if answered.purpose is QueuePurpose.COMMAND or answered.purpose in UNASKED_FOR:
        return answered.request_type in RELEASE_REQUEST_TYPES or answered.request_type == ERASE_DEVICE
    return True


def _may_be_handed(request: ConnectRequest, speaker: Speaker, *, is_going_on: bool) -> bool:
    """Tell whether there is somebody to hand a command to.

    A device whose TokenUpdate is still to come, for its enrollment or its renewal, is heard and handed nothing.
    """
    is_introduced = speaker not in (Speaker.PROVISIONAL, Speaker.RENEWAL) or is_going_on
    return request.wants_command and is_introduced and not ends_dialogue(request.head.status, request.head.command_uuid)


def _refuse(request: ConnectRequest, refusal: _NoT, ctx: Context, aside: _Aside) -> _NoT:
    aside.refused.append(
        RefusedContact(refusal.code, request.head.channel.id, request.fingerprint, request.source, ctx.now)
    )
    return refusal


def _observe(request: ConnectRequest, channel: LockedChannel, ctx: Context, aside: _Aside) -> None:
    """Note what a report other than Idle shows; an acknowledged command shows by its report alone."""
    head = request.head
    if head.status is Status.ACKNOWLEDGED and channel.answered is not None:
        return
    is_renewal = channel.answered is not None and channel.answered.purpose is QueuePurpose.RENEWAL
    if is_renewal and head.status in (Status.ERROR, Status.COMMAND_FORMAT_ERROR):
        return  # its failure is evidence of its own
    if channel.answered is None and head.command_uuid is not None:
        said = UnqueuedAnswer(head, head.command_uuid, request.body, request.source, channel.enrollment.epoch)
        aside.unqueued.append(said)
        return
    aside.observations.append(
        Observation(
            head.channel.id,
            Signal.COMMAND_ANSWER,
            head.status_text if head.status is not None else "undefined_status",
            ctx.now,
            channel.enrollment.epoch,
            request.source,
            {
                "command_uuid": head.command_uuid,
                "request_type": None if channel.answered is None else channel.answered.request_type,
                "status": head.status_text,
            },
        )
    )


def _rhythm(channel: LockedChannel, contact: FoldedContact) -> bytes | None:
    """Return the sketch to store; None where it stays, for the day was begun by another contact."""
    if channel.contact is not None and channel.rhythm is not None and contact.finished is None:
        return None
    return fold_rhythm(channel.rhythm, contact.current.day)


def _closes(effect: QueueEffect) -> bool:
    return effect is QueueEffect.CLOSE


def _closed(answered: QueueEntry, head: ReportHead, body: bytes, ctx: Context) -> ClosedEntry:
    is_secret = answer_holds_secret(answered.request_type, body)
    kept = seal_answer(body, head.channel.id, answered.command_uuid, ctx) if is_secret else body
    is_read = is_to_be_read(answered.request_type, answered.purpose)
    return ClosedEntry(answered, head.status_text, kept, is_read, is_secret)


def _write_aside(tx: Transaction, aside: _Aside, ctx: Context) -> None:
    if aside.unqueued:
        aside.observations += record_unqueued(tx, aside.unqueued, ctx)
    for request, enrollment, speaker in aside.returned:
        come_back(tx, enrollment, speaker, ctx, request.source)
    if aside.woken:
        wake(tx, aside.woken, ctx)
    if aside.watched:
        reviews.schedule_all(tx, aside.watched, ctx.now)
    for request, enrollment in aside.going_on:
        aside.observations.append(_go_on(tx, request, enrollment, ctx))
    for request, enrollment, speaker in aside.restricted:
        note_restricted(tx, Speaking(enrollment, enrollment.epoch, speaker, Lane.RENEWAL), ctx, request.source)
    if aside.settled:
        settle_answers(tx, aside.settled, ctx)
    for request, enrollment in aside.gone_back:
        follow_silently(tx, enrollment, request.fingerprint, ctx, request.source)
    for request, enrollment in aside.moving_on:
        move_on(tx, enrollment, request.fingerprint, ctx, request.source)
    if aside.observations:
        evidence.append(tx, aside.observations, ctx.new_id)
    if aside.refused:
        record_refusals(tx, aside.refused, ctx)
    tell_messages(tx, aside.heard, ctx)


def _go_on(tx: Transaction, request: ConnectRequest, enrollment: Enrollment, ctx: Context) -> Observation:
    """Forget an Authenticate that announced nothing: a device that installs its profile again connects only after its
    TokenUpdate. Else its next TokenUpdate, a rotated token, would close its queue and archive its escrow."""
    enrollments.forget_provisional(tx, enrollment.channel.device_id)
    return Observation(
        enrollment.channel.id, Signal.AUTHENTICATE, "repeated", ctx.now, enrollment.epoch, request.source
    )
