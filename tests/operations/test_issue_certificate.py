"""What a challenge and a renewal buy: one identity, the same one when asked again, and nothing for anybody else."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TypeVar

import pytest
import sqlalchemy as sa
from tests.support.site import (
    IPAD,
    MAC,
    NOT_AFTER,
    SOURCE,
    Site,
    authenticate,
    authority,
    identity_of,
    print_of,
    token_update,
)

from muster.crypto.certificates import fingerprint, inspect_certificate, is_issued_by
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.keys import PrivateKey, generate_ec_key
from muster.crypto.requests import CertificateRequest, make_request, read_request
from muster.domain.access import Challenge, EnrollmentLink, Grant
from muster.domain.enrollment import Identity, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.policy import Policy
from muster.operations.answer_checkin import answer_checkins
from muster.operations.checkin import CheckinAnswer, CheckinRequest
from muster.operations.context import Context
from muster.operations.enrollment_links import LinkOrder
from muster.operations.issue_certificate import (
    CertificateOrder,
    IssuedCertificate,
    IssueOutcome,
    hash_secret,
    issue_certificates,
    random_secret,
)
from muster.protocol.identifiers import DeviceId, Identifiers, resolve_channel
from muster.simulator.keys.published import published_keys
from muster.storage import identities, schema
from muster.storage.engine import Transaction
from muster.storage.postgresql import PostgresqlEngine

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


@cache
def key(number: int = 0) -> PrivateKey:
    return generate_ec_key()


def request(number: int = 0, *, challenge: str | None = None, common_name: str = "Ada's Mac") -> CertificateRequest:
    return read_request(make_request(key(number), common_name=common_name, challenge=challenge))


def order(asked: CertificateRequest, renewing: SignerIdentity | None = None) -> CertificateOrder:
    return CertificateOrder(
        asked, authority(), "Example", "198.51.100.7", None if renewing is None else print_of(renewing)
    )


def device_id(identifiers: Identifiers) -> DeviceId:
    return resolve_channel(identifiers).device_id


def add_link(site: Site, *, uses: int | None = 1) -> EnrollmentLink:
    return site.link(LinkOrder(uses, timedelta(days=30))).link


def add_challenge(
    site: Site, secret: str, link: EnrollmentLink | None, *, renewal_of: Identifiers | None = None
) -> None:
    challenge = Challenge(
        secret_hash=hash_secret(secret),
        made_for=Grant(
            Provenance.LINK if renewal_of is None else Provenance.RENEWAL,
            None if link is None else link.id,
            None if renewal_of is None else device_id(renewal_of),
        ),
        expires_at=site.now + timedelta(hours=24),
        used_at=None,
        used_for_key=None,
        identity_fingerprint=None,
    )
    site.engine.write(lambda tx: identities.add_challenge(tx, challenge, site.now))


def ask(site: Site, secret: str, number: int = 0) -> IssueOutcome:
    return site.do(issue_certificates, order(request(number, challenge=secret)))[0]


def renew(site: Site, identity: SignerIdentity, number: int = 0) -> IssueOutcome:
    return site.do(issue_certificates, order(request(number), identity))[0]


def issued(outcome: IssueOutcome) -> bytes:
    assert isinstance(outcome, IssuedCertificate), outcome
    return outcome.certificate_der


def code(outcome: IssueOutcome) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def stored(site: Site, certificate_der: bytes) -> Identity:
    found = site.engine.read(lambda tx: identities.find(tx, fingerprint(certificate_der)))
    assert found is not None
    return found


def uses(site: Site) -> int:
    ((count,),) = site.rows(sa.select(schema.enrollment_links.c.uses))
    assert isinstance(count, int)
    return count


# For a challenge


def test_challenge_buys_an_identity_of_ours_for_nobody_yet(site: Site) -> None:
    link = add_link(site)
    add_challenge(site, "secret", link)

    certificate = issued(ask(site, "secret"))

    facts = inspect_certificate(certificate)
    assert is_issued_by(certificate, authority().certificate_der)
    assert (facts.common_name, facts.public_key_der) == ("Ada's Mac", request().public_key_der)
    assert facts.not_before == site.now - timedelta(days=1)
    assert facts.not_after == site.now + timedelta(days=365)
    assert stored(site, certificate) == Identity(
        fingerprint(certificate), None, Provenance.LINK, None, facts.not_after, link.id, issued_at=site.now
    )
    assert uses(site) == 1


def test_same_key_again_gets_the_same_certificate_and_uses_nothing_up(site: Site) -> None:
    add_challenge(site, "secret", add_link(site))
    first = ask(site, "secret")
    site.wait(days=40)

    again = ask(site, "secret")

    assert again == IssuedCertificate(issued(first), is_repeated=True)
    assert uses(site) == 1


def test_challenge_is_good_for_one_key(site: Site) -> None:
    add_challenge(site, "secret", add_link(site, uses=None))
    ask(site, "secret")

    assert code(ask(site, "secret", 1)) is RefusalCode.CHALLENGE_USED
    assert uses(site) == 1


@pytest.mark.parametrize("secret", ["another", "", None])
def test_request_without_a_challenge_of_ours_gets_nothing(site: Site, secret: str | None) -> None:
    add_challenge(site, "secret", add_link(site))

    (outcome,) = site.do(issue_certificates, order(request(challenge=secret)))

    assert code(outcome) is RefusalCode.CHALLENGE_UNKNOWN


def test_challenge_expires(site: Site) -> None:
    add_challenge(site, "secret", add_link(site))
    site.wait(hours=24)

    assert code(ask(site, "secret")) is RefusalCode.CHALLENGE_EXPIRED


def test_link_is_used_up_by_certificates_whoever_holds_challenges_of_it(site: Site) -> None:
    link = add_link(site, uses=1)
    add_challenge(site, "first", link)
    add_challenge(site, "second", link)

    outcomes = site.do(
        issue_certificates,
        order(request(0, challenge="first")),
        order(request(1, challenge="second")),
    )

    assert isinstance(outcomes[0], IssuedCertificate)
    assert code(outcomes[1]) is RefusalCode.LINK_USED_UP
    assert uses(site) == 1


def test_two_nodes_issue_one_certificate_for_a_link_of_one(postgresql_engine: PostgresqlEngine) -> None:
    site = Site(postgresql_engine)
    link = add_link(site, uses=1)
    add_challenge(site, "first", link)
    add_challenge(site, "second", link)

    first, second = race(
        site, issue_certificates, order(request(0, challenge="first")), order(request(1, challenge="second"))
    )

    assert isinstance(first, IssuedCertificate)
    assert code(second) is RefusalCode.LINK_USED_UP


def test_two_nodes_issue_one_certificate_for_a_challenge(postgresql_engine: PostgresqlEngine) -> None:
    site = Site(postgresql_engine)
    add_challenge(site, "secret", add_link(site, uses=None))

    first, second = race(
        site, issue_certificates, order(request(0, challenge="secret")), order(request(1, challenge="secret"))
    )

    assert isinstance(first, IssuedCertificate)
    assert code(second) is RefusalCode.CHALLENGE_USED


def race(
    site: Site, operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]], one: Item, other: Item
) -> tuple[Outcome, Outcome]:
    """Answer *other* while the transaction that answered *one* is still open; it should have to wait for that."""
    outcomes: dict[str, Outcome] = {}
    is_answered, is_done = threading.Event(), threading.Event()
    ctx = site.runner.context()

    def first() -> None:
        def work(tx: Transaction) -> None:
            outcomes["one"] = operation(tx, [one], ctx)[0]
            is_answered.set()
            is_done.wait(0.3)  # it is done already only when nothing made it wait

        site.engine.write(work)

    thread = threading.Thread(target=first)
    thread.start()
    assert is_answered.wait(30)
    outcomes["other"] = site.do(operation, other)[0]
    is_done.set()
    thread.join()
    return outcomes["one"], outcomes["other"]


def test_challenge_made_for_a_renewal_buys_one(site: Site) -> None:
    site.enroll()
    add_challenge(site, "secret", None, renewal_of=MAC)

    certificate = issued(ask(site, "secret"))

    identity = stored(site, certificate)
    assert (identity.provenance, identity.renewal_of, identity.link_id) == (Provenance.RENEWAL, device_id(MAC), None)
    assert ("S13", "renewal", 1) in site.evidence()


# What is wished for


def test_published_key_gets_nothing_outside_the_laboratory(site: Site) -> None:
    add_challenge(site, "secret", add_link(site))
    asked = order(read_request(make_request(published_keys()[0], common_name="Mac", challenge="secret")))

    refused = site.do(issue_certificates, asked)[0]
    site.runner.policy = Policy(accepts_published_keys=True)
    accepted = site.do(issue_certificates, asked)[0]

    assert code(refused) is RefusalCode.KEY_PUBLISHED
    assert isinstance(accepted, IssuedCertificate)


@pytest.mark.parametrize("name", ["x" * 64, "Ada's Mac", "Büro 3", "漢字" * 10])
def test_name_that_is_wished_for_is_kept(site: Site, name: str) -> None:
    add_challenge(site, "secret", add_link(site))

    (outcome,) = site.do(issue_certificates, order(request(challenge="secret", common_name=name)))

    assert inspect_certificate(issued(outcome)).common_name == name


@pytest.mark.parametrize("name", ["", "x" * 65, "漢" * 22, "two\nlines", "bell\x07"])
def test_name_that_would_not_fit_is_replaced(site: Site, name: str) -> None:
    add_challenge(site, "secret", add_link(site))

    (outcome,) = site.do(issue_certificates, order(request(challenge="secret", common_name=name)))

    common_name = inspect_certificate(issued(outcome)).common_name
    assert common_name is not None
    assert common_name.startswith("device ")


def test_serial_numbers_differ_and_keep_to_twenty_octets(site: Site) -> None:
    link = add_link(site, uses=None)
    serial_numbers = []
    for number in range(3):
        add_challenge(site, str(number), link)
        serial_numbers.append(inspect_certificate(issued(ask(site, str(number), number))).serial_number)

    assert len(set(serial_numbers)) == 3
    assert all(0 < serial_number < 1 << 127 for serial_number in serial_numbers)


# Renewals


def test_device_renews_the_identity_it_uses(site: Site) -> None:
    identity = site.enroll()

    certificate = issued(renew(site, identity))

    successor = stored(site, certificate)
    assert (successor.provenance, successor.renewal_of, successor.device_id) == (
        Provenance.RENEWAL,
        device_id(MAC),
        None,
    )
    assert ("S13", "renewal", 1) in site.evidence()
    assert not stored(site, identity.certificate_der).is_replaced


def test_renewal_asked_for_again_gets_the_same_certificate(site: Site) -> None:
    identity = site.enroll()
    first = renew(site, identity)
    site.wait(hours=1)

    again = renew(site, identity)

    assert again == IssuedCertificate(issued(first), is_repeated=True)


def test_identity_that_its_device_has_left_behind_renews_nothing(site: Site) -> None:
    identity = site.enroll()
    site.enroll()

    assert code(renew(site, identity)) is RefusalCode.IDENTITY_SUPERSEDED


def test_identity_of_an_enrollment_that_is_not_complete_renews_nothing(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)

    assert code(renew(site, identity)) is RefusalCode.IDENTITY_SUPERSEDED


def test_expired_identity_renews_nothing(site: Site) -> None:
    identity = site.enroll()
    not_after = stored(site, identity.certificate_der).not_after
    site.wait(seconds=(not_after - site.now).total_seconds() - 1)
    in_time = renew(site, identity)
    site.wait(seconds=1)

    assert isinstance(in_time, IssuedCertificate)
    assert code(renew(site, identity, 1)) is RefusalCode.IDENTITY_EXPIRED


def test_identity_of_another_authority_renews_nothing(site: Site) -> None:
    assert code(renew(site, identity_of(1, 1))) is RefusalCode.IDENTITY_UNKNOWN


def test_identity_renewed_before_its_use_hands_its_place_to_its_successor(site: Site) -> None:
    add_challenge(site, "secret", link := add_link(site))
    first = SignerIdentity(issued(ask(site, "secret")), key())

    second = SignerIdentity(issued(renew(site, first, 1)), key(1))

    assert stored(site, second.certificate_der).link_id == link.id
    assert stored(site, second.certificate_der).provenance is Provenance.LINK
    assert code(renew(site, first, 2)) is RefusalCode.IDENTITY_SUPERSEDED
    assert isinstance(site.check_in(authenticate(), first), Refusal)
    assert not isinstance(site.check_in(authenticate(), second), Refusal)
    assert uses(site) == 1


def test_two_nodes_let_one_successor_take_an_identitys_place(postgresql_engine: PostgresqlEngine) -> None:
    site = Site(postgresql_engine)
    unused = site.identity()

    first, second = race(site, issue_certificates, order(request(0), unused), order(request(1), unused))

    assert isinstance(first, IssuedCertificate)
    assert code(second) is RefusalCode.IDENTITY_SUPERSEDED


def test_two_nodes_let_one_device_use_an_identity(postgresql_engine: PostgresqlEngine) -> None:
    site = Site(postgresql_engine)
    copied = site.identity()
    mac, ipad = (CheckinRequest(authenticate(who), print_of(copied), b"", SOURCE, NOT_AFTER) for who in (MAC, IPAD))

    first, second = race(site, answer_checkins, mac, ipad)

    assert isinstance(first, CheckinAnswer)
    assert isinstance(second, Refusal)
    assert not site.is_known(IPAD)


def test_devices_renew_apart(site: Site) -> None:
    mac, ipad = site.enroll(), site.enroll(IPAD)

    for_mac = stored(site, issued(renew(site, mac, 0)))
    for_ipad = stored(site, issued(renew(site, ipad, 1)))

    assert (for_mac.renewal_of, for_ipad.renewal_of) == (device_id(MAC), device_id(IPAD))


def test_renewed_identity_renews_in_turn(site: Site) -> None:
    identity = site.enroll()
    renewed = SignerIdentity(issued(renew(site, identity)), key())
    site.check_in(authenticate(), renewed)
    site.check_in(token_update(), renewed)

    assert isinstance(renew(site, renewed, 1), IssuedCertificate)
    assert code(renew(site, identity, 2)) is RefusalCode.IDENTITY_SUPERSEDED


def test_only_the_hash_of_a_challenge_is_stored(site: Site) -> None:
    add_challenge(site, "secret", add_link(site))

    assert site.rows(sa.select(schema.challenges.c.secret_hash)) == [(hashlib.sha256(b"secret").digest(),)]


def test_an_identity_does_not_outlive_its_authority(site: Site) -> None:
    ends = inspect_certificate(authority().certificate_der).not_after
    site.runner.time = ends - timedelta(days=100)
    add_challenge(site, "secret", add_link(site))

    certificate_der = issued(ask(site, "secret"))

    assert inspect_certificate(certificate_der).not_after == ends


def test_an_authority_that_has_expired_issues_nothing(site: Site) -> None:
    site.runner.time = inspect_certificate(authority().certificate_der).not_after
    add_challenge(site, "secret", add_link(site))

    assert code(ask(site, "secret")) is RefusalCode.AUTHORITY_EXPIRED


@pytest.mark.parametrize(
    ("random", "secret"),
    [
        (b"\xf8" + bytes(23), "A" + "A" * 4),  # would begin with a hyphen
        (b"\xfc" + bytes(23), "_AAAA"),
        (b"\x03\xef\xbe" + bytes(21), "A---A"),
    ],
)
def test_secret_never_begins_as_an_option_of_a_command_line_does(site: Site, random: bytes, secret: str) -> None:
    made = random_secret(replace(site.runner.context(), random_bytes=lambda count: random[:count]))

    assert (made[:5], len(made)) == (secret, 32)
