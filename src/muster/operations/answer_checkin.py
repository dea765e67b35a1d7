"""A device or user checks in: one transaction for a batch of messages, each of another device.

What a message means is decided in `muster.domain.enrollment`; here is where each kind goes.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, assert_never

from muster.domain.control.evidence import Observation, Signal
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LetGo
from muster.operations.answer_declarative import answer_declarative, shows_token
from muster.operations.authenticate_user import authenticate_user
from muster.operations.check_out import check_out
from muster.operations.checkin import (
    CheckinAnswer,
    CheckinOutcome,
    CheckinRequest,
    Speaking,
    hear,
    speaking_freely,
)
from muster.operations.context import Context
from muster.operations.enroll_device import enroll_device
from muster.operations.keep_bootstrap_token import get_bootstrap_token, set_bootstrap_token
from muster.operations.record_refusals import RefusedContact, record_refusals
from muster.operations.return_to_service import answer_return
from muster.operations.tell_messages import TOPICS, HeardMessage, tell_messages
from muster.operations.turn_away import rejected_then, turned_away
from muster.operations.update_token import update_token
from muster.protocol.checkin import (
    Authenticate,
    CheckinMessage,
    CheckOut,
    DeclarativeManagement,
    GetBootstrapToken,
    GetToken,
    ReturnToService,
    SetBootstrapToken,
    TokenUpdate,
    UserAuthenticate,
)
from muster.protocol.checkin_replies import return_to_service_reply
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, journal_marks, push
from muster.storage.engine import Transaction
from muster.storage.journal import JournalPosition

AnyCheckin: TypeAlias = CheckinRequest[CheckinMessage]

CheckinOperation: TypeAlias = Callable[[Transaction, Sequence[AnyCheckin], Context], list[CheckinOutcome]]

MAXIMUM_SERVICE_CHARACTERS = 100
"""Of the name of a service that somebody asks a token of, as evidence keeps it."""

JOURNALED = (Authenticate, TokenUpdate, CheckOut, SetBootstrapToken)
"""Messages that change what we know, and that the device won't say again: written down before anything else."""


def answer_checkins(tx: Transaction, requests: Sequence[AnyCheckin], ctx: Context) -> list[CheckinOutcome]:
    """Answer *requests*, each of another device; one outcome for each, in order.

    The rows of each device and of the speaking user are held from here on, sorted, as on the connect path.
    """
    channels = {request.message.channel for request in requests}
    ids = {channel.id for channel in channels} | {ChannelId(channel.device_id) for channel in channels}
    tx.lock_rows(sorted(ids))
    outcomes = [answer_checkin(tx, request, ctx) for request in requests]
    refused = [
        RefusedContact(outcome.code, request.message.channel.id, request.fingerprint, request.source, ctx.now)
        for request, outcome in zip(requests, outcomes, strict=True)
        if isinstance(outcome, Refusal | LetGo)
    ]
    if refused:
        record_refusals(tx, refused, ctx)
    _tell(tx, requests, outcomes, ctx)
    return outcomes


def _tell(tx: Transaction, requests: Sequence[AnyCheckin], outcomes: Sequence[CheckinOutcome], ctx: Context) -> None:
    """Hand on what was said by whom we heard, where somebody wants that."""
    heard = [
        HeardMessage(
            TOPICS[type(request.message)],
            request.message.channel,
            request.message.identifiers,
            request.body,
            request.parameters,
            tally=push.tally_of(tx, request.message.channel.id) if isinstance(request.message, TokenUpdate) else None,
        )
        for request, outcome in zip(requests, outcomes, strict=True)
        if request.parameters is not None and not isinstance(outcome, Refusal | LetGo)
    ]
    tell_messages(tx, heard, ctx)


def answer_journaled(position: JournalPosition | None) -> CheckinOperation:
    """Return `answer_checkins` for requests that the journal has up to *position*: the database notes how far it is.

    *position* absent: none of them is journaled.
    """

    def answer(tx: Transaction, requests: Sequence[AnyCheckin], ctx: Context) -> list[CheckinOutcome]:
        outcomes = answer_checkins(tx, requests, ctx)
        if position is not None:
            journal_marks.set_mark(tx, position, ctx.now)
        return outcomes

    return answer


def answer_checkin(tx: Transaction, request: AnyCheckin, ctx: Context) -> CheckinOutcome:
    """Answer *request*, the rows of its device and channel being held; a refusal is returned, and recorded nowhere."""
    outcome = _answer(tx, request, ctx)
    if isinstance(outcome, CheckinAnswer) and isinstance(request.message, JOURNALED):
        enrollments.set_checked_in(tx, request.message.channel.id, request.received_at or ctx.now)
    return outcome


def _answer(tx: Transaction, request: CheckinRequest[Any], ctx: Context) -> CheckinOutcome:
    message: CheckinMessage = request.message
    if not isinstance(message, CheckOut):
        who = message.channel.device_id, request.fingerprint
        let_go = turned_away(tx, *who, ctx) if request.wants_reply else rejected_then(tx, *who, ctx)
        if let_go is not None:
            return let_go
    match message:
        case Authenticate():
            return enroll_device(tx, request, ctx)
        case TokenUpdate():
            return update_token(tx, request, ctx)
        case CheckOut():
            return check_out(tx, request, ctx)
        case SetBootstrapToken():
            return set_bootstrap_token(tx, request, ctx)
        case GetBootstrapToken():
            return get_bootstrap_token(tx, request, ctx)
        case UserAuthenticate() | GetToken() | DeclarativeManagement() | ReturnToService():
            spoken = speaking_freely(tx, request, ctx)
            return spoken if isinstance(spoken, Refusal) else _answer_question(tx, request, spoken, ctx)
        case _:
            assert_never(message)


def _answer_question(tx: Transaction, request: CheckinRequest[Any], spoken: Speaking, ctx: Context) -> CheckinOutcome:
    """Answer what a device asks without its enrollment changing."""
    message: UserAuthenticate | GetToken | DeclarativeManagement | ReturnToService = request.message
    if isinstance(message, DeclarativeManagement):
        return answer_declarative(tx, request, spoken, ctx)
    hear(tx, spoken, ctx, request.source)
    match message:
        case UserAuthenticate():
            return authenticate_user(tx, request, spoken, ctx)
        case ReturnToService():
            reply = answer_return(tx, spoken.enrollment, ctx, request.source)
            return CheckinAnswer(return_to_service_reply(reply))
        case GetToken():
            return _refuse_token(tx, request, spoken, ctx)
        case _:
            assert_never(message)


def _refuse_token(tx: Transaction, request: CheckinRequest[GetToken], spoken: Speaking, ctx: Context) -> Refusal:
    """No service of tokens is served; who asks is noted."""
    message, channel_id = request.message, spoken.enrollment.channel.id
    if shows_token(tx, message, spoken, request.source, ctx):
        detail = {"service": message.token_service_type[:MAXIMUM_SERVICE_CHARACTERS]}
        seen = Observation(
            channel_id, Signal.QUESTION, "token_service_unknown", ctx.now, spoken.epoch, request.source, detail
        )
        evidence.append(tx, [seen], ctx.new_id)
    return Refusal(RefusalCode.SERVICE_UNKNOWN, f"no tokens of {message.token_service_type} are issued by this server")
