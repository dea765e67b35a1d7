"""How many devices may be erased, locked, restarted or shut down within an hour: a slip must not stop a fleet."""

from datetime import timedelta

from muster.domain.errors import Refusal, RefusalCode

DISRUPTIONS_COUNTED_FOR = timedelta(hours=1)
"""For how long an order counts towards the limit."""


def within_disruption_limit(
    request_type: str, *, wanted: int, counted: int, limit: int, named_count: int | None, given: int
) -> Refusal | None:
    """Tell why *wanted* more channels can't be sent *request_type* now, or None when they can.

    *counted* commands that disrupt work were ordered within the last hour, of at most *limit*. Who names the count of
    the *given* channels exactly means them all, and is not limited.
    """
    if named_count is not None and named_count != given:
        return Refusal(
            RefusalCode.COUNT_WRONG,
            f"the count named is {named_count}, and {given} channels are given",
            "Look at them again; nothing was sent.",
        )
    if named_count is not None or wanted == 0 or counted + wanted <= limit:
        return None
    return Refusal(
        RefusalCode.DISRUPTIONS_LIMITED,
        f"{wanted} more {request_type} would make {counted + wanted} devices erased, locked, restarted or shut down "
        f"within an hour; the limit is {limit}",
        f"If all of them are meant, say how many: --count {given}.",
    )
