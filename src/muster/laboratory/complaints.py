"""What the server says in its log while it is played with: nothing is printed, warnings and errors are counted."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from structlog.typing import EventDict, WrappedLogger


@dataclass(slots=True)
class Complaints:
    """Events of level warning and above. *faults* has the traceback of each exception that the server caught."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def hear(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Count *event* and keep it from being printed."""
        self.counts[str(event["event"])] += 1
        if event.get("exc_info"):
            self.faults.append(f"{event['event']}\n{traceback.format_exc()}")
        raise structlog.DropEvent


@contextmanager
def heard_complaints() -> Iterator[Complaints]:
    """Listen to the log of this process, which stays silent meanwhile; what was configured before comes back."""
    complaints = Complaints()
    was_configured, before = structlog.is_configured(), structlog.get_config()
    structlog.configure(
        processors=[complaints.hear],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield complaints
    finally:
        if was_configured:
            structlog.configure(**before)
        else:
            structlog.reset_defaults()
