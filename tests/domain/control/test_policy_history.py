"""What was set at a time that is past is told by the acts that set it."""

from datetime import UTC, datetime, timedelta

from muster.domain.control.policy_history import ALL, ORDER, RENAME, SET, PolicyAct, SetThen, set_after

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ACTS = (
    PolicyAct(SET, "school", {"tolerance": "3d", "former_tolerance": None}, NOON),
    PolicyAct(SET, "labs, east", {"tolerance": "9d", "former_tolerance": None}, NOON + HOUR),
    PolicyAct(SET, ALL, {"proof_window": "7d", "former_proof_window": None}, NOON + 2 * HOUR),
    PolicyAct(ORDER, "groups", {"order": "labs, east, school"}, NOON + 3 * HOUR),
    PolicyAct(RENAME, "school", {"new_name": "high school"}, NOON + 4 * HOUR),
    PolicyAct(RENAME, "nothing is set for it", {"new_name": "another"}, NOON + 4 * HOUR),
    PolicyAct(SET, "high school", {"agent": "edr", "tolerance": None, "former_tolerance": "3d"}, NOON + 5 * HOUR),
    PolicyAct(SET, "labs, east", {"tolerance": None, "former_tolerance": "9d"}, NOON + 6 * HOUR),
    PolicyAct(SET, "labs, east", {"tolerance": "2d", "former_tolerance": None}, NOON + 7 * HOUR),
)
OF_ALL = SetThen(None, {"proof_window": "7d"}, NOON + 2 * HOUR)


def test_nothing_is_set_before_the_first_act() -> None:
    assert set_after([]) == ()


def test_each_time_has_what_was_set_by_then_in_the_order_in_which_it_decided() -> None:
    school, labs = (
        SetThen("school", {"tolerance": "3d"}, NOON),
        SetThen("labs, east", {"tolerance": "9d"}, NOON + HOUR),
    )

    assert set_after(ACTS[:2]) == (school, labs)
    assert set_after(ACTS[:3]) == (OF_ALL, school, labs)
    assert set_after(ACTS[:4]) == (OF_ALL, labs, school)
    assert [one.group for one in set_after(ACTS[:6])] == [None, "labs, east", "high school"]


def test_what_is_unset_is_gone_and_comes_last_when_it_is_set_again() -> None:
    high_school = SetThen("high school", {"agent": "edr"}, NOON + 5 * HOUR)

    assert set_after(ACTS[:8]) == (OF_ALL, high_school)
    assert set_after(ACTS) == (OF_ALL, high_school, SetThen("labs, east", {"tolerance": "2d"}, NOON + 7 * HOUR))
