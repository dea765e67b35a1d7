"""What a scenario comes to once chance has been asked: who is befallen by what, when, and for how long."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final, TypeAlias

from muster.laboratory.scenario.model import EVERYBODY, Happening, Scenario, Span, Value
from muster.laboratory.scenario.primitives.forms import Lasts, Target
from muster.laboratory.scenario.primitives.table import PRIMITIVES

UNTOUCHED_BY: Final = frozenset({"enroll", "send", "sees", "user_login", "user_logout"})
"""What does not count where an event wants devices that no other befell (`apart`): nothing goes wrong by these."""

Occurrence: TypeAlias = tuple[int, timedelta]


@dataclass(frozen=True, slots=True)
class Planned:
    """One event, one time, for one device or one site; neither: of what is no device. *lasts*: None: to the end."""

    number: int
    happening: Happening
    device: str | None
    site: str | None
    begins: timedelta
    lasts: timedelta | None

    @property
    def occurrence(self) -> Occurrence:
        """Which event it is, and which time of those that it comes."""
        return self.number, self.begins

    @property
    def primitive(self) -> str:
        """The name of what happens."""
        return self.happening.primitive

    def value(self, name: str) -> Value | None:
        """A parameter; None when it was left out."""
        return self.happening.parameters.get(name)


def make_plan(scenario: Scenario, seed: int) -> tuple[Planned, ...]:
    """Everything that will happen, in the order of time; equal seeds give equal plans."""
    planned: list[Planned] = []
    touched: set[str] = set()
    for number, happening in enumerate(scenario.happenings):
        devices, sites = _whom(scenario, happening, touched, Random(f"{seed} choice {number}"))  # noqa: S311 - to be repeated
        if happening.primitive not in UNTOUCHED_BY:
            touched.update(devices)
        for device in devices:
            planned += _occurrences(scenario, number, happening, device, None, seed)
        for site in sites:
            planned += _occurrences(scenario, number, happening, None, site, seed)
        if not devices and not sites and _is_of_neither(scenario, happening):
            planned += _occurrences(scenario, number, happening, None, None, seed)
    return tuple(sorted(planned, key=lambda one: (one.begins, one.number)))


def _whom(
    scenario: Scenario, happening: Happening, touched: set[str], rng: Random
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The devices, and the sites where those are what is befallen."""
    who, targets = happening.who, PRIMITIVES[happening.primitive].targets
    sites = tuple(name for name in who.names if name in scenario.sites) if Target.SITE in targets else ()
    if EVERYBODY in who.names and Target.SITE in targets and Target.DEVICES not in targets:
        sites = tuple(scenario.sites)
    if Target.DEVICES not in targets:
        return (), sites
    devices = scenario.devices_of(tuple(name for name in who.names if name not in sites))
    if who.apart:
        devices = tuple(device for device in devices if device not in touched)
    count = who.count
    if who.share is not None:
        count = share_of(who.share, len(devices))
    if count is not None and count < len(devices):
        chosen = set(rng.sample(devices, count))
        devices = tuple(device for device in devices if device in chosen)
    return devices, sites


def share_of(share: float, of: int) -> int:
    """How many a share of so many are: rounded, and one at least of a share that is more than nothing."""
    return 0 if share == 0 else max(1, int(share * of + 0.5))


def _is_of_neither(scenario: Scenario, happening: Happening) -> bool:
    known = {*scenario.sites, *scenario.cohorts, *scenario.devices, EVERYBODY}
    return not any(name in known for name in happening.who.names)


def _occurrences(
    scenario: Scenario, number: int, happening: Happening, device: str | None, site: str | None, seed: int
) -> Iterator[Planned]:
    rng = Random(f"{seed} event {number} {device or site or ''}")  # noqa: S311 - to be repeated is the point
    begins = _draw(happening.when, rng)
    is_lasting = PRIMITIVES[happening.primitive].lasts is Lasts.A_WHILE
    count = 0
    while begins <= scenario.duration and (happening.times is None or count < happening.times):
        lasts = _draw(happening.duration, rng) if is_lasting and happening.duration is not None else None
        yield Planned(number, happening, device, site, begins, lasts)
        if happening.every is None:
            return
        begins += happening.every
        count += 1


def _draw(span: Span, rng: Random) -> timedelta:
    """A moment of *span*, to the second."""
    if span.first == span.last:
        return span.first
    return timedelta(seconds=round(rng.uniform(span.first.total_seconds(), span.last.total_seconds())))
