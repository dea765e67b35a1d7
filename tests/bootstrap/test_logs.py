"""The form of log lines."""

import io
import json
import logging

import pytest
import structlog

from muster.bootstrap.logs import set_up_logs
from muster.settings import read_settings

pytestmark = pytest.mark.usefixtures("_as_before")


@pytest.mark.parametrize(("logger", "name"), [("uvicorn.error", "uvicorn"), ("alembic.migration", "alembic.migration")])
def test_line_of_a_library_names_its_logger_but_calls_no_ordinary_line_an_error(logger: str, name: str) -> None:
    written = io.StringIO()
    set_up_logs(read_settings({}, {}), written)

    logging.getLogger(logger).warning("Shutting down")

    line = json.loads(written.getvalue())
    assert (line["logger"], line["level"], line["event"]) == (name, "warning", "Shutting down")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_traceback_names_the_error_and_no_value_of_any_variable(log_format: str) -> None:
    written = io.StringIO()
    set_up_logs(read_settings({"log_format": log_format}, {}), written)
    secret = "unlock-token"

    try:
        raise ValueError(f"of {len(secret)} characters")
    except ValueError:
        structlog.get_logger("test").exception("tripped")

    assert "ValueError: of 12 characters" in written.getvalue()
    assert secret not in written.getvalue()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_value_makes_a_line_of_its_own_or_gives_the_terminal_orders(log_format: str) -> None:
    written = io.StringIO()
    set_up_logs(read_settings({"log_format": log_format}, {}), written)

    structlog.get_logger("test").warning("told", serial="A\r\nB\x1b]0;title\x07\x9b31m\u202e\u2028")

    line = written.getvalue()
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert line[:-1].isprintable()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_an_error_says_gives_the_terminal_no_orders(log_format: str) -> None:
    written = io.StringIO()
    set_up_logs(read_settings({"log_format": log_format}, {}), written)

    try:
        raise ValueError("A\x1b]0;title\x07\x9b31m\u202e")
    except ValueError:
        structlog.get_logger("test").exception("tripped")
    logging.getLogger("uvicorn.error").warning("from a library: \x1b[31m")

    assert all(line.isprintable() for line in written.getvalue().split("\n"))


def test_addresses_of_requests_are_not_logged_for_links_are_secrets() -> None:
    written = io.StringIO()
    set_up_logs(read_settings({"log_level": "debug"}, {}), written)
    set_up_logs(read_settings({}, {}), written)

    logging.getLogger("uvicorn.access").info('"GET /sign-in/secret HTTP/1.1" 200')

    assert written.getvalue() == ""
