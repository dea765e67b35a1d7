"""What administrators may do: each has one role, and a role has all that those below it have."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """The roles, each with what those before it have."""

    VIEWER = "viewer"
    """Sees what is known of devices, and no secret."""
    HELPDESK = "helpdesk"
    """Helps people at their device: what opens a locked Mac or its disk."""
    OPERATOR = "operator"
    """Runs the devices: the passwords that are set on them, too."""
    SECURITY = "security"
    """Every secret there is."""
    OWNER = "owner"
    """Everything, and who has which role. The first administrator is one."""


_ORDER: Final = tuple(Role)


def has(role: Role, needed: Role) -> bool:
    """Tell whether *role* has what *needed* has."""
    return _ORDER.index(role) >= _ORDER.index(needed)
