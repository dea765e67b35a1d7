"""Set- and GetBootstrapToken: the Mac gives us its bootstrap token to keep, and asks for it when it needs it."""

from muster.domain.control.evidence import Observation, Signal
from muster.domain.errors import Refusal
from muster.domain.secrets import SecretKind
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, hear, speaking_freely
from muster.operations.context import Context
from muster.operations.keep_secrets import keep_secret, open_secret
from muster.protocol.checkin import GetBootstrapToken, SetBootstrapToken
from muster.protocol.checkin_replies import bootstrap_token_reply
from muster.storage import escrow, evidence
from muster.storage.engine import Transaction


def set_bootstrap_token(tx: Transaction, request: CheckinRequest[SetBootstrapToken], ctx: Context) -> CheckinOutcome:
    """Keep the token; an absent or empty one puts the stored one out of force, and archives it."""
    spoken = speaking_freely(tx, request, ctx)
    if isinstance(spoken, Refusal):
        return spoken
    device_id = request.message.channel.device_id
    hear(tx, spoken, ctx, request.source)
    if request.message.bootstrap_token:
        token, kind = request.message.bootstrap_token, SecretKind.BOOTSTRAP_TOKEN
        keep_secret(tx, device_id, kind, token, spoken.epoch, ctx, origin="SetBootstrapToken")
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
    observed = "bootstrap_token_missing" if token is None else "bootstrap_token_given"
    channel_id = spoken.enrollment.channel.id
    seen = Observation(channel_id, Signal.QUESTION, observed, ctx.now, spoken.epoch, request.source)
    evidence.append(tx, [seen], ctx.new_id)
    return CheckinAnswer(bootstrap_token_reply(token), signal="none" if token is None else "given")
