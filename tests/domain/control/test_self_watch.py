"""Our own signs are read as an operator would: gaps, late workers, shares of errors."""

from datetime import UTC, datetime, timedelta

import pytest

from muster.domain.control.self_watch import (
    AUTHORITY_ENDS_SOON,
    BEAT_EVERY,
    DEAD_AFTER,
    LOOK_BACK,
    MAXIMUM_CLOCKS,
    NOTABLE_GAP,
    Bucket,
    DiskSpace,
    are_enough_to_differ,
    dead_workers,
    downtime,
    ends_soon,
    failing_since,
    is_failing,
    is_scarce,
    own_clock_error,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def buckets(*some: tuple[int, int, int]) -> list[Bucket]:
    """Each is how many minutes ago it began, how many were answered, how many failed."""
    return [Bucket(NOW - ago * MINUTE, answered, failed) for ago, answered, failed in some]


@pytest.mark.parametrize(
    ("gap", "is_downtime"),
    [(timedelta(0), False), (NOTABLE_GAP - MINUTE, False), (NOTABLE_GAP, True), (timedelta(days=7), True)],
)
def test_a_notable_gap_between_signs_of_life_is_a_downtime(gap: timedelta, is_downtime: bool) -> None:
    assert downtime(NOW - gap, NOW) == ((NOW - gap, NOW) if is_downtime else None)


def test_the_first_start_of_all_ends_no_downtime() -> None:
    assert downtime(None, NOW) is None


def test_a_worker_is_dead_that_lives_on_no_node() -> None:
    limit = DEAD_AFTER + BEAT_EVERY
    signs = [
        ("push", NOW - limit),
        ("push", NOW - 2 * limit),
        ("review", NOW - 2 * limit),
        ("review", NOW),
        ("sends", NOW - limit + MINUTE),
    ]

    assert dead_workers(signs, NOW) == {"push": NOW - limit}


@pytest.mark.parametrize(
    ("others", "error"),
    [
        ([], None),
        ([7200, 7200], None),
        ([7200, 7201, 7190], -7200),
        ([-7200, -7201, -7190], 7200),
        ([7200, 7200, -7200], None),
        ([7200, 7200, 7200, 7200, 86_400], -7200),
        ([7200, 7200, 7200, 9000, 86_400], None),
        ([1800, 3600, 7200], None),
        ([7000, 7200, 7500], -7200),
        ([6800, 7200, 7501], None),
    ],
)
def test_our_clock_is_wrong_where_devices_agree_on_another_time(others: list[int], error: int | None) -> None:
    assert own_clock_error(others) == error


@pytest.mark.parametrize(
    ("differing", "heard", "are_enough"),
    [(3, 0, True), (3, 12, True), (3, 13, False), (6, 1000, False), (MAXIMUM_CLOCKS, 100_000, True)],
)
def test_it_takes_a_part_of_all_that_are_heard(differing: int, heard: int, *, are_enough: bool) -> None:
    assert are_enough_to_differ(differing, heard) is are_enough


@pytest.mark.parametrize(
    ("lately", "was_failing", "fails"),
    [
        ([], False, False),
        ([(5, 100, 0)], False, False),
        ([(5, 2, 2)], False, False),
        ([(5, 3, 3)], False, True),
        ([(5, 100, 19)], False, False),
        ([(5, 100, 20)], False, True),
        ([(300, 2, 2), (200, 1, 1)], False, True),
        ([(300, 50, 50), (10, 50, 0)], False, False),
        ([(LOOK_BACK // MINUTE + 1, 50, 50)], False, False),
        ([(200, 17, 6), (100, 3, 0)], False, False),  # it has come right
        ([(200, 17, 6), (5, 3, 1)], False, True),
        ([(10, 100, 6)], True, True),
        ([(10, 100, 4)], True, False),
        ([(300, 9, 9)], True, True),
        ([(300, 9, 9), (200, 1, 0)], True, False),
        ([(10, 9, 9), (5, 1, 0)], True, True),
        ([(5, 100, 0)], True, False),
    ],
)
def test_errors_are_an_outage_by_their_share(
    lately: list[tuple[int, int, int]], was_failing: bool, fails: bool
) -> None:
    assert is_failing(buckets(*lately), NOW, was_failing=was_failing) is fails


def test_failing_began_after_the_last_time_without_errors() -> None:
    lately = buckets((60, 5, 5), (50, 5, 0), (40, 5, 1), (30, 5, 5))

    assert failing_since(lately, NOW) == NOW - 40 * MINUTE


GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "total", "was_scarce", "expected"),
    [
        (1.1 * GIB, 20 * GIB, False, False),
        (0.9 * GIB, 20 * GIB, False, True),
        (1.4 * GIB, 20 * GIB, True, True),
        (1.6 * GIB, 20 * GIB, True, False),
        (6 * GIB, 4000 * GIB, False, False),  # of a large one no share counts
        (4 * GIB, 4000 * GIB, False, True),
        (0, 0, False, False),  # it doesn't say how large it is
    ],
)
def test_a_disk_is_scarce_by_its_share_or_by_what_is_left(
    free: float, total: float, was_scarce: bool, expected: bool
) -> None:
    assert is_scarce(DiskSpace(int(free), int(total)), was_scarce=was_scarce) is expected


def test_an_authority_ends_soon_while_there_is_time_for_another() -> None:
    assert not ends_soon(NOW + AUTHORITY_ENDS_SOON + timedelta(seconds=1), NOW)
    assert ends_soon(NOW + AUTHORITY_ENDS_SOON, NOW)
    assert ends_soon(NOW - timedelta(days=1), NOW)
