"""An administrator asks for a push: a device is to connect now."""

from collections.abc import Sequence

from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.operations.permit import act, itself
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, people, push
from muster.storage.engine import Transaction


@act(Permission.WAKE, about=itself)
def ask_for_push(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[Refusal | None]:
    """Wish to push channels because an administrator asks; None where the wish was made, in order."""
    tx.lock_rows(sorted(channel_ids))
    stored = enrollments.find(tx, channel_ids)
    outcomes: list[Refusal | None] = []
    for channel_id in channel_ids:
        enrollment = stored.get(channel_id)
        if enrollment is None:
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, f"no enrollment {channel_id} is known"))
        elif enrollment.state is not EnrollmentState.ENROLLED:
            outcomes.append(
                Refusal(RefusalCode.NOT_ENROLLED, f"{channel_id} is not enrolled now ({enrollment.state.value})")
            )
        else:
            push.wish(tx, [channel_id], reason=PushReason.ASKED_FOR, at=ctx.now, due_at=ctx.now)
            people.record_act(tx, ctx.actor, "push.send", channel_id, {}, ctx.now)
            outcomes.append(None)
    return outcomes
