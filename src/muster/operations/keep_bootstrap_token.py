"""Set- and GetBootstrapToken: the Mac gives us its bootstrap token to keep, and asks for it when it needs it."""

from muster.domain.errors import Refusal
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, hear, speaking_freely
from muster.operations.context import Context
from muster.protocol.checkin import GetBootstrapToken, SetBootstrapToken
from muster.protocol.checkin_replies import bootstrap_token_reply
from muster.protocol.identifiers import DeviceId
from muster.storage import escrow
from muster.storage.engine import Transaction
from muster.storage.escrow import SealedSecret, SecretKind


def set_bootstrap_token(tx: Transaction, request: CheckinRequest[SetBootstrapToken], ctx: Context) -> CheckinOutcome:
    """Keep the token; an absent or empty one puts the stored one out of force, and archives it."""
    spoken = speaking_freely(tx, request, ctx)
    if isinstance(spoken, Refusal):
        return spoken
    device_id = request.message.channel.device_id
    hear(tx, spoken, ctx, request.source)
    if request.message.bootstrap_token:
        keep_secret(tx, device_id, SecretKind.BOOTSTRAP_TOKEN, request.message.bootstrap_token, spoken.epoch, ctx)
        return CheckinAnswer(signal="kept")
    escrow.archive(tx, device_id, SecretKind.BOOTSTRAP_TOKEN, at=ctx.now, epoch=spoken.epoch)
    return CheckinAnswer(signal="archived")


def get_bootstrap_token(tx: Transaction, request: CheckinRequest[GetBootstrapToken], ctx: Context) -> CheckinOutcome:
    """Give the Mac the token of its current epoch; without one, the reply leaves the key out."""
    spoken = speaking_freely(tx, request, ctx)
    if isinstance(spoken, Refusal):
        return spoken
    hear(tx, spoken, ctx, request.source)
    secret = escrow.current(tx, request.message.channel.device_id, SecretKind.BOOTSTRAP_TOKEN, epoch=spoken.epoch)
    token = None if secret is None else open_secret(secret, ctx)
    return CheckinAnswer(bootstrap_token_reply(token), signal="none" if token is None else "given")


def keep_secret(
    tx: Transaction, device_id: DeviceId, kind: SecretKind, secret: bytes, epoch: int, ctx: Context
) -> bool:
    """Seal *secret* and keep it; the same one again changes nothing. Tells whether it was another."""
    current = escrow.current(tx, device_id, kind, epoch=epoch)
    if current is not None and open_secret(current, ctx) == secret:
        return False
    secret_id = ctx.new_id()
    sealed = ctx.seal(secret, table="escrow", column="sealed", row=secret_id)
    escrow.add(tx, device_id, kind, SealedSecret(secret_id, sealed, epoch, ctx.now))
    return True


def open_secret(secret: SealedSecret, ctx: Context) -> bytes:
    """Open a kept secret."""
    return ctx.open(secret.sealed, table="escrow", column="sealed", row=secret.id)
