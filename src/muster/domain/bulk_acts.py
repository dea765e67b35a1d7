"""What can be done at once to every device that a query finds, beside sending a command: each as it is done to one."""

from enum import StrEnum
from typing import Final

from muster.domain.permissions import Permission


class BulkKind(StrEnum):
    """What is done to each of them."""

    PUSH = "push"
    """Have it connect now."""
    ASK = "ask"
    """Ask it what it is and what it has."""
    RECOVER = "recover"
    """Do the next step of its recovery, or ask it a harmless question."""
    GROUP = "group"
    """Put it into a group of devices that are put in."""


PERMISSIONS: Final = {
    BulkKind.PUSH: Permission.WAKE,
    BulkKind.ASK: Permission.WAKE,
    BulkKind.RECOVER: Permission.WAKE,
    BulkKind.GROUP: Permission.GROUPS,
}
"""What each takes: the same as for one device."""
IN_PART: Final = {BulkKind.PUSH: 200, BulkKind.ASK: 50, BulkKind.RECOVER: 10, BulkKind.GROUP: 1000}
"""How many are done in one transaction: devices that connect wait for it, a fifth of a second at most."""
