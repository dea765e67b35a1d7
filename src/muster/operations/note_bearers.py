"""Devices of account-driven enrollments bring their token with every message. One of another account is evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from muster.domain.control.evidence import Observation, Signal
from muster.domain.errors import RefusalCode
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollment_tokens, enrollments, evidence, known_facts
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class BearerHeard:
    """A message of *channel_id*, which proved itself by its identity, brought *token*."""

    channel_id: ChannelId
    token: str = field(repr=False)
    source: str


def note_bearers(tx: Transaction, heard: Sequence[BearerHeard], ctx: Context) -> list[None]:
    """Record tokens of ours that another account got; one None for each. One that is not known says nothing."""
    for one in heard:
        token = enrollment_tokens.find(tx, hash_secret(one.token))
        enrollment = enrollments.find(tx, [one.channel_id]).get(one.channel_id)
        if token is None or enrollment is None:
            continue
        device = ChannelId(enrollment.channel.device_id)
        account = known_facts.account_of(tx, device)
        if account == token.user_name:
            continue
        observation = Observation(
            device,
            Signal.REFUSED_CONTACT,
            RefusalCode.BEARER_OF_ANOTHER_ACCOUNT.value,
            ctx.now,
            enrollment.epoch,
            one.source,
            {"account": account, "bearer_account": token.user_name, "heard": True},
        )
        evidence.append(tx, [observation], ctx.new_id)
    return [None] * len(heard)
