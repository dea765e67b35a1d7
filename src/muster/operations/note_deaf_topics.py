"""While a topic can't be pushed, the silence of those who listen to it says nothing: it is an outage of ours."""

from muster.domain.control.own_side import Outage, Scope, ScopeKind, reason_of_breaker
from muster.domain.control.reasons import Reason
from muster.domain.push_breaker import Breaker
from muster.operations.context import Context
from muster.storage import outages, push_certificates
from muster.storage.engine import Transaction


def note_breaker(tx: Transaction, topic: str, before: Breaker | None, after: Breaker | None, ctx: Context) -> None:
    """Note what became of the breaker of *topic*: open, its outage began with the first failure; closed, it is over."""
    scope = Scope(ScopeKind.TOPIC, topic)
    was_open, is_open = (one is not None and one.is_open for one in (before, after))
    if not is_open:
        if was_open:
            outages.close_others(tx, scope, ctx.now)
        return
    assert after is not None, "what is open is there"
    if was_open and before is not None and before.cause is after.cause:
        return
    reason, words = reason_of_breaker(after.cause)
    outages.close_others(tx, scope, ctx.now, but=reason)
    began_at = ctx.now if was_open else after.since
    detail = {"cause": after.cause.value, "topic": topic}
    outages.open_one(tx, Outage(ctx.new_id(), reason, scope, began_at, None, words, detail))


def note_resumed(tx: Transaction, topic: str, ctx: Context) -> None:
    """Note that another certificate is in use for *topic*, and what kept it from being pushed is taken to be over."""
    outages.close_others(tx, Scope(ScopeKind.TOPIC, topic), ctx.now)


def note_expired_certificates(tx: Transaction, ctx: Context) -> None:
    """Note each topic whose certificate in use has expired, from its end on."""
    for topic, certificate in push_certificates.certificates_in_use(tx).items():
        if certificate.not_after <= ctx.now:
            scope = Scope(ScopeKind.TOPIC, topic)
            reason, words = Reason.PUSH_CERTIFICATE_EXPIRED, "our push certificate has expired"
            detail = {"topic": topic, "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}"}
            outages.open_one(tx, Outage(ctx.new_id(), reason, scope, certificate.not_after, None, words, detail))
