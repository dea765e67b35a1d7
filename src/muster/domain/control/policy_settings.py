"""What administrators may set of the control policy, for all devices or for a group: names, texts, limits.

Each setting is a text as a person writes it, and stored so. Of several groups that a device is in, the first in their
order that sets something decides that; what none of them sets is as it is set for all, else as it is by itself.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import time, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.recovery import WAKING
from muster.domain.control.words import duration as in_words

DEFAULT: Final = ControlPolicy()
NONE: Final = "none"
ALL: Final = "all"

MINIMUM: Final = timedelta(hours=1)
"""Of any limit: reviews come five minutes apart at the closest, and devices are heard some times a day."""
MAXIMUM: Final = timedelta(days=365)
"""Of any limit: longer than this nothing is remembered that it would be held against."""
MAXIMUM_WINDOW: Final = timedelta(days=14)
"""Of the windows of contact and proof: evidence is read back for a day more."""
MAXIMUM_TEXT: Final = 500
"""Characters of one setting."""
MAXIMUM_REMEMBERED: Final = 1000
"""Policies of combinations of groups, which are made anew where there are more."""

REMEDIES: Final = frozenset(one.value for one in WAKING)
"""Steps that are done by themselves, unless a policy leaves them to a person: the others do nothing to a device, or
wait for a person anyway."""

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION: Final = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_CLOCK: Final = r"((?:[01]\d|2[0-3]):[0-5]\d)"
_HOURS: Final = re.compile(rf"{_CLOCK}-{_CLOCK}([+-]{_CLOCK})?", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. *read* makes the policy's value of a text, and raises ValueError with what it should be."""

    name: str
    help: str
    read: Callable[[str], object]
    write: Callable[[Any], str]


def _duration(least: timedelta, most: timedelta) -> Callable[[str], object]:
    def read(text: str) -> timedelta:
        found = _DURATION.fullmatch(text)
        value = None if found is None else int(found[1]) * _UNITS[found[2]]
        if value is None or not least <= value <= most:
            raise ValueError(f"it is a time from {in_words(least)} to {in_words(most)}, as in 36h or 7d")
        return value

    return read


def _write_duration(value: timedelta) -> str:
    for unit, size in reversed(_UNITS.items()):
        if unit != "w" and value % size == timedelta(0):
            return f"{value // size}{unit}"
    return f"{value // _UNITS['m']}m"


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError("it is yes or no")
    return text == "yes"


def _agent(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("it is the name of a witness (`muster witnesses list`), or none")
    return "" if text == NONE else text


def _quiet_hours(text: str) -> tuple[time, time] | None:
    if text == NONE:
        return None
    found = _HOURS.fullmatch(text)
    if found is None or found[1] == found[2]:
        raise ValueError("it is from when to when, UTC or with an offset, as in 22:00-06:30+01:00; or none")
    begins, ends = (time.fromisoformat(one + (found[3] or "")) for one in found.group(1, 2))
    return begins, ends


def _write_quiet_hours(value: tuple[time, time] | None) -> str:
    if value is None:
        return NONE
    begins, ends = value
    offset = "" if begins.tzinfo is None else begins.isoformat()[len("00:00:00") :]
    return f"{begins:%H:%M}-{ends:%H:%M}{offset}"


def _remedies(text: str) -> frozenset[str] | None:
    if text == ALL:
        return None
    names = frozenset() if text == NONE else frozenset(text.split(","))
    if not names <= REMEDIES:
        raise ValueError(f"it is all, none, or any of {', '.join(sorted(REMEDIES))}, with commas between")
    return names


def _write_remedies(value: frozenset[str] | None) -> str:
    return ALL if value is None else ",".join(sorted(value)) or NONE


_LIMIT: Final = _duration(MINIMUM, MAXIMUM)
_WINDOW: Final = _duration(MINIMUM, MAXIMUM_WINDOW)

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        one.name: one
        for one in (
            Setting("contact_window", "a silence shorter than this is never suspicious", _WINDOW, _write_duration),
            Setting(
                "proof_window",
                "for so long a command that was acknowledged proves obedience",
                _WINDOW,
                _write_duration,
            ),
            Setting("tolerance", "a device silent for longer is inactive", _LIMIT, _write_duration),
            Setting("silence_limit", "a device silent for longer is out of control", _LIMIT, _write_duration),
            Setting(
                "inventory_limit",
                "a device that has not told of itself for longer is out of control",
                _LIMIT,
                _write_duration,
            ),
            Setting(
                "expects_user_channel",
                "yes or no: whether a Mac that a user approved should have that user's channel",
                _yes_or_no,
                lambda value: "yes" if value else "no",
            ),
            Setting("agent", "the witness that an agent on these devices is, or none", _agent, lambda one: one or NONE),
            Setting(
                "quiet_hours",
                "when nothing is pushed for recovery, UTC or as in 22:00-06:30+01:00; none: at any hour",
                _quiet_hours,
                _write_quiet_hours,
            ),
            Setting(
                "remedies",
                "the steps of recovery that are done without a person, with commas between; all, or none",
                _remedies,
                _write_remedies,
            ),
        )
    }
)
"""By name, in the order in which they are shown."""

