"""Devices that are taken for one another: a serial number twice, and one identity on two devices."""

from dataclasses import replace

import sqlalchemy as sa
from tests.support.site import IPAD, MAC, Site, authenticate, id_of, token_update

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.checkin import CheckinAnswer
from muster.operations.note_clones import CLONES_NAMED
from muster.protocol.identifiers import Identifiers
from muster.storage import schema

BOARD = Identifiers(udid="NEW-BOARD")


def subscribe(site: Site) -> None:
    insert = sa.insert(schema.subscriptions).values(id="s", name="s", created_at=site.now)
    site.engine.write(lambda tx: tx.connection.execute(insert))


def events(site: Site) -> list[tuple[object, ...]]:
    columns = schema.outbox.c
    return site.rows(
        sa.select(columns.event_type, columns.channel_id, columns.detail)
        .where(columns.event_type.in_(["device.same_serial", "device.identity_cloned"]))
        .order_by(columns.channel_id, columns.sequence)
    )


def details(site: Site, identifiers: Identifiers, observed_class: str) -> list[dict[str, object]]:
    columns = schema.evidence.c
    select = sa.select(columns.detail).where(
        columns.channel_id == id_of(identifiers), columns.observed_class == observed_class
    )
    return [detail for (detail,) in site.rows(select.order_by(columns.first_at))]


def test_known_serial_under_a_new_udid_is_a_new_device_linked_to_the_one_it_was(site: Site) -> None:
    subscribe(site)
    old = site.identity()
    site.check_in(replace(authenticate(), serial_number="C02XK1"), old)
    site.check_in(token_update(), old)
    new = site.identity()

    outcome = site.check_in(replace(authenticate(BOARD), serial_number="C02XK1"), new)
    site.check_in(replace(authenticate(BOARD), serial_number="C02XK1"), new)

    assert isinstance(outcome, CheckinAnswer)
    assert details(site, BOARD, "enrollment")[0]["same_serial_as"] == id_of(MAC)
    told = {"serial_number": "C02XK1", "same_serial_as": id_of(MAC)}
    assert events(site) == [("device.same_serial", id_of(BOARD), told)]
    assert site.enrollment().channel.device_id != site.enrollment(BOARD).channel.device_id


def test_serial_that_nobody_has_or_tells_links_nothing(site: Site) -> None:
    subscribe(site)
    for identifiers, serial_number in ((MAC, None), (IPAD, None), (BOARD, "C02XK1")):
        site.check_in(replace(authenticate(identifiers), serial_number=serial_number), site.identity())

    assert events(site) == []
    assert "same_serial_as" not in details(site, BOARD, "enrollment")[0]


def test_clone_is_refused_and_told_once_for_each_newcomer_with_the_owner(site: Site) -> None:
    subscribe(site)
    identity = site.enroll()

    outcomes = [site.check_in(authenticate(one), identity) for one in (IPAD, IPAD, BOARD, IPAD)]

    for outcome in outcomes:
        assert isinstance(outcome, Refusal)
        assert outcome.code is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE
    assert [(kind, owner, detail["newcomer"]) for kind, owner, detail in events(site)] == [  # type: ignore[index]
        ("device.identity_cloned", id_of(MAC), id_of(IPAD)),
        ("device.identity_cloned", id_of(MAC), id_of(BOARD)),
    ]
    assert ("S2", "identity_of_another_device", 4) in site.evidence()
    assert not site.is_known(IPAD)


def test_who_claims_many_names_by_one_identity_is_named_so_often_and_no_more(site: Site) -> None:
    identity = site.enroll()

    for number in range(CLONES_NAMED + 3):
        site.check_in(authenticate(Identifiers(udid=f"CLAIM-{number}")), identity)

    assert len(details(site, MAC, "cloned")) == CLONES_NAMED
    assert ("S2", "identity_of_another_device", CLONES_NAMED + 3) in site.evidence()


def test_identity_made_for_another_device_is_no_clone(site: Site) -> None:
    subscribe(site)
    site.enroll()

    outcome = site.check_in(authenticate(IPAD), site.identity(renewal_of=MAC))

    assert isinstance(outcome, Refusal)
    assert events(site) == []
