"""The records of the connect path's two hot methods, which each engine writes out for itself.

`Transaction.lock_channels` returns what a decision needs, `Transaction.apply_connects` writes what was decided. What
Idle and NotNow mean is decided between the two, never in SQL.
"""

from datetime import datetime

from muster.domain.command_queue import QueueEntry
from muster.domain.control.contact import ContactDay, FoldedContact
from muster.domain.enrollment import Enrollment
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.records import record


@record(frozen=True, slots=True)
class LockedChannel:
    """A channel whose row this transaction holds."""

    enrollment: Enrollment
    contact: ContactDay | None
    rhythm: bytes | None
    """As `muster.domain.control.rhythm` has it; absent before its first contact."""
    is_watched: bool
    """A contact may change its verdict, so that it is reviewed at once."""
    last_contact_at: datetime | None
    answered: QueueEntry | None
    """The queued entry that the report answers (body left empty); absent when it is not queued on this channel."""
    head: QueueEntry | None
    """The entry to hand out next, as the HeadQuery asked; absent when there is none."""


@record(frozen=True, slots=True)
class ClosedEntry:
    """A queue entry that its answer closes. *status* is Apple's word, *body* what the device said."""

    entry: QueueEntry
    status: str
    body: bytes
    is_to_be_read: bool = False
    """What it says is for more than the record: see muster.operations.read_answers."""
    is_sealed: bool = False
    """It holds a secret, and *body* is sealed for this row: see `muster.storage.reports.report_row`."""


@record(frozen=True, slots=True)
class AppliedConnect:
    """What one connect changes in storage."""

    channel_id: ChannelId
    contact: FoldedContact | None
    """Absent in the restricted lane: a contact is what a valid identity makes."""
    is_proof: bool
    rhythm: bytes | None = None
    """The channel's new sketch; absent: it stays, as it does for all but the first contact of a day."""
    source: str | None = None
    """Network address that the contact came from; absent: what is stored stays."""
    closed: ClosedEntry | None = None
    not_now: CommandUUID | None = None
    """The entry that the device declines for now: counted, and no longer withheld, for it did not act on it."""
    handed_out: QueueEntry | None = None
    withhold_after: bool = False
    """The entry handed out is once-only: it stays queued for its answer, and is never handed out again."""
