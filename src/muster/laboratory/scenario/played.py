"""What came of playing a scenario: the truth as it happened, and what the server made of it, for whoever scores it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from muster.laboratory.report import Report
from muster.laboratory.scenario.model import Scenario, Value
from muster.protocol.identifiers import ChannelId
from muster.storage.verdicts import Step


@dataclass(frozen=True, slots=True)
class Episode:
    """One event as it befell one device, one site, or what is no device; nothing of it is left to chance any more.

    *number*: of the event in the file, from 0. *device* or *site*: absent where it befell neither. *ended_at* is
    absent when it went on to the end. *note*: what it came to where that was not a matter of course.
    """

    number: int
    primitive: str
    device: str | None
    site: str | None
    parameters: Mapping[str, Value]
    began_at: datetime
    ended_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PlayedDevice:
    """A device of the scenario.

    *channel_ids*: of its device channel, the present one last; more than one where its hardware was replaced. *users*:
    the channels of its users by their number (from 1), those that never opened included. *enrolled_at*: when its
    first enrollment was whole; None: never. *rests*: when its schedule had it sleep or switched off, as intervals.
    *sites*: where it was from when on; None: in a network of its own. *is_guest*: it is in no cohort, and came as the
    new hardware of another. *tokens_at*: when its own channel got push tokens.
    """

    name: str
    cohort: str
    serial_number: str
    channel_ids: tuple[ChannelId, ...]
    users: Mapping[int, ChannelId]
    enrolled_at: datetime | None
    rests: tuple[tuple[datetime, datetime], ...]
    sites: tuple[tuple[datetime, str | None], ...]
    is_guest: bool = False
    tokens_at: tuple[datetime, ...] = ()

    @property
    def channel_id(self) -> ChannelId:
        """The device channel that it has now."""
        return self.channel_ids[-1]


@dataclass(frozen=True, slots=True)
class Played:
    """The whole run. *changes*: every step of every verdict, in order of time; *report*: the laboratory's own, which
    knows what went over the wire. *heard*, *identities*, *proofs*: as `taken_down.TakenDown`."""

    scenario: Scenario
    seed: int
    began_at: datetime
    ended_at: datetime
    devices: tuple[PlayedDevice, ...]
    episodes: tuple[Episode, ...]
    changes: tuple[Step, ...]
    report: Report | None = None
    heard: Mapping[ChannelId, tuple[datetime, ...]] = field(default_factory=lambda: MappingProxyType({}))
    identities: Mapping[ChannelId, tuple[tuple[datetime, datetime], ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    proofs: Mapping[ChannelId, datetime] = field(default_factory=lambda: MappingProxyType({}))

    def device(self, name: str) -> PlayedDevice:
        """The device called *name*. Raises KeyError."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)
