"""What devices say is handed on as it came, to the webhooks that want it: in the transaction that answers it.

Messages hold secrets (unlock tokens, recovery keys), so they are sealed while they wait.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from muster.domain.events import Detail, MessageTopic
from muster.domain.message_bodies import RAW_PAYLOAD, message_detail
from muster.operations.context import Context
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
from muster.protocol.identifiers import Channel, Identifiers
from muster.storage import outbox
from muster.storage.engine import Transaction
from muster.storage.outbox import WaitingMessage

TOPICS: Final[Mapping[type[CheckinMessage], MessageTopic]] = {
    Authenticate: MessageTopic.AUTHENTICATE,
    TokenUpdate: MessageTopic.TOKEN_UPDATE,
    CheckOut: MessageTopic.CHECK_OUT,
    UserAuthenticate: MessageTopic.USER_AUTHENTICATE,
    SetBootstrapToken: MessageTopic.SET_BOOTSTRAP_TOKEN,
    GetBootstrapToken: MessageTopic.GET_BOOTSTRAP_TOKEN,
    DeclarativeManagement: MessageTopic.DECLARATIVE_MANAGEMENT,
    GetToken: MessageTopic.GET_TOKEN,
    ReturnToService: MessageTopic.RETURN_TO_SERVICE,
}


@dataclass(frozen=True, slots=True)
class HeardMessage:
    """A message that was answered. *parameters* stood in its address; *status* and *command_uuid* are a report's."""

    topic: MessageTopic
    channel: Channel
    identifiers: Identifiers
    body: bytes = field(repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)
    status: str | None = None
    command_uuid: str | None = None
    tally: int | None = None


def tell_messages(tx: Transaction, heard: Sequence[HeardMessage], ctx: Context) -> None:
    """Put messages into the outbox of whoever wants them, the channels' rows being held."""
    if not heard:
        return
    receivers = outbox.message_receivers(tx)
    for_whom = [(one, [id_ for id_, topics in receivers if one.topic.value in topics]) for one in heard]
    waiting = [_waiting(one, wanted_by, ctx) for one, wanted_by in for_whom if wanted_by]
    outbox.append_messages(tx, waiting, ctx.now)


def _waiting(heard: HeardMessage, wanted_by: Sequence[str], ctx: Context) -> WaitingMessage:
    event_id = ctx.new_id()
    detail = message_detail(
        heard.channel,
        heard.identifiers,
        status=heard.status,
        command_uuid=heard.command_uuid,
        tally=heard.tally,
        parameters=heard.parameters,
    )
    sealed = ctx.seal(heard.body, table="outbox", column="detail", row=event_id)
    detail[outbox.SEALED] = base64.b64encode(sealed).decode()
    return WaitingMessage(event_id, heard.topic.value, heard.channel.id, tuple(wanted_by), detail)


def opened_message(event_id: str, detail: Detail, ctx: Context) -> Detail:
    """Return *detail* with the message as it came in it, base64; as it is where none is sealed in it.

    Raises CryptoError when it can't be opened.
    """
    sealed = detail.get(outbox.SEALED)
    if not isinstance(sealed, str):
        return detail
    body = ctx.open(base64.b64decode(sealed), table="outbox", column="detail", row=event_id)
    rest = {name: value for name, value in detail.items() if name != outbox.SEALED}
    return {**rest, RAW_PAYLOAD: base64.b64encode(body).decode()}
