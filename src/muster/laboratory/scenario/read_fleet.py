"""Reading who there is and where: sites, schedules, cohorts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from muster.laboratory.scenario.model import (
    ADE,
    APNS,
    EVERYBODY,
    SERVER,
    Cohort,
    Rest,
    Schedule,
    Site,
    Span,
    Way,
)
from muster.laboratory.scenario.tables import Table, nearest
from muster.simulator.facts import Platform

MAX_DEVICES: Final = 20_000
"""In a scenario: more than a run can live through in a day."""
MAX_USERS: Final = 100
NEVER: Final = "never"
RESERVED: Final = frozenset({SERVER, APNS, ADE, EVERYBODY})

PLATFORMS: Final[Mapping[str, tuple[Platform, bool]]] = {
    "Mac": (Platform.MAC, False),
    "iPhone": (Platform.IPHONE, False),
    "iPad": (Platform.IPAD, False),
    "AppleTV": (Platform.APPLE_TV, False),
    "SharediPad": (Platform.IPAD, True),
}
"""The words for `platform`; the second says whether several people take turns."""
_SCHEDULE_KEYS: Final = frozenset(
    {"name", "nights", "weekends", "holidays", "breaks", "days_used", "together", "hours_used", "rest", "jitter"}
)
_COHORT_KEYS: Final = frozenset(
    {"name", "count", "platform", "site", "schedule", "way", "users", "user_channel", "supervised", "removable", "ddm"}
    | {"own_connects", "enrolls", "virtual", "os_version", "os_build"}
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What other parts of a file may name."""

    sites: Mapping[str, Site]
    schedules: Mapping[str, Schedule]
    cohorts: Mapping[str, Cohort]

    def has_device(self, name: str) -> bool:
        """Whether a device is called *name*."""
        cohort_name, _, number = name.rpartition("/")
        cohort = self.cohorts.get(cohort_name)
        is_number = number.isascii() and number.isdecimal() and not number.startswith("0") and len(number) < 10
        return cohort is not None and is_number and int(number) <= cohort.count


def read_fleet(root: Table, begins_at: datetime, duration: timedelta) -> Fleet:
    """Read the tables of *root* that say who there is; what is wrong is noted."""
    taken: set[str] = set(RESERVED)
    sites = {site.name: site for table in root.tables("site") if (site := _site(table, taken)) is not None}
    schedules: dict[str, Schedule] = {}
    for table in root.tables("schedule"):
        schedule = _schedule(table, schedules)
        if schedule is not None:
            schedules[schedule.name] = schedule
    cohorts: dict[str, Cohort] = {}
    for table in root.tables("cohort"):
        cohort = _cohort(table, taken, sites, schedules, begins_at, duration)
        if cohort is not None:
            cohorts[cohort.name] = cohort
    if not root.values.get("cohort"):
        root.faults.note((), "there is no [[cohort]]: nobody to play with")
    if sum(cohort.count for cohort in cohorts.values()) > MAX_DEVICES:
        root.note("cohort", f"the counts make more than {MAX_DEVICES} devices")
    return Fleet(sites, schedules, cohorts)


def _new_name(table: Table, taken: set[str]) -> str | None:
    name = table.name("name") if table.require("name") else None
    if name in taken:
        reason = "is a word of the language" if name in RESERVED else "is taken already"
        table.note("name", f"{name} {reason}: cohorts and sites share their names")
        return None
    if name is not None:
        taken.add(name)
    return name


def _site(table: Table, taken: set[str]) -> Site | None:
    table.check_keys({"name", "address"})
    name = _new_name(table, taken)
    addresses = table.words("address") if table.require("address") else None
    for address in addresses or ():
        try:
            ip_address(address)
        except ValueError:
            table.note("address", f"{address} is no IP address")
    return Site(name, addresses) if name is not None and addresses is not None else None


