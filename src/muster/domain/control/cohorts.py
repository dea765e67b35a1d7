"""What devices have in common that is theirs: the public address of their site, the build of their system.

It refines the reason of a verdict and makes incidents; it never excuses a device.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

REFRESH_EVERY: Final = timedelta(hours=1)
"""How often cohorts are counted, once for all nodes: a pass over all devices."""
SMALLEST_SITE: Final = 3
"""Devices of one address that make a site."""
REMEMBERED: Final = timedelta(days=30)
"""For so long a device counts for the address it was last heard from, and is remembered at those before."""
SILENT_AFTER: Final = timedelta(days=1)
"""From this silence on a member counts as silent."""
TOGETHER: Final = timedelta(days=2)
"""Within this before the last of them devices fall silent together: the quietest come once a day."""
SHARE_SILENT: Final = 0.8
"""The share of a site's devices that has to be silent: where others are heard from there, it is not the network."""
HUNG_ALIKE: Final = 3
"""Devices of one build that stopped in mid-dialogue, before it is an incident."""
IN_MID_DIALOGUE: Final = timedelta(minutes=5)
"""Before its last contact a command was handed out that it stopped at: a dialogue takes seconds, a slow one minutes."""


@dataclass(frozen=True, slots=True)
class SiteCount:
    """The devices of one address as counted: *silent* of *members* not heard lately, the last of them at *last_at*."""

    address: str
    members: int
    silent: int
    last_at: datetime | None

    @property
    def is_silent(self) -> bool:
        """Tell whether so many are silent that it may be the network."""
        return self.silent > 0 and self.silent >= SHARE_SILENT * self.members


@dataclass(frozen=True, slots=True)
class HungBuild:
    """So many devices of *build* stopped in mid-dialogue, the first of them at *since*."""

    build: str
    hung: int
    since: datetime


@dataclass(frozen=True, slots=True)
class UnpushedSite:
    """No push reaches so many *devices* at *address*, the first of them at *since*."""

    address: str
    devices: int
    since: datetime
