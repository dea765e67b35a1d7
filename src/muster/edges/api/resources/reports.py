"""What was under control at a time: counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control_report import canonical
from muster.domain.control_report.entries import Contents, Entry, contents_of
from muster.domain.errors import Refusal
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import QueryText
from muster.edges.api.problems import FaultyMember, malformed, of_refusal
from muster.operations.permit import of_fleet
from muster.operations.views.control_report import entries_at, read_report_query
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ReportAsked:
    """Of when, and of whom. *at*: not in the future, and on or after the first verdict; absent: now."""

    at: datetime | None = None
    where: QueryText | None = None


@dataclass(frozen=True, slots=True)
class ControlReport:
    """How many channels were in which state, by which proof and for which reason.

    *root* and *sha256* are of its entries, as those of a signed report (`muster report control --output`).
    """

    at: datetime
    count: int
    root: bytes
    sha256: bytes
    counts: Mapping[str, object]


@endpoint("GET", "/reports/control", refuses=(422,))
async def count_control(call: Call, asked: ReportAsked) -> ControlReport:
    """Count what was in control by which proof at a time, and what was not and why."""
    now = call.runner.now()
    at = now.replace(microsecond=0) if asked.at is None else asked.at
    if at > now:
        raise malformed(FaultyMember("query.at", "it is still to come"))

    def read(tx: Transaction) -> Contents | Refusal:
        query = read_report_query(tx, asked.where)
        return query if isinstance(query, Refusal) else contents_of(map(_line, entries_at(tx, at, query, now)))

    found = await call.see(of_fleet(read))
    if isinstance(found, Refusal):
        raise of_refusal(found)
    return ControlReport(at, found.count, found.root, found.sha256, dict(found.counts))


def _line(entry: Entry) -> tuple[bytes, Mapping[str, canonical.Json]]:
    data = entry.data()
    return canonical.written(data), data


ENDPOINTS = (count_control,)