def _schedule(table: Table, others: Mapping[str, Schedule]) -> Schedule | None:
    table.check_keys(_SCHEDULE_KEYS)
    name = table.name("name") if table.require("name") else None
    if name in others:
        table.note("name", f"there is a schedule {name} already")
    share = table.share("days_used")
    hours_used = table.number("hours_used", most=24)
    if hours_used == 0:
        table.note("hours_used", "is more than 0")
    rest = table.word("rest", tuple(Rest))
    if name is None:
        return None
    return Schedule(
        name=name,
        nights=table.hours("nights"),
        weekends=table.flag("weekends") or False,
        holidays=table.dates("holidays") or (),
        breaks=_breaks(table),
        days_used=1.0 if share is None else share,
        together=table.flag("together") or False,
        hours_used=hours_used,
        rest=Rest(rest) if rest is not None else Rest.SLEEP,
        jitter=table.duration("jitter") or timedelta(0),
    )


def _breaks(table: Table) -> tuple[tuple[date, date], ...]:
    value = table.values.get("breaks", [])
    read: list[tuple[date, date]] = []
    for one in value if isinstance(value, list) else [None]:
        match one:
            case [date() as first, date() as last] if not isinstance(first, datetime) and not isinstance(
                last, datetime
            ):
                if first <= last:
                    read.append((first, last))
                    continue
        table.note("breaks", "is a list of pairs of dates, first and last day, as in [[2026-07-20, 2026-08-02]]")
        break
    return tuple(read)


def _cohort(
    table: Table,
    taken: set[str],
    sites: Mapping[str, Site],
    schedules: Mapping[str, Schedule],
    begins_at: datetime,
    duration: timedelta,
) -> Cohort | None:
    table.check_keys(_COHORT_KEYS)
    name = _new_name(table, taken)
    word = table.word("platform", PLATFORMS) if table.require("platform") else None
    platform, is_shared = PLATFORMS.get(word or "Mac", (Platform.MAC, False))
    has_users = platform is Platform.MAC or is_shared
    if not has_users and (table.has("users") or table.has("user_channel")):
        table.note(
            "users" if table.has("users") else "user_channel", f"a device such as {word} has no users of its own"
        )
    way = Way(table.word("way", tuple(Way)) or Way.LINK)
    if way is Way.ACCOUNT and (is_shared or platform is Platform.APPLE_TV):
        table.note("way", f"nobody enrolls {word} by an account")
    users = table.count("users", least=0, most=MAX_USERS)
    connects = table.values.get("own_connects")
    enrolls = _enrolls(table, begins_at, duration)
    supervised, user_channel, removable = table.flag("supervised"), table.flag("user_channel"), table.flag("removable")
    if name is None:
        return None
    return Cohort(
        name=name,
        count=table.count("count", most=MAX_DEVICES) or 1,
        platform=platform,
        is_shared=is_shared,
        site=_known(table, "site", sites),
        schedule=_known(table, "schedule", schedules),
        way=way,
        users=(1 if has_users else 0) if users is None else users,
        has_user_channel=has_users if user_channel is None else user_channel,
        supervised=way is not Way.ACCOUNT if supervised is None else supervised,
        removable=way is not Way.SETUP_ASSISTANT if removable is None else removable,
        speaks_ddm=table.flag("ddm") or False,
        own_connects=None if connects is None else _span(table, "own_connects"),
        enrolls=enrolls,
        is_virtual=table.flag("virtual") or False,
        os_version=table.text("os_version"),
        os_build=table.text("os_build"),
    )


def _known(table: Table, key: str, known: Mapping[str, object]) -> str | None:
    value = table.text(key)
    if value is not None and value not in known:
        table.note(key, f"there is no {key} {value}{nearest(value, known)}")
        return None
    return value


def _span(table: Table, key: str) -> Span | None:
    spans = table.durations(key)
    if spans is not None and spans[0] < timedelta(minutes=1):
        table.note(key, "is at least a minute")
        return None
    return None if spans is None else Span(*spans)


def _enrolls(table: Table, begins_at: datetime, duration: timedelta) -> Span | None:
    value = table.values.get("enrolls", "0s")
    if value == NEVER:
        return None
    listed = value if isinstance(value, list) and len(value) == 2 else [value, value]
    moments = [table.moment("enrolls", one, begins_at) for one in listed]
    first, last = moments
    if first is None or last is None:
        return Span(timedelta(0), timedelta(0))
    if not first <= last <= duration:
        table.note("enrolls", "is in order, and before the scenario ends")
    return Span(first, last)
