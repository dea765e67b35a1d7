"""Many measurements, one table: medians, and ratios to the constant of the same turn."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONSTANT = "constant"
"""The name of the server that answers everything alike."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One load on one server. Times are microseconds of processor time for each request."""

    target: str
    workers: int
    connections: int
    rate: float
    server_us: float
    database_us: float
    p50_ms: float
    p99_ms: float
    answers: float
    """The part of the requests that answered a command."""

    @property
    def total_us(self) -> float:
        """Processor time of server and database together."""
        return self.server_us + self.database_us


_HEADINGS = (
    *("server", "workers", "connections", "connects/s", "of constant"),
    *("server us", "database us", "together us", "of constant", "p50 ms", "p99 ms", "answers"),
)


def format_table(measurements: Sequence[Measurement]) -> str:
    """Return a table of the medians. *measurements* holds each turn's in the order in which they were made.

    A ratio is the median of the ratios of each turn: to the constant with as many workers and connections.
    """
    rows = [_HEADINGS]
    for target, workers, connections in dict.fromkeys((m.target, m.workers, m.connections) for m in measurements):
        own = _series(measurements, target, workers, connections)
        constant = _series(measurements, CONSTANT, workers, connections)
        rows.append(
            (
                target,
                str(workers),
                str(connections),
                f"{_median(own, lambda m: m.rate):,.0f}",
                _ratio(own, constant, lambda m: m.rate),
                f"{_median(own, lambda m: m.server_us):.0f}",
                f"{_median(own, lambda m: m.database_us):.0f}" if any(m.database_us for m in own) else "-",
                f"{_median(own, lambda m: m.total_us):.0f}",
                _ratio(own, constant, lambda m: m.total_us),
                f"{_median(own, lambda m: m.p50_ms):.1f}",
                f"{_median(own, lambda m: m.p99_ms):.1f}",
                f"{_median(own, lambda m: m.answers):.0%}" if any(m.answers for m in own) else "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def _series(measurements: Sequence[Measurement], target: str, workers: int, connections: int) -> list[Measurement]:
    wanted = (target, workers, connections)
    return [m for m in measurements if (m.target, m.workers, m.connections) == wanted]


def _median(series: Sequence[Measurement], value: Callable[[Measurement], float]) -> float:
    return statistics.median(value(one) for one in series)


def _ratio(own: Sequence[Measurement], constant: Sequence[Measurement], value: Callable[[Measurement], float]) -> str:
    ratios = [value(one) / value(other) for one, other in zip(own, constant, strict=False) if value(other)]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = row
    return "  ".join(
        [name.ljust(widths[0]), *(text.rjust(width) for text, width in zip(figures, widths[1:], strict=True))]
    )
