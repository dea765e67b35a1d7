"""What devices answered is read: inventory is learned from it, secrets are kept, what it does not match is flagged.

The connect that brought an answer has stored it as it came; this is done soon after, by any node, in transactions of
its own. An answer that a fault of ours keeps from being read stays, and is tried again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from muster.domain.answered_commands import AnsweredCommand
from muster.domain.command_queue import QueuePurpose
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import Enrollment
from muster.domain.faults import Fault
from muster.domain.inventory.kinds import InventoryKind
from muster.operations.answer_declarative import await_status
from muster.operations.context import Context
from muster.operations.decode_answers import DecodedAnswer, PreparedAnswer, decode_answer
from muster.operations.follow_apps import follow_app_installation, follow_app_list, follow_app_removal
from muster.operations.follow_profiles import follow_installation, follow_profile_list, follow_removal
from muster.operations.follow_users import follow_deletion, follow_log_out, follow_user_list
from muster.operations.keep_secrets import (
    keep_given,
    keep_recovery_key,
    learn_accounts,
    settle_secrets,
    settle_verification,
)
from muster.operations.learn_inventory import learn_inventory
from muster.operations.verify_commands import verify_commands
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId
from muster.storage import answers, enrollments, evidence, reports
from muster.storage.answers import AnswerKey, StoredAnswer
from muster.storage.engine import Transaction
from muster.storage.reports import SaidAnew

CLAIM_LIMIT = 50
"""Answers read in one transaction at most; an answer of ten fields costs less than a millisecond."""
CLAIM_BYTES = 512 * 1024
"""What they may have together, but that one is always read: some tenth of a second's work, for on SQLite all devices
wait for it. A Mac's list of applications has 100 to 200 KB."""
RETRY_DELAYS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
"""The last one is repeated: an update of ours may cure what nothing else does."""
MAXIMUM_FAULTS = 20
"""Kept of one answer: a list of a thousand applications has each fault a thousand times."""
MAXIMUM_ERROR_CHARACTERS = 500

Reader: TypeAlias = Callable[[Transaction, AnsweredCommand, Context], Sequence[Fault]]
"""Does what an answer asks for, and tells what is wrong with it. The channel's row is held. It sees errors as well as
acknowledgements, answers of earlier lives of the device, and the same answer twice where it was sent twice."""

READERS: Final[Mapping[str, tuple[Reader, ...]]] = {
    **{kind.value: (learn_inventory,) for kind in InventoryKind},
    "AccountConfiguration": (settle_secrets,),
    "ActivationLockBypassCode": (keep_given,),
    "DeclarativeManagement": (await_status,),
    "DeviceInformation": (learn_inventory, learn_accounts, verify_commands),
    "InstallApplication": (follow_app_installation,),
    "InstallEnterpriseApplication": (follow_app_installation,),
    "InstallProfile": (follow_installation,),
    "ManagedApplicationList": (learn_inventory, follow_app_list, verify_commands),
    "ProfileList": (learn_inventory, follow_profile_list, verify_commands),
    "ProvisioningProfileList": (learn_inventory, verify_commands),
    "RemoveApplication": (follow_app_removal,),
    "RemoveProfile": (follow_removal,),
    "DeviceLock": (settle_secrets,),
    "EraseDevice": (settle_secrets,),
    "RequestUnlockToken": (keep_given,),
    "RotateFileVaultKey": (keep_recovery_key,),
    "SecurityInfo": (learn_inventory, keep_recovery_key, verify_commands),
    "SetAutoAdminPassword": (settle_secrets,),
    "SetFirmwarePassword": (settle_secrets,),
    "SetRecoveryLock": (settle_secrets,),
    "VerifyFirmwarePassword": (settle_verification,),
    "VerifyRecoveryLock": (settle_verification,),
    "DeleteUser": (follow_deletion,),
    "LogOutUser": (follow_log_out,),
    "UserList": (learn_inventory, follow_user_list),
}
"""By request type; those of `muster.domain.answered_commands.READ_REQUEST_TYPES`."""


@dataclass(frozen=True, slots=True)
class DueAnswers:
    """Answers that are due. *next_due_at*: when the earliest is that is none of these, nor read elsewhere."""

    keys: tuple[AnswerKey, ...]
    next_due_at: datetime | None


def find_answers(tx: Transaction, now: datetime, elsewhere: Collection[AnswerKey] = ()) -> DueAnswers:
    """Name answers to read next, few enough for one transaction, but for those that are read *elsewhere*; nothing is
    held.
    """
    keys: list[AnswerKey] = []
    size = 0
    for one in answers.waiting(tx, CLAIM_LIMIT + len(elsewhere) + 1):
        if one.key in elsewhere:
            continue
        size += one.size
        if one.due_at > now or (keys and (size > CLAIM_BYTES or len(keys) == CLAIM_LIMIT)):
            return DueAnswers(tuple(keys), one.due_at)
        keys.append(one.key)
    return DueAnswers(tuple(keys), None)


