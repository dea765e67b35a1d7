"""How many devices may be disrupted within an hour."""

import pytest

from muster.domain.disruption import within_disruption_limit
from muster.domain.errors import RefusalCode


@pytest.mark.parametrize(
    ("wanted", "counted", "named_count", "expected"),
    [
        (3, 7, None, None),
        (4, 7, None, RefusalCode.DISRUPTIONS_LIMITED),
        (0, 99, None, None),
        (400, 7, 400, None),
        (400, 0, 399, RefusalCode.COUNT_WRONG),
    ],
)
def test_limit_holds_unless_the_count_is_named_exactly(
    wanted: int, counted: int, named_count: int | None, expected: RefusalCode | None
) -> None:
    refusal = within_disruption_limit(
        "DeviceLock", wanted=wanted, counted=counted, limit=10, named_count=named_count, given=wanted
    )

    assert (None if refusal is None else refusal.code) is expected
