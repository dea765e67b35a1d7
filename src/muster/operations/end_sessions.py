"""Sessions of the console are ended, by whose they are or by an owner."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import people, sessions
from muster.storage.engine import Transaction
from muster.storage.people import Administrator


@dataclass(frozen=True, slots=True)
class EndOrder:
    """A session to end, by its public id, if it is this administrator's."""

    administrator_id: str
    session_id: str


def end_own_sessions(tx: Transaction, orders: Sequence[EndOrder], ctx: Context) -> list[bool]:
    """End sessions, an act of the audit log each; False where it is over already, or somebody else's."""
    return [_end(tx, order, ctx) for order in orders]


def _end(tx: Transaction, order: EndOrder, ctx: Context) -> bool:
    if not order.session_id.isprintable() or not sessions.end_one(tx, order.administrator_id, order.session_id):
        return False
    people.record_act(tx, ctx.actor, "session.end", order.session_id, {}, ctx.now)
    return True


@act(Permission.PEOPLE)
def end_sessions(tx: Transaction, names: Sequence[str], ctx: Context) -> list[Administrator | Refusal]:
    """End every session of administrators, and what links they have; an act of the audit log each.

    Refused for a name that there is not.
    """
    outcomes: list[Administrator | Refusal] = []
    for name in names:
        known = people.find_administrator(tx, name)
        if known is None:
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, f"there is no administrator {name}"))
            continue
        people.end_sessions(tx, known.id)
        people.record_act(tx, ctx.actor, "session.end_all", name, {}, ctx.now)
        outcomes.append(known)
    return outcomes
