"""Which identities are known, how long they last, and how their renewals stand."""

from datetime import timedelta

from tests.support import renewing
from tests.support.renewing import connect, fetch, review, wait_until_due
from tests.support.site import IPAD, MAC, NOT_AFTER, Site, id_of, identity_of, print_of

from muster.domain.policy import Policy
from muster.domain.renewal import RenewalReason, RenewalState
from muster.domain.renewal_failures import RenewalFailure
from muster.operations.views.identities import (
    Acquaintance,
    IdentityPage,
    IdentityQuery,
    RenewalRow,
    acquaintance,
    list_identities,
    renewal_of,
)
from muster.protocol.checkin import CheckOut
from muster.protocol.connect import ErrorItem
from muster.protocol.identifiers import DeviceId, Identifiers, resolve_channel
from muster.storage.engine import Engine


def listed(site: Site, query: IdentityQuery | None = None) -> IdentityPage:
    return site.engine.read(lambda tx: list_identities(tx, query or IdentityQuery(), site.now, Policy()))


def renewal(site: Site, identifiers: Identifiers = MAC) -> RenewalRow | None:
    return site.engine.read(lambda tx: renewal_of(tx, id_of(identifiers), site.now, Policy()))


def test_identity_that_was_issued_is_known_and_a_strangers_is_not(engine: Engine) -> None:
    site = Site(engine)
    identity = site.identity()

    assert engine.read(lambda tx: acquaintance(tx, print_of(identity), DeviceId("EVE"))) is Acquaintance.KNOWN
    stranger = print_of(identity_of(1, 1))
    assert engine.read(lambda tx: acquaintance(tx, stranger, DeviceId("EVE"))) is Acquaintance.UNKNOWN


def test_list_has_the_pins_of_enrolled_devices_and_nothing_else(engine: Engine) -> None:
    site = Site(engine)
    identity = renewing.enroll(site)
    site.identity()
    left = renewing.enroll(site, IPAD)
    renewing.check_in(site, CheckOut(IPAD, resolve_channel(IPAD)), left)

    page = listed(site)

    assert [(row.device_id, row.fingerprint, row.serial_number) for row in page.rows] == [
        (id_of(MAC), print_of(identity), "C02XK1LYJGH5")
    ]
    assert (page.rows[0].not_after, page.rows[0].days_left) == (NOT_AFTER.replace(microsecond=0), 365)
    assert page.rows[0].renewal.state is RenewalState.NOT_DUE
    assert page.next_after is None


def test_list_is_narrowed_by_the_end(engine: Engine) -> None:
    site = Site(engine)
    renewing.enroll(site)

    assert listed(site, IdentityQuery(until=site.now + timedelta(days=60))).rows == ()
    assert len(listed(site, IdentityQuery(until=site.now + timedelta(days=366))).rows) == 1


def test_pages_follow_one_another_without_a_gap(engine: Engine) -> None:
    site = Site(engine)
    names = [Identifiers(udid=f"DEVICE-{number}") for number in range(5)]
    for name in names:
        renewing.enroll(site, name)

    pages = [listed(site, IdentityQuery(limit=2))]
    while pages[-1].next_after is not None:
        pages.append(listed(site, IdentityQuery(after=pages[-1].next_after, limit=2)))

    assert [len(page.rows) for page in pages] == [2, 2, 1]
    assert [row.device_id for page in pages for row in page.rows] == [id_of(name) for name in names]


def test_failure_of_a_renewal_is_said_with_its_remedy(engine: Engine) -> None:
    site = Site(engine)
    identity = renewing.enroll(site)
    wait_until_due(site)
    before = renewal(site)
    review(site)
    sent = renewal(site)
    errors = (ErrorItem(4009, "MCInstallationErrorDomain", "Device is locked"),)
    connect(site, identity, "Error", fetch(site, identity).command_uuid, errors=errors)

    failed = renewal(site)

    assert before is not None
    assert sent is not None
    assert failed is not None
    assert (before.state, sent.state, failed.state) == (RenewalState.DUE, RenewalState.SENT, RenewalState.FAILED)
    assert (failed.reason, failed.attempts, failed.failure) == (
        RenewalReason.EXPIRING,
        1,
        RenewalFailure.DECLINED,
    )
    assert "locked, or its user declined. Have the user unlock it" in failed.words
    assert "Device is locked (MCInstallationErrorDomain 4009)" in failed.words


def test_identity_that_cannot_be_renewed_says_why(engine: Engine) -> None:
    site = Site(engine)
    renewing.enroll(site, terms=None)
    site.runner.time = NOT_AFTER - timedelta(days=30)
    unknown = renewal(site)
    site.runner.time = NOT_AFTER + timedelta(days=90)
    too_long = renewal(site)

    assert unknown is not None
    assert too_long is not None
    assert unknown.words.startswith("It can't be renewed: with which profile")
    assert too_long.words.startswith("It expired too long ago")


def test_device_that_is_not_enrolled_has_no_renewal(engine: Engine) -> None:
    site = Site(engine)

    assert renewal(site) is None
