"""What the answer to a command of ours sets going: a renewal that was refused, an enrollment that we ended.

Ordinary commands are settled by their report alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from muster.domain.command_queue import QueueEntry, QueuePurpose
from muster.domain.enrollment import Enrollment
from muster.operations.context import Context
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


def settle_answers(tx: Transaction, settled: Sequence[SettledEntry], ctx: Context) -> None:  # noqa: ARG001
    """Do what each of *settled* sets going; commands of no purpose of ours are not among them."""
    for one in settled:
        match one.entry.purpose:
            case QueuePurpose.RENEWAL | QueuePurpose.UNENROLL | QueuePurpose.COMMAND:
                pass
            case _:
                assert_never(one.entry.purpose)
