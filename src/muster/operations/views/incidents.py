"""Incidents as people see them: one row for one common cause, whatever the number of devices."""

from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.incidents import Incident
from muster.domain.control.own_side import OF_THEIRS
from muster.domain.control.reasons import REASONS
from muster.storage import incidents
from muster.storage.engine import Transaction

LIST_LIMIT = 100


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident. *title*: its reason in a few words; *scope*: what those who are touched have in common, as
    `topic:...`, `site:...`, `build:...` (empty: everything is touched); *ended_at* absent: it lasts."""

    id: str
    reason: str
    title: str
    is_ours: bool
    scope: str
    began_at: datetime
    opened_at: datetime
    ended_at: datetime | None
    sentence: str
    channels: int


def list_incidents(tx: Transaction, *, limit: int = LIST_LIMIT, only_open: bool = False) -> tuple[IncidentRow, ...]:
    """Read the incidents: those that last first, then those that were noticed last."""
    found = incidents.open_ones(tx)[:limit] if only_open else incidents.latest(tx, limit)
    return tuple(_row(one) for one in found)


def _row(one: Incident) -> IncidentRow:
    return IncidentRow(
        id=one.id,
        reason=one.reason.value,
        title=REASONS[one.reason].title,
        is_ours=one.scope.kind not in OF_THEIRS,
        scope=str(one.scope),
        began_at=one.began_at,
        opened_at=one.opened_at,
        ended_at=one.ended_at,
        sentence=one.sentence,
        channels=one.channels,
    )
