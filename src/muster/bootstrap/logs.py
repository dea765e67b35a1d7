"""Structured logs on standard error: one JSON object a line, or text for people."""

import logging
import re
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

from muster.bootstrap.log_floods import FloodGate
from muster.settings import Settings

QUIET_LOGGERS = ("alembic", "uvicorn.access", "asyncio")
"""Libraries that say nothing an operator needs below a warning."""


_ORDERS: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys; values have it from devices. Lines' ends stand in tracebacks, and in values never."""


def set_up_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line of this process, ours and the libraries', to *stream* (standard error) in one form."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    is_json = settings.log_format == "json"
    if is_json:
        shared.append(structlog.processors.format_exc_info)
    # Python's plain tracebacks: structlog's own choice prints the values of variables, secret ones among them, and
    # takes seconds of the processor for each
    text = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)

    def as_text(logger: object, method: str, event: EventDict) -> str:
        return _ORDERS.sub(_escaped, str(text(logger, method, event)))

    renderer: Processor = structlog.processors.JSONRenderer() if is_json else as_text
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_server],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            FloodGate(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # what is below the level costs nothing: its methods do nothing
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _name_server(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Call uvicorn's logger by its plain name: all it has to say comes from "uvicorn.error", errors or not."""
    if event.get("logger") == "uvicorn.error":
        event["logger"] = "uvicorn"
    return event
