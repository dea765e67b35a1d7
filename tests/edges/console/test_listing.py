"""The list's address."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.domain.enrollment import EnrollmentState
from muster.edges.console.listing import ORDERS, Listing, UnknownChoice, read_listing
from muster.operations.views.devices import DeviceOrder

printable = st.text(st.characters(exclude_categories=("C", "Z"))).map(lambda text: text[:200])


@given(
    st.builds(
        Listing,
        search=printable,
        state=st.sampled_from(["", *EnrollmentState]).map(str),
        order=st.sampled_from(sorted(ORDERS)),
        after=printable,
    )
)
def test_what_is_written_is_read(listing: Listing) -> None:
    query = urlsplit(listing.url()).query

    assert read_listing(dict(parse_qsl(query))) == listing


@given(st.dictionaries(st.sampled_from(["q", "state", "order", "after", "else"]), st.text()))
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
