"""Policies as people see them: what stands, since when, and what holds for the devices of each group."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.policy_settings import DEFAULT, SETTINGS, texts_of
from muster.domain.standing_policies import KINDS
from muster.operations.views.control_policies import ControlPolicyRow, list_control_policies
from muster.storage import policies
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class PolicyStanding:
    """A policy as it stands. *changed_at* and *changed_by*: absent where it was never set."""

    name: str
    value: object
    about: str
    changed_at: datetime | None
    changed_by: str | None


def list_standing_policies(tx: Transaction) -> tuple[PolicyStanding, ...]:
    """List every policy that holds for the whole service, as it stands."""
    stored = {one.name: one for one in policies.stored(tx)}
    found = []
    for name, kind in KINDS.items():
        one = stored.get(name)
        value = kind.default if one is None else one.value
        at, by = (None, None) if one is None else (one.changed_at, one.changed_by)
        found.append(PolicyStanding(name.value, value, kind.help, at, by))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One setting of control. *default*: by itself; *of_all*: set for all; *of_groups*: in the groups' order, each
    empty where the group doesn't set it, so that it is as for all."""

    name: str
    help: str
    default: str
    of_all: str
    of_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ControlLimits:
    """By what control is judged. *groups*: those for which something is set, in the order in which they decide."""

    groups: tuple[ControlPolicyRow, ...]
    of_all: ControlPolicyRow | None
    rows: tuple[LimitRow, ...]


def show_control_limits(tx: Transaction) -> ControlLimits:
    """Lay out each setting of control: by itself, for all, for each group."""
    listed = list_control_policies(tx)
    groups = tuple(one for one in listed if one.group is not None)
    of_all = next((one for one in listed if one.group is None), None)
    settings: Mapping[str, str] = {} if of_all is None else of_all.settings
    defaults = texts_of(DEFAULT)
    rows = tuple(
        LimitRow(
            name,
            setting.help,
            defaults[name],
            settings.get(name, ""),
            tuple(one.settings.get(name, "") for one in groups),
        )
        for name, setting in SETTINGS.items()
    )
    return ControlLimits(groups, of_all, rows)
