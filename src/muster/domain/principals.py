"""Who comes through a door: somebody with a role, from an address, who sees the whole fleet or some groups of it."""

from dataclasses import dataclass
from typing import Final

from muster.domain.access import Actor
from muster.domain.permissions import Permission, allows
from muster.domain.roles import Role

MAXIMUM_SCOPE_GROUPS: Final = 50
"""Groups that one administrator or token is limited to: each is looked up whenever a device is named."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. *groups*: ids of the device groups whose devices are seen and touched, and no others; None: all.

    A group that there is no more has no devices, and neither has an empty set. *actor* is who stands in the audit log,
    with the address that the request came from.
    """

    actor: Actor
    groups: frozenset[str] | None = None

    @property
    def role(self) -> Role:
        """The role."""
        return self.actor.role

    def may(self, permission: Permission) -> bool:
        """Tell whether the role has *permission*, whatever the scope."""
        return allows(self.actor.role, permission)
