"""Which role somebody has whom an identity provider knows: by the groups that it says they are in."""

from collections.abc import Iterable, Mapping

from muster.domain.roles import Role

MAXIMUM_GROUPS = 10_000
"""Of one person, as far as they are looked at: large directories put people into hundreds."""


def read_role(text: str) -> tuple[str, Role] | None:
    """Read `GROUP=ROLE`, split at the last sign; None where it isn't that."""
    group, sign, role = text.rpartition("=")
    if not sign or not group.strip() or role.strip() not in set(Role):
        return None
    return group.strip(), Role(role.strip())


def role_of(groups: Iterable[str], roles: Mapping[str, Role]) -> Role | None:
    """Return the highest of the roles of *groups*, whose names count letter by letter; None where none has one."""
    held = {roles[group] for group in groups if group in roles}
    return max(held, key=list(Role).index, default=None)
