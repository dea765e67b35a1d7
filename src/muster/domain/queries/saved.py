"""Queries that are there from the start, by name, as groups: whom most look for first."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from muster.domain.queries.groups import GroupDefinition

_ID: Final = "muster:"
"""Begins the id of each: no id of a stored group has a colon."""

_LOST: Final = "control not in ('in_control', 'dormant', 'ended')"

SAVED: Final[Mapping[str, GroupDefinition]] = MappingProxyType(
    {
        name: GroupDefinition(f"{_ID}{name}", name, query)
        for name, query in (
            ("identity-expires-soon", "state = 'enrolled' and identity_expires < in 30 days"),
            ("needs-a-person", f"{_LOST} and forecast in ('with_a_person', 'not_at_all')"),
            ("not-in-control", _LOST),
            ("silent", "control in ('quiet', 'inactive') or reason = 'silent' and control = 'out_of_control'"),
        )
    }
)
"""By name, which is its own `name_key`."""


def is_saved(group: GroupDefinition) -> bool:
    """Tell whether *group* is one of these, which nobody can change."""
    return group.id.startswith(_ID)
