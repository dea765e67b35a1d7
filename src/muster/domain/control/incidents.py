"""Incidents: one for one common cause, however many devices it touches; opened, grown, closed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.domain.control.own_side import EVERYTHING, Outage, Scope, ScopeKind
from muster.domain.control.reasons import Reason

SILENT_TOGETHER: Final = 5
"""Devices of a site that fell silent together before it is an incident."""
UNPUSHED_TOGETHER: Final = 3
"""Devices of a site that no push reaches before it is an incident: two may be chance."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A common cause as it is seen now. *channels*: how many it touches; *sentence*: what it is, with the figures, as
    in a finding (lower case, no full stop)."""

    reason: Reason
    scope: Scope
    began_at: datetime
    sentence: str
    channels: int


@dataclass(frozen=True, slots=True)
class Incident:
    """One common cause, from when it was noticed until it ended. *channels*: the most that it touched at one time."""

    id: str
    reason: Reason
    scope: Scope
    began_at: datetime
    opened_at: datetime
    changed_at: datetime
    ended_at: datetime | None
    sentence: str
    channels: int


@dataclass(frozen=True, slots=True)
class IncidentSteps:
    """What becomes of the incidents: causes that are new, those that are still there, incidents that are over."""

    opened: tuple[Cause, ...]
    grown: tuple[tuple[Incident, Cause], ...]
    closed: tuple[Incident, ...]


def scope_of_incident(outage: Outage) -> Scope:
    """Return what an outage's incident is about: errors of several endpoints and nodes are one incident."""
    return EVERYTHING if outage.scope.kind is ScopeKind.ENDPOINT else outage.scope


def follow_causes(open_ones: tuple[Incident, ...], causes: tuple[Cause, ...]) -> IncidentSteps:
    """Tell what the *causes* that are seen now make of the incidents that are open. Each cause has one incident."""
    seen = {(cause.reason, cause.scope): cause for cause in reversed(causes)}
    known = {(one.reason, one.scope): one for one in open_ones}
    return IncidentSteps(
        opened=tuple(cause for key, cause in sorted(seen.items(), key=_by_beginning) if key not in known),
        grown=tuple(
            (one, cause)
            for key, one in known.items()
            if (cause := seen.get(key)) is not None
            and (cause.channels > one.channels or cause.sentence != one.sentence)
        ),
        closed=tuple(one for key, one in known.items() if key not in seen),
    )


def _by_beginning(item: tuple[tuple[Reason, Scope], Cause]) -> tuple[datetime, str, str]:
    cause = item[1]
    return cause.began_at, cause.reason.value, str(cause.scope)
