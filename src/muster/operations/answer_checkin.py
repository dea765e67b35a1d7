"""A device or user checks in: one transaction for a batch of messages, each of another device.

What a message means is decided in `muster.domain.enrollment`; here is where each kind goes.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, assert_never

from muster.domain.control.evidence import Observation, Signal
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LetGo
from muster.operations.authenticate_user import authenticate_user
from muster.operations.check_out import check_out
from muster.operations.checkin import (
    JSON,
    CheckinAnswer,
    CheckinOutcome,
    CheckinRequest,
    DeclarationUnknown,
    Speaking,
    hear,
    speaking_freely,
)
from muster.operations.context import Context
from muster.operations.enroll_device import enroll_device
from muster.operations.keep_bootstrap_token import get_bootstrap_token, set_bootstrap_token
from muster.operations.record_refusals import RefusedContact, record_refusals
from muster.operations.return_to_service import answer_return
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
from muster.storage import enrollments, evidence, journal_marks
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
    return outcomes


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
            if isinstance(spoken, Refusal):
                return spoken
            hear(tx, spoken, ctx, request.source)
            if isinstance(message, UserAuthenticate):
                return authenticate_user(tx, request, spoken, ctx)
            if isinstance(message, ReturnToService):
                reply = answer_return(tx, spoken.enrollment, ctx, request.source)
                return CheckinAnswer(return_to_service_reply(reply))
            return _answer_question(tx, message, spoken, request.source, ctx)
        case _:
            assert_never(message)


def _answer_question(
    tx: Transaction, message: GetToken | DeclarativeManagement, spoken: Speaking, source: str, ctx: Context
) -> CheckinOutcome:
    """Answer what a device asks without anything changing."""
    match message:
        case GetToken():
            detail = {"service": message.token_service_type[:MAXIMUM_SERVICE_CHARACTERS]}
            channel_id = spoken.enrollment.channel.id
            seen = Observation(
                channel_id, Signal.QUESTION, "token_service_unknown", ctx.now, spoken.epoch, source, detail
            )
            evidence.append(tx, [seen], ctx.new_id)
            return Refusal(
                RefusalCode.SERVICE_UNKNOWN, f"no tokens of {message.token_service_type} are issued by this server"
            )
        case DeclarativeManagement():
            return _declarations(message, ctx)
        case _:
            assert_never(message)


def _declarations(message: DeclarativeManagement, ctx: Context) -> CheckinOutcome:
    """Answer the declarative protocol of a device that has no declarations from us."""
    match message.endpoint:
        case "tokens":
            tokens = {
                "SyncTokens": {"DeclarationsToken": _NO_DECLARATIONS, "Timestamp": f"{ctx.now:%Y-%m-%dT%H:%M:%SZ}"}
            }
            return CheckinAnswer(json.dumps(tokens).encode(), JSON)
        case "declaration-items":
            nothing: dict[str, list[str]] = {
                kind: [] for kind in ("Activations", "Assets", "Configurations", "Management")
            }
            items = {"Declarations": nothing, "DeclarationsToken": _NO_DECLARATIONS}
            return CheckinAnswer(json.dumps(items).encode(), JSON)
        case "status":
            return CheckinAnswer(signal="status")
        case _:
            return DeclarationUnknown()


_NO_DECLARATIONS = "none"
"""The synchronization token of an empty set."""
