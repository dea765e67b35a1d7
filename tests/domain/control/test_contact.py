"""Contacts are ticks in the day's strip: none is lost, and no day is."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.control.contact import (
    EMPTY_STRIP,
    SLOT,
    SLOTS_PER_DAY,
    STRIP_BYTES,
    ContactDay,
    contacts_of,
    fold_contact,
)

DAY = (NOON - datetime(1970, 1, 1, tzinfo=UTC)).days
MIDNIGHT = NOON - timedelta(hours=12)
_INSTANTS = st.integers(0, 5 * 24 * 3600 - 1).map(lambda seconds: MIDNIGHT + timedelta(seconds=seconds))


def test_day_has_a_bit_for_each_five_minutes() -> None:
    assert (SLOTS_PER_DAY, STRIP_BYTES, len(EMPTY_STRIP)) == (288, 36, 36)


def test_first_contact_begins_a_strip() -> None:
    folded = fold_contact(None, NOON)

    assert folded.finished is None
    assert folded.current.day == DAY
    assert contacts_of(folded.current) == (NOON,)


def test_first_and_last_slot_of_a_day_are_ticked() -> None:
    first = fold_contact(None, MIDNIGHT).current
    both = fold_contact(first, MIDNIGHT + timedelta(days=1, microseconds=-1)).current

    assert both.strip == b"\x01" + bytes(34) + b"\x80"
    assert contacts_of(both) == (MIDNIGHT, MIDNIGHT + timedelta(days=1) - SLOT)


def test_contact_on_a_later_day_hands_on_the_finished_one() -> None:
    finished = fold_contact(None, NOON).current

    folded = fold_contact(finished, NOON + timedelta(days=3))

    assert folded.finished == finished
    assert contacts_of(folded.current) == (NOON + timedelta(days=3),)


def test_contact_before_the_strips_day_loses_no_day() -> None:
    current = fold_contact(None, NOON).current

    folded = fold_contact(current, NOON - timedelta(days=1))

    assert folded.finished is None
    assert contacts_of(folded.current) == (MIDNIGHT, NOON)


@given(st.lists(_INSTANTS, min_size=1, max_size=40))
def test_every_contact_in_order_is_found_again(instants: list[datetime]) -> None:
    kept: list[ContactDay] = []
    current: ContactDay | None = None
    for at in sorted(instants):
        folded = fold_contact(current, at)
        kept += [folded.finished] if folded.finished else []
        current = folded.current
    assert current is not None

    found = [slot for day in [*kept, current] for slot in contacts_of(day)]
    assert found == sorted({MIDNIGHT + (at - MIDNIGHT) // SLOT * SLOT for at in instants})


@given(st.lists(_INSTANTS, min_size=1, max_size=20))
def test_strip_never_changes_its_length_and_no_day_comes_twice(instants: list[datetime]) -> None:
    finished: list[int] = []
    current: ContactDay | None = None
    for at in instants:
        folded = fold_contact(current, at)
        finished += [folded.finished.day] if folded.finished else []
        current = folded.current

        assert len(current.strip) == STRIP_BYTES
    assert finished == sorted(set(finished))
