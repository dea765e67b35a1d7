"""A refused contact is evidence of the device whose identity signed it, whoever it claims to be; else a rumour."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, IPAD, MAC, SOURCE, Site, authenticate, id_of, print_of

from muster.domain.errors import RefusalCode
from muster.operations.record_refusals import RefusedContact, record_refusals
from muster.protocol.identifiers import ChannelId
from muster.storage import schema

BAD, UNKNOWN = RefusalCode.BODY_MALFORMED, RefusalCode.IDENTITY_UNKNOWN


def refuse(
    site: Site,
    fingerprint: bytes | None,
    claimed: ChannelId | None = None,
    *,
    code: RefusalCode = BAD,
    source: str = SOURCE,
) -> None:
    assert site.do(record_refusals, RefusedContact(code, claimed, fingerprint, source, site.now)) == [None]


def test_contact_under_a_bound_identity_is_evidence_of_its_device(site: Site) -> None:
    identity = site.enroll()

    refuse(site, print_of(identity), id_of(MAC))

    assert ("S2", "body_malformed", 1) in site.evidence()
    assert site.rumours() == []


@pytest.mark.parametrize("claimed", [id_of(IPAD), id_of(ADA), ChannelId("nobody"), None])
def test_it_is_evidence_of_that_device_whatever_it_claims(site: Site, claimed: ChannelId | None) -> None:
    identity = site.enroll()
    site.enroll(IPAD)

    refuse(site, print_of(identity), claimed)

    table = schema.evidence
    assert site.rows(
        sa.select(table.c.channel_id, table.c.detail, table.c.source, table.c.epoch).where(table.c.signal == "S2")
    ) == [(id_of(MAC), {"claimed_id": claimed}, SOURCE, 1)]
    assert site.rumours() == []


def test_its_owner_is_told_once_of_each_device_that_came_by_it(site: Site) -> None:
    identity = site.enroll()
    for claimed in (id_of(IPAD), id_of(IPAD), id_of(MAC), id_of(ADA), None):
        refuse(site, print_of(identity), claimed)

    assert [one for one in site.evidence() if one[1] == "cloned"] == [("S7", "cloned", 1)]


def test_identity_of_a_life_that_is_over_still_vouches(site: Site) -> None:
    former = site.enroll()
    site.enroll()

    refuse(site, print_of(former), id_of(MAC))

    assert ("S2", "body_malformed", 1) in site.evidence()


def test_identity_of_an_enrollment_that_is_not_complete_vouches_too(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)

    refuse(site, print_of(identity), id_of(MAC))

    assert ("S2", "body_malformed", 1) in site.evidence()


@pytest.mark.parametrize("kind", ["no signature", "a stranger's", "one nobody used"])
def test_contact_that_nobody_vouches_for_is_a_rumour_and_touches_no_device(site: Site, kind: str) -> None:
    site.enroll()
    unused = print_of(site.identity())
    before, enrollment = site.evidence(), site.enrollment()

    refuse(site, {"no signature": None, "a stranger's": b"\x66" * 32, "one nobody used": unused}[kind], id_of(MAC))

    assert site.rumours() == [(id_of(MAC), "body_malformed", 1)]
    assert (site.evidence(), site.enrollment()) == (before, enrollment)


def test_rumour_of_nobody_in_particular_is_kept_too(site: Site) -> None:
    refuse(site, None)

    assert site.rumours() == [("", "body_malformed", 1)]


def test_repeats_are_counted_each_reason_apart(site: Site) -> None:
    identity = site.enroll()
    for code, fingerprint in ((BAD, print_of(identity)), (UNKNOWN, None)):
        for _ in range(3):
            site.wait(seconds=1)
            refuse(site, fingerprint, id_of(MAC), code=code)
    refuse(site, None, id_of(MAC), code=BAD)

    assert ("S2", "body_malformed", 3) in site.evidence()
    assert site.rumours() == [(id_of(MAC), "body_malformed", 1), (id_of(MAC), "identity_unknown", 3)]


def test_rumour_knows_its_first_time_its_last_and_the_last_address(site: Site) -> None:
    first = site.now
    refuse(site, None, id_of(MAC), source="192.0.2.1")
    site.wait(hours=1)
    refuse(site, None, id_of(MAC), source="192.0.2.2")

    table = schema.rumours
    assert site.rows(sa.select(table.c.first_at, table.c.last_at, table.c.source)) == [
        (first, first + timedelta(hours=1), "192.0.2.2")
    ]


def test_many_contacts_are_recorded_together(site: Site) -> None:
    identity = site.enroll()
    contacts = [
        RefusedContact(BAD, id_of(MAC), print_of(identity), SOURCE, site.now),
        RefusedContact(UNKNOWN, id_of(IPAD), None, SOURCE, site.now),
        RefusedContact(BAD, id_of(MAC), print_of(identity), SOURCE, site.now),
    ]

    assert site.do(record_refusals, *contacts) == [None] * 3
    assert ("S2", "body_malformed", 2) in site.evidence()
    assert site.rumours() == [(id_of(IPAD), "identity_unknown", 1)]
