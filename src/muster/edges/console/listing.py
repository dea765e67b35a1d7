"""The list's address: which devices it shows is written there whole, so that every view is a link to send."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from muster.domain.enrollment import EnrollmentState
from muster.operations.views.devices import DeviceOrder, DeviceQuery
from muster.protocol.identifiers import ChannelId

PAGE_SIZE = 100
SEARCH_LIMIT = 1000
"""Characters of a search, which may be a query; no identifier or name is as long."""
ORDERS = {DeviceOrder.RECENT, DeviceOrder.SILENT}


class UnknownChoice(Exception):
    """The address asks for a state or an order that doesn't exist; the message says which ones do."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows."""

    search: str = ""
    state: str = ""
    order: DeviceOrder = DeviceOrder.RECENT
    after: str = ""

    def query(self) -> DeviceQuery:
        """Return what to read."""
        after = ChannelId(self.after) if self.after else None
        return DeviceQuery(self.search, self.state or None, after, PAGE_SIZE, self.order)

    def url(self, path: str = "/devices") -> str:
        """Return the address of this view; what is as usual is left out."""
        asked = {
            "q": self.search,
            "state": self.state,
            "order": "" if self.order is DeviceOrder.RECENT else self.order.value,
            "after": self.after,
        }
        text = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{text}" if text else path

    def with_state(self, state: str) -> "Listing":
        """Return the first page of the same search in another state."""
        return replace(self, state=state, after="")

    def with_order(self, order: DeviceOrder) -> "Listing":
        """Return the first page in another order."""
        return replace(self, order=order, after="")

    def from_start(self) -> "Listing":
        """Return the first page."""
        return replace(self, after="")

    def next_page(self, after: str) -> "Listing":
        """Return the page that follows *after*."""
        return replace(self, after=after)

    @property
    def is_narrowed(self) -> bool:
        """Tell whether anything is left out."""
        return bool(self.search or self.state or self.after)


def read_listing(parameters: Mapping[str, str]) -> Listing:
    """Read the query of the list's address. Raises UnknownChoice for a state or an order that doesn't exist.

    Control characters are dropped (no database keeps NUL in a text), and parameters of other names passed over.
    """
    state = parameters.get("state", "")
    if state and state not in set(EnrollmentState):
        raise UnknownChoice(f"There is no state {state!r}; there are {', '.join(EnrollmentState)}.")
    order = parameters.get("order", DeviceOrder.RECENT.value)
    if order not in ORDERS:
        raise UnknownChoice(f"There is no order {order!r}; there are {', '.join(sorted(ORDERS))}.")
    search = _printable(parameters.get("q", "")).strip()[:SEARCH_LIMIT]
    return Listing(search, state, DeviceOrder(order), _printable(parameters.get("after", "")))


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
