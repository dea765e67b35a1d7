"""Check-ins of another server's devices through the familiar door."""

import pytest
from tests.support.familiar_door import KEY, FamiliarDoor
from tests.support.site import MAC, Site, authenticate, head, token_update

from muster.domain.enrollment import EnrollmentState
from muster.protocol.checkin import encode_checkin
from muster.protocol.connect import Report, encode_report


@pytest.fixture
def door(site: Site) -> FamiliarDoor:
    """The door of a site that takes devices over."""
    return FamiliarDoor(site, takes_over=True)


def test_check_ins_are_heard_and_answered_with_nothing(door: FamiliarDoor) -> None:
    replies = [door.ask("PUT", "/migration", encode_checkin(one)) for one in (authenticate(), token_update())]

    assert [(one.status, one.body) for one in replies] == [(200, b"")] * 2
    assert door.site.enrollment(MAC).state is EnrollmentState.ENROLLED


@pytest.mark.parametrize("body", [b"", b"no plist", encode_report(Report(head()))])
def test_what_is_no_check_in_is_a_bad_request(door: FamiliarDoor, body: bytes) -> None:
    reply = door.ask("PUT", "/migration", body)

    assert (reply.status, reply.body) == (400, b"Bad Request\n")


def test_token_update_of_nobody_is_an_error(door: FamiliarDoor) -> None:
    reply = door.ask("PUT", "/migration", encode_checkin(token_update()))

    assert (reply.status, reply.body) == (500, b"Internal Server Error\n")


def test_key_is_wanted_here_too(door: FamiliarDoor) -> None:
    reply = door.browser.ask("PUT", "/migration", (("authorization", f"Basic {KEY}"),), encode_checkin(authenticate()))

    assert reply.status == 401
    assert not door.site.is_known(MAC)


def test_where_nobody_is_taken_over_there_is_no_such_address(site: Site) -> None:
    reply = FamiliarDoor(site).ask("PUT", "/migration", encode_checkin(authenticate()))

    assert reply.status == 404
