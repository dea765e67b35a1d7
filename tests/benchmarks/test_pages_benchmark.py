"""The benchmark of pages does what it says; how fast anything is, no test asserts."""

from benchmarks.pages import PAGES, Measured, format_table, measure


def test_every_page_is_asked_for_and_answered() -> None:
    measured = measure(500, ["sqlite"])

    assert [one.page for one in measured] == [page for page, _ in PAGES]
    assert all(one.size > 1000 for one in measured)


def test_a_page_that_takes_too_long_is_marked() -> None:
    _, slow, quick, _ = format_table([_measured("slow", 201.0), _measured("quick", 199.0)]).splitlines()

    assert "201*" in slow
    assert "*" not in quick


def _measured(page: str, milliseconds: float) -> Measured:
    return Measured("sqlite", page, milliseconds, milliseconds, milliseconds, 0.0, 2000)
