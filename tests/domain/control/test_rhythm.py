"""The sketch of a rhythm: the days of contact, folded into a few bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.control.rhythm import SKETCH_BYTES, SKETCH_DAYS, fold_rhythm, read_rhythm

TODAY = 20_000


def folded(*days: int) -> bytes:
    sketch = fold_rhythm(None, days[0])
    for day in days[1:]:
        sketch = fold_rhythm(sketch, day)
    return sketch


@given(st.lists(st.integers(TODAY, TODAY + 400), min_size=1, max_size=60).map(sorted))
def test_sketch_knows_the_days_of_its_weeks_and_no_others(days: list[int]) -> None:
    rhythm = read_rhythm(folded(*days))

    known = {day for day in range(TODAY - 10, TODAY + 500) if rhythm.was_heard(day)}
    assert known == {day for day in days if days[-1] - day < SKETCH_DAYS}
    assert (rhythm.first_day, rhythm.last_day) == (min(known), days[-1])


def test_second_contact_of_a_day_leaves_the_sketch_as_it_is() -> None:
    sketch = folded(TODAY, TODAY + 1)

    assert fold_rhythm(sketch, TODAY + 1) is sketch


def test_contact_by_a_clock_set_back_leaves_the_sketch_as_it_is() -> None:
    sketch = folded(TODAY)

    assert fold_rhythm(sketch, TODAY - 3) is sketch


@pytest.mark.parametrize("days", [[TODAY], [TODAY, TODAY + SKETCH_DAYS - 1], list(range(TODAY, TODAY + 500))])
def test_sketch_is_always_of_one_size(days: list[int]) -> None:
    assert len(folded(*days)) == SKETCH_BYTES


def test_what_is_no_sketch_is_not_read() -> None:
    with pytest.raises(ValueError, match="20 bytes, not 3"):
        read_rhythm(b"abc")
