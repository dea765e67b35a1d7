"""The form of log lines."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from muster.bootstrap.logs import set_up_logs
from muster.settings import read_settings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize(("logger", "name"), [("uvicorn.error", "uvicorn"), ("alembic.migration", "alembic.migration")])
def test_line_of_a_library_names_its_logger_but_calls_no_ordinary_line_an_error(logger: str, name: str) -> None:
    written = io.StringIO()
    set_up_logs(read_settings({}, {}), written)

    logging.getLogger(logger).warning("Shutting down")

    line = json.loads(written.getvalue())
    assert (line["logger"], line["level"], line["event"]) == (name, "warning", "Shutting down")
