"""An administrator changes the directory of network users: an act of the audit log. The passwords are not kept here."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import people
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """A network user who was given a password (*is_removed* False), or was taken out."""

    user_name: str
    is_removed: bool


@act(Permission.ENROLL)
def note_directory_changes(tx: Transaction, changes: Sequence[DirectoryChange], ctx: Context) -> list[None]:
    """Record *changes*, an act each."""
    for change in changes:
        act = "directory.remove" if change.is_removed else "directory.set_password"
        people.record_act(tx, ctx.actor, act, change.user_name, {}, ctx.now)
    return [None] * len(changes)
