"""Reading a scenario: TOML text becomes a `Scenario`, or every fault in it is told, with file, line and key.

The whole language is on the page docs/manual/laboratory.md.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path as FilePath
from typing import Final

from pydantic import ValidationError

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.policy_settings import fault_of, inconsistency, texts_of
from muster.domain.errors import Refusal
from muster.domain.standing_policies import PolicyName, read_policy
from muster.laboratory.scenario.lines import find_lines
from muster.laboratory.scenario.model import Limits, Scenario
from muster.laboratory.scenario.read_events import read_expectations, read_happenings
from muster.laboratory.scenario.read_fleet import read_fleet
from muster.laboratory.scenario.tables import BadScenario, Fault, Faults, Table, as_instant, nearest
from muster.laboratory.virtual_time import START
from muster.settings import Settings

MAX_BYTES: Final = 1024 * 1024
"""Of a file: thousands of events fit."""
MAX_DURATION: Final = timedelta(days=1100)
"""Three years, so that identities and certificates of a year can end twice."""
YEARS: Final = (2000, 2100)
"""Of `start`: certificates can be dated years before and after it."""

_SECTIONS: Final = frozenset(
    {"scenario", "server", "policy", "site", "schedule", "cohort", "event", "expect", "expect_overall"}
)
_OWN: Final = frozenset(
    {"data_dir", "public_url", "database", "node", "key_ring", "listen", "workers", "organization", "check_in_url"}
)
"""Settings that are the laboratory's to choose."""
_OVERALL: Final = {
    "right_state_faulted": True,
    "right_state_healthy": True,
    "right_reason": True,
    "recovered": True,
    "false_inactive_per_1000_device_weeks": False,
    "out_of_control_healthy": False,
}
"""Fields of Limits, and whether each is a share."""


def read_scenario(path: FilePath) -> Scenario:
    """Read the file at *path*. Raises BadScenario, and OSError when there is nothing to read."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadScenario(str(path), [Fault(1, "", f"the file is longer than {MAX_BYTES} bytes")])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadScenario(str(path), [Fault(line, "", "the file is not UTF-8")]) from error
    return parse_scenario(text, str(path), name=path.stem)


def parse_scenario(text: str, source: str = "scenario", *, name: str = "scenario") -> Scenario:
    """Read *text*; *source* is how errors name it, *name* what it is called unless it says so. Raises BadScenario."""
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        words = str(error) or "nested too deeply"
        found = re.search(r" \(at line (\d+), column (\d+)\)", words)
        line = int(found[1]) if found else max(1, len(text.splitlines()))
        raise BadScenario(source, [Fault(line, "", f"not TOML: {words[:1].lower()}{words[1:]}")]) from error
    faults = Faults(find_lines(text))
    scenario = _read(Table(values, (), faults), source, name)
    if faults.found:
        raise BadScenario(source, faults.found)
    return scenario


def _read(root: Table, source: str, name: str) -> Scenario:
    root.check_keys(_SECTIONS)
    about = root.table("scenario")
    about.check_keys({"name", "description", "start", "days", "seed"})
    begins_at = _start(about)
    duration = _duration(about)
    fleet = read_fleet(root, begins_at, duration)
    policies, control = _policies(root.table("policy"))
    return Scenario(
        name=about.text("name") or name,
        description=(about.text("description") or "").strip(),
        begins_at=begins_at,
        duration=duration,
        seed=about.count("seed", least=0) or 0,
        settings=_settings(root.table("server")),
        policies=policies,
        control=control,
        sites=fleet.sites,
        schedules=fleet.schedules,
        cohorts=fleet.cohorts,
        happenings=read_happenings(root, fleet, begins_at, duration),
        expectations=read_expectations(root, fleet, begins_at, duration),
        limits=_limits(root.table("expect_overall")),
        source=source,
    )


def _start(about: Table) -> datetime:
    value = about.values.get("start", START)
    if not isinstance(value, date):
        about.note("start", "is a date or an instant, not in quotes, as in 2026-01-05T08:00:00Z")
        return START
    if not YEARS[0] <= value.year <= YEARS[1]:
        about.note("start", f"is in the years {YEARS[0]} to {YEARS[1]}")
        return START
    return as_instant(value, START).astimezone(UTC)


def _duration(about: Table) -> timedelta:
    days = about.number("days", most=MAX_DURATION.days) if about.require("days") else None
    if days == 0:
        about.note("days", "is more than 0")
    return timedelta(days=days or 1)


def _settings(table: Table) -> Mapping[str, object]:
    """Settings by their names, each of its type; whether they agree is seen when the server starts."""
    for key in table.values:
        if key in _OWN:
            table.note(key, "is the laboratory's to choose")
    table.check_keys(frozenset(Settings.model_fields) | _OWN)
    known = {key: value for key, value in table.values.items() if key in Settings.model_fields and key not in _OWN}
    try:
        Settings.model_validate(known | {"data_dir": FilePath()})
    except ValidationError as error:
        for one in error.errors():
            words = f"{one['msg'][:1].lower()}{one['msg'][1:]}"
            table.faults.note((*table.path, *map(str, one["loc"][:1])), words)
    return known


def _policies(table: Table) -> tuple[Mapping[str, str], Mapping[str, object]]:
    """The standing policies, and those of judging."""
    control: dict[str, object] = {}
    policies: dict[str, str] = {}
    durations = {name for name, value in _control_defaults().items() if isinstance(value, timedelta)}
    for key, value in table.values.items():
        read: object
        if key in durations:
            read = table.duration(key)
        elif key == "expects_user_channel":
            read = table.flag(key)
        elif key == "agent":
            read = table.text(key)
        elif key == "quiet_hours":
            read = table.hours(key)
        elif key == "remedies":
            read = frozenset(table.words(key) or ()) if value != [] else frozenset()
        elif key in tuple(PolicyName):
            policies[key] = _standing(table, key)
            continue
        else:
            table.note(key, f"is no policy{nearest(key, {*_control_defaults(), *PolicyName})}")
            continue
        if read is not None:
            control[key] = read
    _check_control(table, control)
    return policies, control


def _check_control(table: Table, control: Mapping[str, object]) -> None:
    """Note what administrators could not set either."""
    policy = ControlPolicy(**control)  # type: ignore[arg-type]  # each was read as what it is
    texts = texts_of(policy)
    faults = {key: fault_of(key, texts[key]) for key in control}
    for key, words in faults.items():
        if words:
            table.note(key, words)
    contradiction = inconsistency(policy)
    if contradiction and not any(faults.values()):
        table.faults.note(table.path, contradiction)


def _standing(table: Table, key: str) -> str:
    text = table.text(key) or ""
    read = read_policy(key, text) if text else None
    if isinstance(read, Refusal):
        table.note(key, read.message)
    return text


def _control_defaults() -> dict[str, object]:
    policy = ControlPolicy()
    return {name: getattr(policy, name) for name in ControlPolicy.__dataclass_fields__}


def _limits(table: Table) -> Limits:
    table.check_keys(_OVERALL)
    shares = {name: table.share(name) for name, is_share in _OVERALL.items() if is_share}
    return Limits(
        right_state_faulted=shares["right_state_faulted"],
        right_state_healthy=shares["right_state_healthy"],
        right_reason=shares["right_reason"],
        recovered=shares["recovered"],
        false_inactive_per_1000_device_weeks=table.number("false_inactive_per_1000_device_weeks"),
        out_of_control_healthy=table.count("out_of_control_healthy", least=0),
    )
