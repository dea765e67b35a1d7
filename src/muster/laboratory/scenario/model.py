"""A scenario as it was read: who there is, where they are, what happens to them, and what is expected of the verdicts.

Everything is checked against one another: names that are used exist, times lie in order, parameters have their types.
Times are spans since the scenario began (`Scenario.begins_at`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.protocol.plist import PlistValue
from muster.simulator.facts import Platform

SERVER = "server"
APNS = "apns"
ADE = "ade"
EVERYBODY = "everybody"
"""What can be named in `on` beside cohorts, devices and sites."""

Value = str | int | float | bool | timedelta | tuple[str, ...] | Mapping[str, PlistValue]
"""A parameter of a primitive, by its type in `primitives.PRIMITIVES`."""


class Way(StrEnum):
    """By which way a cohort's devices come in."""

    LINK = "link"
    SETUP_ASSISTANT = "setup_assistant"
    ACCOUNT = "account"


class Rest(StrEnum):
    """What devices do while their schedule has them rest."""

    SLEEP = "sleep"
    """They hear nothing and wake without a reason to speak: what APNs kept is what they wake up to."""
    OFF = "off"
    """They are switched off, and speak when they boot."""


@dataclass(frozen=True, slots=True)
class Span:
    """From *first* to *last*, of which one is drawn by chance for each device; equal ones leave nothing to chance."""

    first: timedelta
    last: timedelta


@dataclass(frozen=True, slots=True)
class Site:
    """A place with networks: requests from it leave with one of its public addresses."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When devices rest. What is not said is no rest: an empty schedule is a device that is never off.

    *nights*: from the first time of day (UTC) to the second, every day. *weekends*: Saturdays and Sundays. *holidays*:
    whole days. *breaks*: from the first day to the last, both included. *days_used*: the share of the other days on
    which the device is used at all, each day drawn by chance, and *together* for the whole cohort, as a cart is wheeled
    out. *hours_used*: for so long on such a day, at some time of the hours outside *nights*; None: all of them.
    *jitter*: how much earlier or later each day, at most.
    """

    name: str
    nights: tuple[time, time] | None = None
    weekends: bool = False
    holidays: tuple[date, ...] = ()
    breaks: tuple[tuple[date, date], ...] = ()
    days_used: float = 1.0
    together: bool = False
    hours_used: float | None = None
    rest: Rest = Rest.SLEEP
    jitter: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Cohort:
    """Devices of one kind; their names are `name/1`, `name/2` and so on.

    *site*, *schedule*: None: one public address each, and always on. *users*: of a Mac those with an account, of whom
    the first is logged in; of a Shared iPad those who take turns. *has_user_channel*: users get channels of their own.
    *removable*: their owner may remove the enrollment. *speaks_ddm*: answers DeclarativeManagement and sends status
    reports. *own_connects*: hours between contacts of its own without a push; None: it makes none. *enrolls*: when;
    None: it does by an event alone.
    *is_virtual*: virtual machines that all have one serial number.
    """

    name: str
    count: int
    platform: Platform
    is_shared: bool = False
    site: str | None = None
    schedule: str | None = None
    way: Way = Way.LINK
    users: int = 1
    has_user_channel: bool = True
    supervised: bool = True
    removable: bool = True
    speaks_ddm: bool = False
    own_connects: Span | None = None
    enrolls: Span | None = Span(timedelta(0), timedelta(0))
    is_virtual: bool = False
    os_version: str | None = None
    os_build: str | None = None

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of its devices."""
        return tuple(f"{self.name}/{number}" for number in range(1, self.count + 1))


@dataclass(frozen=True, slots=True)
class Who:
    """Whom something befalls: *names* are cohorts, devices (`macs/3`), sites, or one of the words for what is not a
    device. *share* or *count* of them, drawn by chance; *apart*: only of those whom no event before drew or named."""

    names: tuple[str, ...]
    share: float | None = None
    count: int | None = None
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """One event. *duration*: how long it lasts, drawn for each device; None: to the end, or no time at all where the
    primitive is a moment's. *every*: it comes again so long after it began, *times* in all (None: to the end).
    *line*: where it stands in the file."""

    primitive: str
    who: Who
    when: Span
    duration: Span | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    every: timedelta | None = None
    times: int | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the verdicts of *who* have to be.

    *begins_at* and *ends_at*: at every moment between them, both included; equal ones are one moment. With *within*:
    at some moment from *begins_at* until so long after it, and no more. *states*, *reasons*: one of these; empty: any.
    *recovered*: True: it was out of `in_control` before that moment, and is back; by the end of the run it has proved
    (level 4) since its last loss that it obeys. *user*: the channel of the user with this number, from 1; None: the
    device's.
    """

    who: Who
    begins_at: timedelta
    ends_at: timedelta
    within: timedelta | None = None
    states: frozenset[ControlState] = frozenset()
    reasons: frozenset[Reason] = frozenset()
    recovered: bool | None = None
    user: int | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the score of the whole run has to reach (`[expect_overall]`); None: nothing is asked.

    Shares are 0 to 1: of channel-days on which something was wrong and of healthy ones, and of faulted ones with the
    right reason. The others are at most.
    """

    right_state_faulted: float | None = None
    right_state_healthy: float | None = None
    right_reason: float | None = None
    recovered: float | None = None
    false_inactive_per_1000_device_weeks: float | None = None
    out_of_control_healthy: int | None = None

    @property
    def count(self) -> int:
        """How many of them are asked for."""
        return sum(getattr(self, one.name) is not None for one in fields(self))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. *settings* are the server's (`muster.toml`), *policies* texts by the name of a policy
    (`muster policy set`), *control* those of judging (`ControlPolicy`)."""

    name: str
    description: str
    begins_at: datetime
    duration: timedelta
    seed: int
    settings: Mapping[str, object]
    policies: Mapping[str, str]
    control: Mapping[str, object]
    sites: Mapping[str, Site]
    schedules: Mapping[str, Schedule]
    cohorts: Mapping[str, Cohort]
    happenings: tuple[Happening, ...]
    expectations: tuple[Expectation, ...]
    limits: Limits
    source: str = ""

    def cohort_of(self, device: str) -> Cohort:
        """The cohort of the device called *device*. Raises KeyError."""
        return self.cohorts[device.rpartition("/")[0]]

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of all devices, in the order of the file."""
        return tuple(device for cohort in self.cohorts.values() for device in cohort.devices)

    def devices_of(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The devices that *names* mean: of a cohort or a site all of theirs, each device once, in the file's order."""
        meant = set(names)
        return tuple(
            device
            for cohort in self.cohorts.values()
            for device in cohort.devices
            if EVERYBODY in meant or cohort.name in meant or device in meant or cohort.site in meant
        )
