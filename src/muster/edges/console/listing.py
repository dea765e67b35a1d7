"""The list's address: which devices it shows is written there whole, so that every view is a link to send."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.domain.queries.errors import QueryError
from muster.domain.queries.groups import MAXIMUM_NAME
from muster.domain.queries.parser import parse_query, reads_like_query
from muster.operations.permit import quoted
from muster.operations.views.device_lists import DeviceOrder, DeviceQuery
from muster.protocol.identifiers import ChannelId
from muster.protocol.os_family import OsFamily

PAGE_SIZE = 100
SEARCH_LIMIT = 1000
"""Characters of a search, which may be a query; no identifier or name is as long."""
SINCE = (1, 3, 7, 14, 30, 90)
"""Days that a device may have been out of control for at least, as the list offers them."""
ORDERS = {DeviceOrder.GRAVITY, DeviceOrder.RECENT, DeviceOrder.SILENT}


class UnknownChoice(Exception):
    """The address asks for a state or an order that doesn't exist; the message says which ones do."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list shows."""

    search: str = ""
    state: str = ""
    order: DeviceOrder = DeviceOrder.GRAVITY
    after: str = ""
    control: str = ""
    reason: str = ""
    platform: str = ""
    group: str = ""
    since: str = ""
    """Days that it has not been in control for at least."""

    def query(self) -> DeviceQuery:
        """Return what to read."""
        after = ChannelId(self.after) if self.after else None
        search, where = self.search, " and ".join(self._conditions())
        if where and _is_right(search):  # else it is looked for as text, or what is wrong with it is to be said
            search, where = "", f"({search}) and {where}"
        return DeviceQuery(
            search,
            self.state or None,
            after,
            PAGE_SIZE,
            self.order,
            ControlState(self.control) if self.control else None,
            where,
        )

    def _conditions(self) -> Iterator[str]:
        if self.reason:
            yield f"reason = {quoted(self.reason)}"
        if self.platform:
            yield f"platform = {quoted(self.platform)}"
        if self.group:
            yield f"group = {quoted(self.group)}"
        if self.since:
            yield f"control not in ('in_control', 'ended') and control_since < {self.since} days ago"

    def as_query(self) -> str:
        """Return the query that finds what the list shows, for those who want to save it or to send them something.

        A search for text is for it in id, serial number, name and model alone.
        """
        parts = list(self._conditions())
        if self.control:
            parts.append(f"control = {quoted(self.control)}")
        if self.state:
            parts.append(f"state = {quoted(self.state)}")
        if self.search:
            text = quoted(self.search)
            as_text = " or ".join(f"{field} contains {text}" for field in ("name", "serial", "model", "id"))
            found = self.search if reads_like_query(self.search) else as_text
            parts = [f"({found})" if parts or not reads_like_query(self.search) else found, *parts]
        return " and ".join(parts) or "id is known"

    def url(self, path: str = "/devices") -> str:
        """Return the address of this view; what is as usual is left out."""
        asked = {
            "q": self.search,
            "state": self.state,
            "control": self.control,
            "reason": self.reason,
            "platform": self.platform,
            "group": self.group,
            "since": self.since,
            "order": "" if self.order is DeviceOrder.GRAVITY else self.order.value,
            "after": self.after,
        }
        text = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{text}" if text else path

    def with_state(self, state: str) -> "Listing":
        """Return the first page of the same search in another state."""
        return replace(self, state=state, after="")

    def with_control(self, control: str) -> "Listing":
        """Return the first page of the same search with another verdict."""
        return replace(self, control=control, after="")

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
    def is_filtered(self) -> bool:
        """Tell whether one of the filters besides the verdict's is set."""
        return bool(self.reason or self.platform or self.group or self.since)

    @property
    def is_narrowed(self) -> bool:
        """Tell whether anything is left out."""
        return bool(self.search or self.state or self.control or self.after or self.is_filtered)


def read_listing(parameters: Mapping[str, str]) -> Listing:
    """Read the query of the list's address. Raises UnknownChoice for a state, a verdict or an order that doesn't exist,
    and for a search that is too long.

    Control characters are dropped (no database keeps NUL in a text), and parameters of other names passed over.
    """
    state = parameters.get("state", "")
    if state and state not in set(EnrollmentState):
        raise UnknownChoice(f"There is no state {state!r}; there are {', '.join(EnrollmentState)}.")
    control = parameters.get("control", "")
    if control and control not in set(ControlState):
        raise UnknownChoice(f"There is no verdict {control!r}; there are {', '.join(ControlState)}.")
    order = parameters.get("order", DeviceOrder.GRAVITY.value)
    if order not in ORDERS:
        raise UnknownChoice(f"There is no order {order!r}; there are {', '.join(sorted(ORDERS))}.")
    search = _printable(parameters.get("q", "")).strip()
    if len(search) > SEARCH_LIMIT:  # the first part of a query may well find others than the whole
        raise UnknownChoice(
            f"A search has {SEARCH_LIMIT:,} characters at most, and this one has {len(search):,}. "
            "Make a group of a part of the query, and name the group."
        )
    return Listing(
        search,
        state,
        DeviceOrder(order),
        _printable(parameters.get("after", "")),
        control,
        reason=_one_of(parameters, "reason", list(Reason)),
        platform=_one_of(parameters, "platform", list(OsFamily)),
        group=_printable(parameters.get("group", "")).strip()[:MAXIMUM_NAME],
        since=_one_of(parameters, "since", [str(days) for days in SINCE]),
    )


def _one_of(parameters: Mapping[str, str], name: str, words: Sequence[str]) -> str:
    chosen = parameters.get(name, "")
    if chosen and chosen not in words:
        raise UnknownChoice(f"There is no {name} {chosen!r}; there are {', '.join(words)}.")
    return chosen


def _is_right(search: str) -> bool:
    """Tell whether *search* is a query without a mistake."""
    if not reads_like_query(search):
        return False
    try:
        parse_query(search)
    except QueryError:
        return False
    return True


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
