"""How many a command by query may go to, and when they are woken."""

from datetime import timedelta

import pytest
from tests.support.runner import NOW

from muster.domain.bulk_sends import WOKEN_PER_SECOND, is_disruptive, wake_at, wrong_count
from muster.domain.errors import RefusalCode


@pytest.mark.parametrize(
    ("disruptive", "matched", "named", "code"),
    [
        (False, 1000, None, None),
        (False, 1000, 1000, None),
        (False, 1000, 999, RefusalCode.COUNT_WRONG),
        (False, 0, None, RefusalCode.NOT_FOUND),
        (True, 1, None, RefusalCode.COUNT_WRONG),
        (True, 1000, 1000, None),
        (True, 1001, 1000, RefusalCode.COUNT_WRONG),
        (True, 0, 1, RefusalCode.NOT_FOUND),
    ],
)
def test_count_is_named_where_work_is_stopped_and_never_wrong(
    disruptive: bool, matched: int, named: int | None, code: RefusalCode | None
) -> None:
    refusal = wrong_count("DeviceLock", is_disruptive=disruptive, matched=matched, named_count=named)

    assert (None if refusal is None else refusal.code) is code


@pytest.mark.parametrize(
    ("request_type", "removes", "expected"),
    [("EraseDevice", False, True), ("RemoveProfile", True, True), ("RemoveProfile", False, False)],
)
def test_what_stops_work_or_ends_enrollments_is_disruptive(request_type: str, removes: bool, expected: bool) -> None:
    assert is_disruptive(request_type, removes_enrollment=removes) is expected


@pytest.mark.parametrize(
    ("queued", "elapsed", "expected"),
    [(0, 0, 0), (WOKEN_PER_SECOND * 10, 0, 10), (WOKEN_PER_SECOND * 10, 4, 10), (WOKEN_PER_SECOND * 10, 60, 60)],
)
def test_fleet_is_woken_at_a_pace(queued: int, elapsed: int, expected: int) -> None:
    now = NOW + timedelta(seconds=elapsed)

    at = wake_at(now, NOW, queued, timedelta(seconds=2))

    assert at == NOW + timedelta(seconds=expected + 2)
