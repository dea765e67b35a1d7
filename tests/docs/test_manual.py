"""The manual says what the code does."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from muster.cli.manual import push_times, query_fields, settings_page, simulator_page
from muster.domain.push_breaker import BreakerCause
from muster.domain.push_policy import NoPush, PushReason
from muster.domain.push_standing import Standing
from muster.domain.queries.parser import parse_query
from muster.protocol.apns import OutcomeClass
from muster.simulator.responders import RESPONDERS

MANUAL = Path(__file__).parents[2] / "docs" / "manual"


def test_the_page_of_settings_is_the_list_of_settings() -> None:
    page = (MANUAL / "settings.md").read_text()

    assert page == settings_page(), "run `make manual`"


def test_the_fields_of_queries_are_those_of_the_code() -> None:
    assert query_fields() in (MANUAL / "queries.md").read_text(), "put in what query_fields() returns"


def test_the_examples_of_queries_are_queries() -> None:
    page = (MANUAL / "queries.md").read_text()
    examples = re.findall(r'--where "(.+?)"', page) + re.findall(r"^    (.+)$", page, re.MULTILINE)

    assert len(examples) > 10
    for example in examples:
        parse_query(example)


def test_the_times_of_pushing_are_those_of_the_code() -> None:
    assert push_times() in (MANUAL / "push.md").read_text(), "put in what push_times() returns"


@pytest.mark.parametrize("words", [Standing, PushReason, NoPush, OutcomeClass, BreakerCause])
def test_every_word_about_pushing_has_a_row_in_its_page(words: type[StrEnum]) -> None:
    page = (MANUAL / "push.md").read_text()

    assert [word.value for word in words if f"| `{word.value}` |" not in page] == []


def test_the_page_of_simulated_devices_names_every_command_that_they_answer() -> None:
    page = (MANUAL / "simulator.md").read_text()

    assert page == simulator_page(), "run `make manual`"
    assert len(RESPONDERS) >= 40
    assert [name for name in RESPONDERS if f"| `{name}` |" not in page] == []
