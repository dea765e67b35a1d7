"""Which answers are read for what they say, beyond being kept, and what is read in them.

An answer is stored as it came by the connect that brings it, and read soon after by a worker: a list of applications
may have megabytes, and no device waits for that.
"""

from datetime import datetime
from typing import Final

from muster.domain.command_queue import QueuePurpose
from muster.domain.enrollment import Enrollment
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.learned import InventoryAnswer
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Report, Status
from muster.protocol.identifiers import CommandUUID
from muster.protocol.records import record

READ_REQUEST_TYPES: Final = frozenset(
    {
        "AccountConfiguration",
        "ActivationLockBypassCode",
        "DeclarativeManagement",
        "InstallApplication",
        "InstallEnterpriseApplication",
        "InstallProfile",
        "RemoveApplication",
        "RemoveProfile",
        "DeviceLock",
        "EraseDevice",
        "RequestUnlockToken",
        "RotateFileVaultKey",
        "SetAutoAdminPassword",
        "SetFirmwarePassword",
        "SetRecoveryLock",
        "VerifyFirmwarePassword",
        "VerifyRecoveryLock",
        "DeleteUser",
        "LogOutUser",
        "UserList",
    }
) | {kind.value for kind in InventoryKind}
"""Commands whose answers are read, whatever their status; those of others are kept, and that is all."""


def is_to_be_read(request_type: str, purpose: QueuePurpose) -> bool:
    """Tell whether the answer to a command is read. Renewals and removals of ours are settled by their report."""
    return request_type in READ_REQUEST_TYPES and purpose in (QueuePurpose.COMMAND, QueuePurpose.INVENTORY)


@record(frozen=True, slots=True)
class AnsweredCommand:
    """A command and what a channel answered. *status* is Acknowledged, Error or CommandFormatError.

    *epoch* is that of the report, *enrollment* as it is now: an answer of an earlier epoch is of an earlier life.
    *inventory* is what an acknowledged one says of the inventory; None where nothing of it was asked for.
    """

    enrollment: Enrollment
    command_uuid: CommandUUID
    request: CommandRequest
    status: Status
    report: Report
    epoch: int
    reported_at: datetime
    inventory: InventoryAnswer | None = None

    @property
    def is_of_this_life(self) -> bool:
        """Whether the device has not been enrolled anew since."""
        return self.epoch == self.enrollment.epoch
