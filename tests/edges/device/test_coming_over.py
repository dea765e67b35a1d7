"""A device that came over from another server connects as it did there, by the identity that it got there."""

from collections.abc import Iterator

import pytest
from tests.edges.device.doors import CHECKIN_TYPE, CONNECT_TYPE, Doors
from tests.support.site import MAC, Site, authenticate, authority, head, identity_of, print_of, token_update

from muster.operations.adopt_enrollments import migrate_checkins
from muster.protocol.checkin import encode_checkin
from muster.protocol.command import decode_command
from muster.protocol.connect import Report, encode_report

ELSEWHERE = 7
IDENTITY = identity_of(1, ELSEWHERE)
IDLE = encode_report(Report(head()))


@pytest.fixture
def doors(site: Site) -> Iterator[Doors]:
    """The doors of a site to which a Mac was handed over, its identity unknown."""
    doors = Doors(site, adopted_der=(authority(ELSEWHERE).certificate_der,))
    site.do(migrate_checkins, *(encode_checkin(one) for one in (authenticate(), token_update())))
    yield doors
    doors.close()


def test_first_contact_shows_who_it_is_and_gets_its_command(doors: Doors) -> None:
    doors.site.queue("C1")

    reply = doors.put(IDLE, IDENTITY, content_type=CONNECT_TYPE)

    assert reply.status == 200
    assert decode_command(reply.body).command_uuid == "C1"
    assert doors.site.enrollment().pins.current == print_of(IDENTITY)


def test_first_word_may_be_a_check_in(doors: Doors) -> None:
    update = encode_checkin(token_update(push_magic="another"))

    replies = [doors.put(update, IDENTITY, content_type=CHECKIN_TYPE) for _ in range(2)]

    assert [one.status for one in replies] == [200, 200]


@pytest.mark.parametrize("stranger", [identity_of(2, 3), identity_of(3, 0)])
def test_stranger_is_refused_and_the_device_still_awaited(doors: Doors, stranger: object) -> None:
    assert doors.put(IDLE, stranger, content_type=CONNECT_TYPE).status in (400, 403)  # type: ignore[arg-type]  # as listed

    assert doors.put(IDLE, IDENTITY, content_type=CONNECT_TYPE).status == 200


def test_who_comes_second_is_refused(doors: Doors) -> None:
    doors.put(IDLE, IDENTITY, content_type=CONNECT_TYPE)

    reply = doors.put(IDLE, identity_of(2, ELSEWHERE), content_type=CONNECT_TYPE)

    assert reply.status in (400, 403)
    assert doors.site.enrollment(MAC).pins.current == print_of(IDENTITY)