Settings = Mapping[str, str]
"""What is set for a group, or for all: texts by the names of SETTINGS."""


def read_settings(texts: Iterable[str]) -> dict[str, str]:
    """Read settings as somebody types them, `NAME=VALUE`.

    Raises ValueError with what is wrong: a name that there is not, a value that doesn't fit, a name given twice.
    """
    read: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in SETTINGS:
            raise ValueError(f"there is no setting {name[:80]!r}; there are {', '.join(SETTINGS)}")
        if not equals:
            raise ValueError(f"{name} is given no value: write {name}=VALUE")
        if name in read:
            raise ValueError(f"{name} is given twice")
        fault = fault_of(name, value)
        if fault is not None:
            raise ValueError(f"{name} can't be {value[:80]!r}: {fault}")
        read[name] = value
    return read


def fault_of(name: str, text: str) -> str | None:
    """Tell what a value of a known setting should be; None where it fits."""
    if len(text) > MAXIMUM_TEXT:
        return f"it has at most {MAXIMUM_TEXT} characters"
    try:
        SETTINGS[name].read(text)
    except ValueError as error:
        return str(error)
    return None


def inconsistency(policy: ControlPolicy) -> str | None:
    """Tell which limits of a policy contradict each other; None where none do."""
    if policy.tolerance < policy.contact_window:
        return "tolerance is shorter than contact_window: a device would be inactive before its silence is suspicious"
    if policy.silence_limit < policy.tolerance:
        return "silence_limit is shorter than tolerance: a device would be out of control before it is inactive"
    return None


def policy_of(layers: Iterable[Settings], base: ControlPolicy = DEFAULT) -> ControlPolicy:
    """Make one policy of *layers*, the weakest first, and of *base* what none of them sets.

    What is stored and can't be read, since a later version wrote it, counts as unset. Limits of different groups that
    contradict each other are made longer: no device is out of control before it is inactive.
    """
    return _lengthened(_merged(layers), base)


def merged_policy(layers: Iterable[Settings]) -> ControlPolicy:
    """Make one policy as `policy_of`, and leave contradictions in it: for `inconsistency`."""
    return _read(_merged(layers), DEFAULT)


def _merged(layers: Iterable[Settings]) -> tuple[tuple[str, str], ...]:
    merged: dict[str, str] = {}
    for layer in layers:
        merged |= {name: text for name, text in layer.items() if name in SETTINGS and fault_of(name, text) is None}
    return tuple(sorted(merged.items()))


@lru_cache(MAXIMUM_REMEMBERED)
def _lengthened(merged: tuple[tuple[str, str], ...], base: ControlPolicy) -> ControlPolicy:
    policy = _read(merged, base)
    tolerance = max(policy.tolerance, policy.contact_window)
    return replace(policy, tolerance=tolerance, silence_limit=max(policy.silence_limit, tolerance))


def _read(merged: tuple[tuple[str, str], ...], base: ControlPolicy) -> ControlPolicy:
    values: dict[str, Any] = {name: SETTINGS[name].read(text) for name, text in merged}
    return replace(base, **values)


def texts_of(policy: ControlPolicy) -> dict[str, str]:
    """Write every setting of a policy as a text."""
    return {name: one.write(getattr(policy, name)) for name, one in SETTINGS.items()}
