"""What was learned from an answer to one of the questions about inventory."""

from collections.abc import Mapping

from muster.domain.faults import Fault
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.values import Detail, JsonValue
from muster.protocol.records import record


@record(frozen=True, slots=True)
class LearnedFact:
    """A value as it is stored. *is_odd*: it is of another type than Apple's."""

    value: JsonValue
    is_odd: bool = False


@record(frozen=True, slots=True)
class LearnedItem:
    """One item of a list, with what it is listed by."""

    name: str | None
    version: str | None
    detail: Detail


@record(frozen=True, slots=True)
class Learned:
    """What an answer says. Of a list, *is_whole*: what it does not name is not there; else it speaks of what it names,
    and of *absent*, which was asked for and is not there. *merges*: it has only some keys of each item.
    """

    kind: InventoryKind
    facts: Mapping[str, LearnedFact]
    items: Mapping[str, LearnedItem]
    is_whole: bool = True
    absent: frozenset[str] = frozenset()
    merges: bool = False


@record(frozen=True, slots=True)
class InventoryAnswer:
    """An answer about inventory. *learned* is None where it holds nothing of the kind asked for; *digest* tells what
    was learned from anything else, and is empty with None."""

    learned: Learned | None
    faults: tuple[Fault, ...]
    digest: bytes
