"""A channel speaks the declarative protocol: it has no declarations from us, and its status is evidence."""

from collections.abc import Sequence
from typing import Final

from muster.domain.answered_commands import AnsweredCommand
from muster.domain.control.evidence import STATUS_MALFORMED, Detail, Observation, Signal
from muster.domain.faults import Fault
from muster.domain.user_login import MAC_USERS, TokenStanding, token_standing
from muster.operations.attend_logins import hash_of_token
from muster.operations.checkin import JSON, CheckinAnswer, CheckinRequest, DeclarationUnknown, Speaking, hear
from muster.operations.context import Context
from muster.protocol.checkin import DeclarativeManagement, GetToken
from muster.protocol.connect import Status
from muster.protocol.declarative import StatusReport, empty_items_reply, empty_tokens_reply, read_status_report
from muster.protocol.errors import MalformedMessage
from muster.storage import declarative, evidence, reviews, user_logins
from muster.storage.engine import Transaction

STATUS: Final = "status"
"""Class of S10: a report that is as Apple has it, and in keeping with what we know."""
PUSH_TOKEN_DIFFERS: Final = "push_token_differs"  # noqa: S105 - a word of evidence
PUSH_MAGIC_DIFFERS: Final = "push_magic_differs"


def answer_declarative(
    tx: Transaction, request: CheckinRequest[DeclarativeManagement], spoken: Speaking, ctx: Context
) -> CheckinAnswer | DeclarationUnknown:
    """Answer a message of the declarative protocol, which is a contact, too.

    The set of declarations is empty. A report is accepted whatever it says, for the device would send it again for
    ever; one that can't be read is no status, and neither is that of a user without the token of his login.
    """
    message, channel_id = request.message, spoken.enrollment.channel.id
    is_own = channel_id == message.channel.id  # a user whose channel is not stored speaks for the device's only
    if is_own:
        declarative.hear(tx, channel_id, epoch=spoken.epoch, at=ctx.now)
    hear(tx, spoken, ctx, request.source)
    is_good = shows_token(tx, message, spoken, request.source, ctx)
    match message.endpoint:
        case "tokens":
            return CheckinAnswer(empty_tokens_reply(ctx.now), JSON)
        case "declaration-items":
            return CheckinAnswer(empty_items_reply(), JSON)
        case "status":
            if is_own and is_good:
                _keep_status(tx, message.data or b"", spoken, request.source, ctx)
            return CheckinAnswer(signal="status")
        case _:
            return DeclarationUnknown()


def shows_token(
    tx: Transaction, message: DeclarativeManagement | GetToken, spoken: Speaking, source: str, ctx: Context
) -> bool:
    """Tell whether a message of a user carries the token that he was given at his login; if not, that is evidence."""
    channel = message.channel
    if channel.kind not in MAC_USERS:
        return True
    login = user_logins.find(tx, [channel.id]).get(channel.id)
    standing = TokenStanding.GOOD if login is None else token_standing(login, hash_of_token(message.auth_token))
    if standing is TokenStanding.GOOD:
        return True
    channel_id = spoken.enrollment.channel.id
    seen = Observation(channel_id, Signal.QUESTION, standing.value, ctx.now, spoken.epoch, source)
    evidence.append(tx, [seen], ctx.new_id)
    return False


def _keep_status(tx: Transaction, data: bytes, spoken: Speaking, source: str, ctx: Context) -> None:
    channel_id = spoken.enrollment.channel.id
    try:
        report = read_status_report(data)
    except MalformedMessage as error:
        _note(tx, spoken, STATUS_MALFORMED, source, {"fault": str(error), "size": len(data)}, ctx)
        return
    before = declarative.ddm_of(tx, [channel_id]).get(channel_id)
    declarative.keep_status(tx, channel_id, report, data, ctx.now)
    after = declarative.ddm_of(tx, [channel_id]).get(channel_id)
    observed = STATUS
    if after is not None and after.record.push_magic_differs:
        observed = PUSH_MAGIC_DIFFERS
    elif after is not None and after.record.push_token_differs:
        observed = PUSH_TOKEN_DIFFERS
    _note(tx, spoken, observed, source, _detail(report), ctx)
    was_awaited = before is not None and before.record.asked_at is not None
    if was_awaited or observed != STATUS:
        reviews.schedule(tx, channel_id, ctx.now)


def _detail(report: StatusReport) -> Detail:
    return {
        "items": report.items,
        "errors": report.errors,
        "is_full": report.is_full,
        "enrollment_type": report.enrollment_type,
    }


def _note(tx: Transaction, spoken: Speaking, observed: str, source: str, detail: Detail, ctx: Context) -> None:
    channel_id = spoken.enrollment.channel.id
    seen = Observation(channel_id, Signal.DDM_STATUS, observed, ctx.now, spoken.epoch, source, detail)
    evidence.append(tx, [seen], ctx.new_id)


def await_status(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Expect a status of a channel that acknowledged DeclarativeManagement."""
    if answered.status is Status.ACKNOWLEDGED and answered.is_of_this_life:
        channel_id = answered.enrollment.channel.id
        if declarative.asked(tx, channel_id, epoch=answered.epoch, at=answered.reported_at):
            reviews.schedule(tx, channel_id, ctx.now)
    return []
