"""What was observed of channels (evidence), class by class, and when they were heard, slot by slot."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay, contacts_of
from muster.domain.control.dossier import Seen
from muster.domain.control.evidence import CLONED, ERASE_ACKNOWLEDGED, ERASE_HANDED_OUT, Signal
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import contact_days, evidence

ROWS_OF_A_SIGNAL: Final = 100
"""Of one channel that are read, the latest: who has himself refused in ever new ways is refused, however often."""
LASTING: Final = (CLONED, ERASE_ACKNOWLEDGED, ERASE_HANDED_OUT)
"""Classes that count for as long as they are kept."""
_EPOCH_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


@record(frozen=True, slots=True)
class Observed:
    """One class of one channel's evidence, of *epoch*."""

    signal: Signal
    epoch: int
    seen: Seen


_number = (
    sa.func.row_number()
    .over(
        partition_by=(evidence.c.channel_id, evidence.c.signal),
        order_by=(evidence.c.last_at.desc(), evidence.c.id.desc()),
    )
    .label("number")
)
_of_channels = (
    sa.select(
        evidence.c.channel_id,
        evidence.c.signal,
        evidence.c.observed_class,
        evidence.c.first_at,
        evidence.c.last_at,
        evidence.c.count,
        evidence.c.epoch,
        evidence.c.source,
        evidence.c.detail,
        _number,
    )
    .where(
        among(evidence.c.channel_id, "ids"),
        sa.or_(evidence.c.last_at >= sa.bindparam("since"), evidence.c.observed_class.in_(LASTING)),
    )
    .subquery()
)
_EVIDENCE = (
    sa.select(_of_channels)
    .where(_of_channels.c.number <= ROWS_OF_A_SIGNAL)
    .order_by(_of_channels.c.last_at, _of_channels.c.first_at)
)
_DAYS = (
    sa.select(contact_days.c.channel_id, contact_days.c.day, contact_days.c.strip)
    .where(among(contact_days.c.channel_id, "ids"), contact_days.c.day >= sa.bindparam("since"))
    .order_by(contact_days.c.day)
)
# made once: building a statement costs more than running it on SQLite
_SIGNALS = {signal.value: signal for signal in Signal}


def read_evidence(
    tx: Transaction, channel_ids: Sequence[ChannelId], since: datetime
) -> Mapping[ChannelId, list[Observed]]:
    """Read what was observed from *since* on, the oldest first, and what is LASTING at any time.

    A signal that this version doesn't know is passed over.
    """
    found: dict[ChannelId, list[Observed]] = defaultdict(list)
    for channel_id, word, observed, first_at, last_at, count, epoch, source, detail, _ in tx.connection.execute(
        _EVIDENCE, {"ids": channel_ids, "since": since}
    ).all():
        signal = _SIGNALS.get(word)
        if signal is not None:
            seen = Seen(observed, first_at, last_at, count, source, detail)
            found[channel_id].append(Observed(signal, epoch, seen))
    return found


def read_days(
    tx: Transaction, channel_ids: Sequence[ChannelId], since: datetime
) -> Mapping[ChannelId, list[ContactDay]]:
    """Read the finished days of contact from that of *since* on, the oldest first."""
    found: dict[ChannelId, list[ContactDay]] = defaultdict(list)
    rows = tx.connection.execute(_DAYS, {"ids": channel_ids, "since": (since - _EPOCH_DAY) // _DAY})
    for channel_id, day, strip in rows.all():
        found[channel_id].append(ContactDay(day, strip))
    return found


def contacts_from(days: Sequence[ContactDay], current: ContactDay | None, since: datetime) -> tuple[datetime, ...]:
    """Return the starts of the slots in which there was contact from *since* on, the oldest first."""
    found: list[datetime] = []
    first = (since - _EPOCH_DAY) // _DAY
    for day in days if current is None else (*days, current):
        starts = contacts_of(day)
        found += starts if day.day > first else [at for at in starts if at >= since]
    return tuple(found)
