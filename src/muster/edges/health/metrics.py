"""Metrics for Prometheus: what the edges of this process counted, and the fleet in figures."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from muster.domain.push_breaker import BreakerCause
from muster.domain.push_outcomes import CONSEQUENCES, Consequence
from muster.domain.push_policy import OBSTACLES
from muster.operations.ports import Runner
from muster.operations.views.fleet import FleetFigures, fleet_figures
from muster.storage.errors import Unavailable

FIGURES_KEPT_FOR = timedelta(seconds=10)
"""Counting a large fleet takes tenths of a second; scrapes come every quarter of a minute or so, from several sides."""

_STOPPING = frozenset(outcome for outcome, what in CONSEQUENCES.items() if what is Consequence.STOPPED)


class Exposition:
    """Renders the metrics of this process, or of all processes that share PROMETHEUS_MULTIPROC_DIR, and the fleet's.

    With several nodes each tells the same figures of the fleet: take `max`, not `sum`, over them.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._figures: FleetFigures | None = None
        self._counted_at: datetime | None = None

    async def render(self) -> bytes:
        """Return the text exposition; without the fleet's figures while the database can't be reached."""
        fleet = CollectorRegistry()
        fleet.register(_Fleet(await self._current_figures()))
        return generate_latest(_process_registry()) + generate_latest(fleet)

    async def _current_figures(self) -> FleetFigures | None:
        now = self._runner.now()
        if self._counted_at is None or not timedelta(0) <= now - self._counted_at < FIGURES_KEPT_FOR:
            self._counted_at = now
            try:
                self._figures = await self._runner.read(fleet_figures)
            except Unavailable:
                self._figures = None
        return self._figures


def _process_registry() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library's own
    return registry


class _Fleet(Collector):
    def __init__(self, figures: FleetFigures | None) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "muster_fleet_readable",
            "1 when the fleet's figures could be read from the database, else 0.",
            value=0 if self._figures is None else 1,
        )
        if self._figures is None:
            return
        channels = GaugeMetricFamily(
            "muster_channels", "Device and user channels, by kind and enrollment state.", labels=["kind", "state"]
        )
        for (kind, state), count in sorted(self._figures.channels.items()):
            channels.add_metric([kind, state], count)
        yield channels
        yield GaugeMetricFamily(
            "muster_commands_waiting", "Commands in the queues of all channels.", value=self._figures.commands_waiting
        )
        yield GaugeMetricFamily(
            "muster_pushes_wanted", "Channels that a push is wanted for.", value=self._figures.pushes_wanted
        )
        yield GaugeMetricFamily(
            "muster_messages_deferred",
            "Messages of devices that this server failed to process and tries again.",
            value=self._figures.messages_deferred,
        )
        ends = GaugeMetricFamily(
            "muster_push_certificate_not_after_seconds",
            "When the push certificate in use of a topic expires, in seconds since 1970-01-01 UTC.",
            labels=["topic"],
        )
        for topic, not_after in sorted(self._figures.push_certificates.items()):
            ends.add_metric([topic], not_after.timestamp())
        yield ends
        yield from _pushing(self._figures)


def _pushing(figures: FleetFigures) -> Iterator[Metric]:
    """Tell what keeps pushes back; what there could be and is not is told as 0, so that alerts see it go."""
    breakers = GaugeMetricFamily(
        "muster_push_breaker_open",
        "1 while the pushes of a topic are held because they failed together, by what they have in common, else 0.",
        labels=["topic", "cause"],
    )
    for topic in sorted({*figures.push_certificates, *figures.push_breakers}):
        breaker = figures.push_breakers.get(topic)
        for cause in BreakerCause:
            is_open = breaker is not None and breaker.is_open and breaker.cause is cause
            breakers.add_metric([topic, cause.value], int(is_open))
    yield breakers
    held = GaugeMetricFamily(
        "muster_pushes_held", "Pushes that are wanted and can't be sent, by what holds them.", labels=["because"]
    )
    for because in sorted({*OBSTACLES, *figures.pushes_held}):
        held.add_metric([because], figures.pushes_held.get(because, 0))
    yield held
    refused = GaugeMetricFamily(
        "muster_push_tokens_refused",
        "Channels that are not pushed any more because APNs refused their token, by what it said last.",
        labels=["outcome"],
    )
    for outcome in sorted({*_STOPPING, *figures.tokens_refused}):
        refused.add_metric([outcome], figures.tokens_refused.get(outcome, 0))
    yield refused
