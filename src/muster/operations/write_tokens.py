"""Events of streams become signed tokens, at the moment when they go out: each time with the key that signs then."""

from dataclasses import dataclass, field
from datetime import datetime

from muster.crypto.jws import sign_compact
from muster.crypto.keys import RSAPrivateKey, load_private_key
from muster.domain.event_bodies import OutgoingEvent
from muster.domain.signals import SignalType, signing_key
from muster.operations.context import Context
from muster.protocol.shared_signals import (
    DEVICE_COMPLIANCE_CHANGE,
    STREAM_UPDATED,
    TOKEN_HEADER,
    VERIFICATION,
    device_subject,
    event_token,
    stream_subject,
)
from muster.storage import installations, signals
from muster.storage.engine import Transaction
from muster.storage.signals import Stream


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Who signs tokens now."""

    issuer: str
    kid: str
    key: RSAPrivateKey = field(repr=False)


def token_issuer(tx: Transaction) -> str:
    """Return as whom we sign: the URL at which we are reached. Empty before the server's first start."""
    installation = installations.read(tx)
    return "" if installation is None or installation.public_url is None else installation.public_url


def open_signer(tx: Transaction, ctx: Context) -> TokenSigner | None:
    """Open the key that signs now; None where there is none. Raises CryptoError where it can't be opened."""
    found = signing_key(signals.keys(tx), ctx.now)
    if found is None:
        return None
    opened = ctx.open(found.key_sealed, table="signal_keys", column="key_sealed", row=found.kid)
    key = load_private_key(opened, is_ours=True)
    assert isinstance(key, RSAPrivateKey), "made as one"
    return TokenSigner(token_issuer(tx), found.kid, key)


def write_token(stream: Stream, event: OutgoingEvent, signer: TokenSigner, now: datetime) -> str:
    """Write an event of *stream* as a security event token in its compact form, issued *now*."""
    subject, event_type, said, transaction = _parts(stream, event, signer.issuer)
    claims = event_token(
        issuer=signer.issuer,
        audience=stream.receiver.audience,
        token_id=event.id,
        issued_at=now,
        subject=subject,
        event_type=event_type,
        event=said,
        transaction=transaction,
    )
    return sign_compact(signer.key, {**TOKEN_HEADER, "kid": signer.kid}, claims)


def _parts(
    stream: Stream, event: OutgoingEvent, issuer: str
) -> tuple[dict[str, object], str, dict[str, object], str | None]:
    detail = event.detail
    match SignalType(event.type):
        case SignalType.COMPLIANCE:
            said: dict[str, object] = {
                "previous_status": detail["previous_status"],
                "current_status": detail["current_status"],
                "initiating_entity": "policy",
                "event_timestamp": int(event.at.timestamp()),
            }
            sentence = str(detail.get("sentence") or "")
            if sentence:
                said["reason_admin"] = {"en": f"{sentence[0].upper()}{sentence[1:]}."}
            transaction = detail.get("transaction")
            subject = device_subject(issuer, event.channel_id)
            return subject, DEVICE_COMPLIANCE_CHANGE, said, None if transaction is None else str(transaction)
        case SignalType.VERIFICATION:
            state = {} if detail.get("state") is None else {"state": detail["state"]}
            return stream_subject(stream.id), VERIFICATION, dict(state), None
        case SignalType.STREAM_UPDATED:
            reason = {} if detail.get("reason") is None else {"reason": detail["reason"]}
            return stream_subject(stream.id), STREAM_UPDATED, {"status": detail["status"], **reason}, None
