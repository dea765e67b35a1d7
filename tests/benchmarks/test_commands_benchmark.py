"""The benchmark of commands to a fleet does what it says; how fast anything is, no test asserts."""

from benchmarks.commands import OTHERS, Measured, format_table, measure

from muster.domain.queries.parser import parse_query


def test_every_device_gets_the_command_and_answers_it() -> None:
    measured = measure(150, ["sqlite"])

    assert {one.what: one.count for one in measured if one.what in ("queue", "drain")} == {"queue": 150, "drain": 150}


def test_queries_that_are_measured_are_queries() -> None:
    assert [parse_query(text) for text in OTHERS]


def test_table_has_seconds_and_what_each_costs() -> None:
    rows = format_table([Measured("sqlite", "queue", 1000, 2.5, 0.1, 0.02)]).splitlines()

    assert rows[1].split() == ["sqlite", "queue", "1,000", "2.50", "100", "20"]
