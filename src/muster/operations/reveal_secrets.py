"""Somebody sees a secret that is kept: a role may, the audit log has it, and a new one may take its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.secrets import ROTATABLE, SecretKind, SecretState, may_reveal, needed_to_reveal
from muster.operations.context import Context
from muster.operations.keep_secrets import open_secret
from muster.operations.permit import act
from muster.operations.views.secrets import in_order
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import enrollments, escrow, people, policies
from muster.storage.engine import Transaction
from muster.storage.escrow import KeptSecret

ROTATE_AFTER = timedelta(hours=1)
"""Whoever asked for a secret has to be able to use it first."""
MAXIMUM_REASON_CHARACTERS = 500
"""Of why somebody wants to see a secret, in the audit log."""


@dataclass(frozen=True, slots=True)
class RevealOrder:
    """Whose secret of which kind somebody wants to see, and why.

    *number* is that of the list: 0 the one to try first. *subject* absent: that of the only one there is.
    """

    device_id: DeviceId
    kind: SecretKind
    number: int = 0
    reason: str = ""
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class RevealedSecret:
    """A secret, in the clear. *others* counts those of the same kind that may be the right one instead: proposed."""

    kind: SecretKind
    subject: str
    state: SecretState
    since: datetime
    others: int
    rotates_at: datetime | None
    value: bytes = field(repr=False)


RevealOutcome: TypeAlias = RevealedSecret | Refusal


@act(lambda order: Permission(f"reveal.{order.kind.value}"), about=lambda _tx, order: (order.device_id,))
def reveal_secrets(tx: Transaction, orders: Sequence[RevealOrder], ctx: Context) -> list[RevealOutcome]:
    """Open the secret that each of *orders* names, an act of the audit log each; so is what is refused for its role."""
    return [_reveal(tx, order, ctx) for order in orders]


def _reveal(tx: Transaction, order: RevealOrder, ctx: Context) -> RevealOutcome:
    reason = order.reason[:MAXIMUM_REASON_CHARACTERS]
    detail: people.AuditDetail = {"kind": order.kind.value, "number": order.number, "reason": reason}
    if not may_reveal(ctx.actor.role, order.kind):
        people.record_act(tx, ctx.actor, "secret.reveal_refused", order.device_id, detail, ctx.now)
        needed = needed_to_reveal(order.kind).value
        return Refusal(
            RefusalCode.ROLE_MISSING,
            f"to see a secret of kind {order.kind.value} takes the role {needed}, and you are {ctx.actor.role.value}",
            "An owner gives roles: `muster admins set-role`.",
        )
    found = _find(tx, order)
    if isinstance(found, Refusal):
        return found
    ordered, kept = found
    value = open_secret(kept.secret, ctx)
    rotates_at = _have_rotated(tx, kept, ctx)
    seen: people.AuditDetail = {
        "secret": kept.secret.id,
        "subject": kept.subject,
        "state": kept.state.value,
        "rotates_at": None if rotates_at is None else rotates_at.isoformat(),
    }
    people.record_act(tx, ctx.actor, "secret.reveal", order.device_id, {**detail, **seen}, ctx.now)
    others = sum(one.state is SecretState.PROPOSED and one is not kept for one in ordered)
    return RevealedSecret(kept.kind, kept.subject, kept.state, kept.since, others, rotates_at, value)


def _find(tx: Transaction, order: RevealOrder) -> tuple[tuple[KeptSecret, ...], KeptSecret] | Refusal:
    listed = f"`muster secrets list {order.device_id}` shows what is kept."
    known = escrow.of_device(tx, order.device_id, order.kind)
    subjects = sorted({one.subject for one in known})
    if order.subject is None and len(subjects) > 1:
        return Refusal(
            RefusalCode.CONFLICT, f"secrets of this kind are kept for {', '.join(subjects)}", "Say which: --account."
        )
    ordered = in_order([one for one in known if order.subject in (None, one.subject)])
    if not 0 <= order.number < len(ordered):
        what = f"no secret of kind {order.kind.value} is kept of {order.device_id}"
        return Refusal(RefusalCode.NOT_FOUND, what if not ordered else f"{what} with number {order.number}", listed)
    return ordered, ordered[order.number]


def _have_rotated(tx: Transaction, kept: KeptSecret, ctx: Context) -> datetime | None:
    """Have a new one take the place of a secret that was seen, where policy and state have it so; returns when."""
    wanted = policies.read(tx).rotate_on_reveal & ROTATABLE
    if kept.kind not in wanted or kept.state is not SecretState.IN_FORCE:
        return None
    channel = ChannelId(kept.device_id)
    enrollment = enrollments.find(tx, [channel]).get(channel)
    if enrollment is None or enrollment.state is not EnrollmentState.ENROLLED:
        return None
    at = ctx.now + ROTATE_AFTER
    escrow.rotate_at(tx, kept, at)
    return at if kept.rotate_at is None else min(kept.rotate_at, at)