def read_answers(tx: Transaction, wanted: Sequence[PreparedAnswer], ctx: Context) -> list[bool]:
    """Read answers; tells of each whether it was read here. One that another node reads, or has read, is passed over.

    What is not decoded yet is decoded before a channel is held, which keeps its device waiting.
    """
    held = answers.claim(tx, [one.key for one in wanted])
    decoded = {one.key: _decoded(one, held[one.key], ctx) for one in wanted if one.key in held}
    channel_ids = sorted({key.channel_id for key in held})
    tx.lock_rows(channel_ids)
    stored = enrollments.find(tx, channel_ids)
    said_anew: list[SaidAnew] = []
    for key in sorted(held, key=lambda one: one.reported_at):
        enrollment = stored.get(key.channel_id)
        if enrollment is not None:
            said_anew += _read(tx, held[key], decoded[key], enrollment, ctx)
    reports.forget_questions(tx, said_anew)
    answers.was_read(tx, list(held))
    return [one.key in held for one in wanted]


def _decoded(wanted: PreparedAnswer, held: StoredAnswer, ctx: Context) -> DecodedAnswer | Fault:
    if wanted.decoded is not None and wanted.stored == held:
        return wanted.decoded
    return decode_answer(held, ctx)


def _read(
    tx: Transaction, stored: StoredAnswer, decoded: DecodedAnswer | Fault, enrollment: Enrollment, ctx: Context
) -> Sequence[SaidAnew]:
    """Read one answer, and tell what of earlier ones has had its day."""
    if isinstance(decoded, Fault):
        _flag(tx, stored, [decoded], enrollment, ctx)
        return ()
    status = decoded.report.head.status
    assert status is not None, "an undefined status closes nothing"
    answered = AnsweredCommand(
        enrollment,
        stored.key.command_uuid,
        decoded.request,
        status,
        decoded.report,
        stored.epoch,
        stored.key.reported_at,
        decoded.inventory,
    )
    readers = READERS.get(decoded.request.request_type, ())
    faults = [*decoded.faults, *(fault for read in readers for fault in read(tx, answered, ctx))]
    if faults:
        _flag(tx, stored, faults, enrollment, ctx)
    elif stored.purpose == QueuePurpose.INVENTORY.value and status is Status.ACKNOWLEDGED and answered.is_of_this_life:
        # what it said before is in the inventory, and in its history; a fleet's lists of a year would fill any disk
        return (SaidAnew(enrollment.channel.id, answered.request.request_type, answered.reported_at),)
    return ()


def _flag(tx: Transaction, stored: StoredAnswer, faults: Sequence[Fault], enrollment: Enrollment, ctx: Context) -> None:
    """Keep what is wrong with an answer beside it, and as evidence that there was such an answer."""
    key = stored.key
    answers.note_faults(tx, key, [asdict(fault) for fault in faults[:MAXIMUM_FAULTS]])
    detail = {"command_uuid": key.command_uuid, "request_type": stored.request_type, "faults": len(faults)}
    seen = Observation(enrollment.channel.id, Signal.COMMAND_ANSWER, "faulty_answer", ctx.now, stored.epoch, "", detail)
    evidence.append(tx, [seen], ctx.new_id)


@dataclass(frozen=True, slots=True)
class UnreadableAnswer:
    """An answer that a fault of ours kept from being read, and what went wrong."""

    key: AnswerKey
    error: str


def put_off_answers(tx: Transaction, unreadable: Sequence[UnreadableAnswer], ctx: Context) -> list[None]:
    """Have answers read later, with evidence that the fault is ours; one None for each."""
    held = answers.claim(tx, [one.key for one in unreadable])
    for one in unreadable:
        if one.key not in held:
            continue
        stored = held[one.key]
        delay = RETRY_DELAYS[min(stored.attempts, len(RETRY_DELAYS) - 1)]
        error = one.error[:MAXIMUM_ERROR_CHARACTERS]
        answers.put_off(tx, one.key, until=ctx.now + delay, error=error)
        detail = {"command_uuid": one.key.command_uuid, "error": error}
        seen = Observation(
            ChannelId(one.key.channel_id), Signal.OWN_ERROR, "answer_not_read", ctx.now, stored.epoch, "", detail
        )
        evidence.append(tx, [seen], ctx.new_id)
    return [None] * len(unreadable)
