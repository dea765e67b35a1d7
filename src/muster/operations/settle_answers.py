"""What the answer to a command of ours sets going: a renewal that was refused, an enrollment that we ended.

Ordinary commands are settled by their report alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from muster.domain.command_queue import QueueEntry, QueuePurpose
from muster.domain.enrollment import Enrollment
from muster.domain.set_up import RELEASE_REQUEST_TYPES
from muster.operations.context import Context
from muster.operations.release_set_up import settle_release
from muster.protocol.connect import Status
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class SettledEntry:
    """An entry of the queue that its answer closed. *body* is the report as it came, *source* where it came from."""

    enrollment: Enrollment
    entry: QueueEntry
    status: Status
    body: bytes
    source: str


def settle_answers(tx: Transaction, settled: Sequence[SettledEntry], ctx: Context) -> None:
    """Do what each of *settled* sets going; those whose report is all there is to them may be among them."""
    for one in settled:
        match one.entry.purpose:
            case QueuePurpose.COMMAND if one.entry.request_type in RELEASE_REQUEST_TYPES:
                settle_release(tx, one.enrollment, one.status, ctx)
            case QueuePurpose.RENEWAL | QueuePurpose.UNENROLL | QueuePurpose.COMMAND:
                pass
            case _:
                assert_never(one.entry.purpose)
