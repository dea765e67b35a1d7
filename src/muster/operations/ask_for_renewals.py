"""An administrator asks that devices' identities be renewed now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.domain.renewal import RenewalReason, RenewalState, WhyNot, renewal_state, why_not_renewable
from muster.operations.context import Context
from muster.operations.permit import act, itself
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, people, push, renewals, reviews
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class AskedRenewal:
    """The renewal of *device_id* is sent within a minute; where *is_waiting*, one waits already and is pushed again."""

    device_id: ChannelId
    is_waiting: bool


AskOutcome: TypeAlias = AskedRenewal | Refusal

_WHY_NOT = {
    WhyNot.PROFILE_UNKNOWN: "with which profile it was enrolled is not known, and another one would be refused",
    WhyNot.EXPIRED_TOO_LONG: "its identity expired too long ago",
}


@act(Permission.COMMAND, about=itself)
def ask_for_renewals(tx: Transaction, device_ids: Sequence[ChannelId], ctx: Context) -> list[AskOutcome]:
    """Have the identity of each device renewed; one outcome for each, in order. A renewal that waits unanswered is not
    made a second time."""
    tx.lock_rows(sorted(set(device_ids)))
    stored = enrollments.find(tx, device_ids)
    found = renewals.read(tx, device_ids)
    outcomes: list[AskOutcome] = []
    for device_id in device_ids:
        enrollment, identity = stored.get(device_id), found.get(device_id)
        if enrollment is None or not enrollment.channel.is_device:
            outcomes.append(
                Refusal(RefusalCode.NOT_FOUND, f"no device {device_id} is known", "See `muster devices list`.")
            )
            continue
        if enrollment.state is not EnrollmentState.ENROLLED or identity is None:
            outcomes.append(
                Refusal(RefusalCode.NOT_ENROLLED, f"{device_id} is not enrolled now ({enrollment.state.value})")
            )
            continue
        why_not = why_not_renewable(identity.situation, ctx.now, ctx.policy)
        if why_not is not None:
            outcomes.append(
                Refusal(
                    RefusalCode.RENEWAL_IMPOSSIBLE,
                    f"the identity of {device_id} can't be renewed: {_WHY_NOT[why_not]}",
                    "Enroll the device again.",
                )
            )
            continue
        is_waiting = renewal_state(identity.situation, ctx.now, ctx.policy) is RenewalState.SENT
        renewals.open_if_none(
            tx,
            identity.situation.device_id,
            epoch=identity.epoch,
            reason=RenewalReason.ASKED_FOR,
            at=ctx.now,
            asked_at=ctx.now,
        )
        if is_waiting:
            push.wish(tx, [device_id], reason=PushReason.ASKED_FOR, at=ctx.now, due_at=ctx.now)
        reviews.schedule(tx, device_id, ctx.now)
        people.record_act(tx, ctx.actor, "identity.renew", device_id, {"is_waiting": is_waiting}, ctx.now)
        outcomes.append(AskedRenewal(device_id, is_waiting))
    return outcomes
