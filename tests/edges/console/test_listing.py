"""The list's address."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.control.reasons import Reason
from muster.domain.enrollment import EnrollmentState
from muster.domain.queries.parser import parse_query
from muster.edges.console.listing import ORDERS, SINCE, Listing, UnknownChoice, read_listing
from muster.operations.views.device_lists import DeviceOrder
from muster.protocol.os_family import OsFamily

NAMES = ("q", "state", "order", "after", "reason", "group", "since", "platform")
printable = st.text(st.characters(exclude_categories=("C", "Z"))).map(lambda text: text[:200])


@given(
    st.builds(
        Listing,
        search=printable,
        state=st.sampled_from(["", *EnrollmentState]).map(str),
        order=st.sampled_from(sorted(ORDERS)),
        after=printable,
        reason=st.sampled_from(["", *Reason]).map(str),
        platform=st.sampled_from(["", *OsFamily]).map(str),
        group=printable.map(lambda text: text.strip()[:64]),
        since=st.sampled_from(["", *map(str, SINCE)]),
    )
)
def test_what_is_written_is_read(listing: Listing) -> None:
    query = urlsplit(listing.url()).query

    assert read_listing(dict(parse_qsl(query))) == listing


@given(
    st.dictionaries(
        st.sampled_from(["q", "state", "order", "after", "reason", "group", "since", "platform", "else"]), st.text()
    )
)
def test_any_address_is_understood_or_refused(parameters: dict[str, str]) -> None:
    try:
        listing = read_listing(parameters)
    except UnknownChoice:
        return

    assert listing.search.isprintable()
    assert listing.after.isprintable()


def test_what_is_as_usual_is_left_out() -> None:
    assert Listing().url() == "/devices"


@pytest.mark.parametrize("changed", ["with_state", "with_order", "from_start"])
def test_another_choice_begins_at_the_first_page(changed: str) -> None:
    listing = Listing(search="mac", after="D99")
    made = {
        "with_state": listing.with_state("ended"),
        "with_order": listing.with_order(DeviceOrder.SILENT),
        "from_start": listing.from_start(),
    }[changed]

    assert (made.search, made.after) == ("mac", "")


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (Listing(), "id is known"),
        (Listing(search="state = 'enrolled'"), "state = 'enrolled'"),
        (
            Listing(search="it's", control="quiet"),
            (
                "(name contains 'it''s' or serial contains 'it''s' or model contains 'it''s' or id contains 'it''s')"
                " and control = 'quiet'"
            ),
        ),
        (
            Listing(search="is_lost or is_paused", platform="macOS", since="7"),
            (
                "(is_lost or is_paused) and platform = 'macOS'"
                " and control not in ('in_control', 'ended') and control_since < 7 days ago"
            ),
        ),
        (Listing(reason="silent", group="O'Neill's"), "reason = 'silent' and group = 'O''Neill''s'"),
    ],
)
def test_what_the_list_shows_is_a_query(listing: Listing, expected: str) -> None:
    parse_query(expected)

    assert listing.as_query() == expected


@given(search=printable, group=printable.map(lambda text: text.strip()[:64]))
def test_whatever_is_typed_stays_a_value_of_the_query(search: str, group: str) -> None:
    listing = read_listing({"q": f"x{search}", "group": group, "reason": "silent"})

    where = listing.query().where

    assert where.startswith("reason = 'silent'") or listing.query().search == ""
    parse_query(where)


def test_filters_narrow_a_query_and_leave_a_wrong_one_to_be_said() -> None:
    right, wrong = (Listing(search=text, reason="silent").query() for text in ("is_lost or is_paused", "is_lost or"))

    assert (right.search, right.where) == ("", "(is_lost or is_paused) and reason = 'silent'")
    assert wrong.search == "is_lost or"
