"""Somebody has Apple take off an Activation Lock: that is noted, and the certificate that vouches for us is opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.load_push_credentials import load_push_credentials
from muster.operations.permit import act
from muster.operations.ports import PushCredentials
from muster.storage import people, push_certificates
from muster.storage.engine import Transaction

SERIAL_CHARACTERS_KEPT = 64
"""Of what somebody gives for a serial number, in the audit log."""


@dataclass(frozen=True, slots=True)
class UnlockOrder:
    """Whose lock is taken off, under the push certificate of *topic*."""

    topic: str
    serial_number: str


UnlockOutcome: TypeAlias = PushCredentials | Refusal


@act(Permission.REVEAL_ACTIVATION_LOCK_CODE)
def allow_unlocks(tx: Transaction, orders: Sequence[UnlockOrder], ctx: Context) -> list[UnlockOutcome]:
    """Note that an Activation Lock is taken off, and return what Apple knows us by. Refused without a certificate."""
    return [_allow(tx, order, ctx) for order in orders]


def _allow(tx: Transaction, order: UnlockOrder, ctx: Context) -> UnlockOutcome:
    in_use = push_certificates.certificates_in_use(tx).get(order.topic)
    credentials = None if in_use is None else load_push_credentials(tx, [in_use.fingerprint], ctx)[0]
    if credentials is None:
        return Refusal(
            RefusalCode.PUSH_CERTIFICATE_MISSING,
            f"there is no push certificate of the topic {order.topic[:100]}",
            "`muster push-cert list` shows those in use.",
        )
    people.record_act(
        tx,
        ctx.actor,
        "activation_lock.unlock",
        order.serial_number[:SERIAL_CHARACTERS_KEPT],
        {"topic": order.topic},
        ctx.now,
    )
    return credentials
