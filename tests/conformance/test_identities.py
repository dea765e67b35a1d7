"""Identities, authorities, links and challenges are kept alike on both engines, and each is used as often as it may."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.access import Challenge, EnrollmentLink, Grant
from muster.domain.enrollment import Identity, Provenance
from muster.protocol.identifiers import DeviceId
from muster.storage import identities
from muster.storage.engine import Engine, Transaction
from muster.storage.identities import StoredAuthority
from muster.storage.schema import enrollment_links

AUTHORITY = StoredAuthority(b"\xca" * 32, b"certificate", b"sealed key", is_current=True)
FINGERPRINT = b"\x01" * 32
LINK = EnrollmentLink("link", NOON, after(days=7), 3, 0, None, 8191, "for the café")
CHALLENGE = Challenge(b"\x05" * 32, Grant(Provenance.LINK, "link"), after(hours=1), None, None, None)


def issue(engine: Engine, fingerprint: bytes = FINGERPRINT, *, renewal_of: str | None = None) -> None:
    def work(tx: Transaction) -> None:
        if not identities.all_authorities(tx):
            identities.add_authority(tx, AUTHORITY, NOON)
        identities.add(
            tx,
            identities.NewIdentity(
                fingerprint,
                b"\x30" + fingerprint,
                AUTHORITY.fingerprint,
                Grant(Provenance.LINK)
                if renewal_of is None
                else Grant(Provenance.RENEWAL, renewal_of=DeviceId(renewal_of)),
                issued_at=NOON,
                not_after=after(days=365),
            ),
        )

    engine.write(work)


def found(engine: Engine, fingerprint: bytes = FINGERPRINT) -> Identity | None:
    return engine.read(lambda tx: identities.find(tx, fingerprint))


def open_link(engine: Engine, link: EnrollmentLink = LINK, token_hash: bytes = b"hash") -> None:
    engine.write(lambda tx: identities.add_link(tx, link, token_hash=token_hash, created_by="ada"))


def challenged(engine: Engine, *challenges: Challenge) -> None:
    def work(tx: Transaction) -> None:
        for challenge in challenges:
            identities.add_challenge(tx, challenge, NOON)

    engine.write(work)


def test_current_authority_comes_first_whatever_the_age_of_others(engine: Engine) -> None:
    former = replace(AUTHORITY, fingerprint=b"\xcb" * 32, is_current=False)
    oldest = replace(former, fingerprint=b"\xcc" * 32)
    engine.write(lambda tx: identities.add_authority(tx, former, after(days=-1)))
    engine.write(lambda tx: identities.add_authority(tx, oldest, after(days=-2)))
    engine.write(lambda tx: identities.add_authority(tx, AUTHORITY, NOON))

    assert engine.read(identities.all_authorities) == (AUTHORITY, oldest, former)


def test_identity_is_nobodys_until_it_is_bound_and_then_stays_bound(engine: Engine) -> None:
    issue(engine)
    expected = Identity(FINGERPRINT, None, Provenance.LINK, None, after(days=365), issued_at=NOON)
    assert found(engine) == expected

    for name in ("A", "B"):
        engine.write(lambda tx, name=name: identities.bind(tx, FINGERPRINT, DeviceId(name)))  # type: ignore[misc]

    assert found(engine) == replace(expected, device_id=DeviceId("A"))


def test_renewed_identity_says_what_it_renews_and_what_replaced_it(engine: Engine) -> None:
    issue(engine, renewal_of="A")
    issue(engine, b"\x02" * 32, renewal_of="A")

    engine.write(lambda tx: identities.replace(tx, FINGERPRINT, b"\x02" * 32))

    expected = Identity(
        FINGERPRINT, None, Provenance.RENEWAL, DeviceId("A"), after(days=365), is_replaced=True, issued_at=NOON
    )
    assert found(engine) == expected
    assert found(engine, b"\x02" * 32) == replace(expected, fingerprint=b"\x02" * 32, is_replaced=False)


def test_certificate_we_never_issued_is_unknown(engine: Engine) -> None:
    issue(engine)

    assert found(engine, b"\x09" * 32) is None
    assert engine.read(lambda tx: identities.certificate_of(tx, b"\x09" * 32)) is None
    assert engine.read(lambda tx: identities.certificate_of(tx, FINGERPRINT)) == b"\x30" + FINGERPRINT


def test_link_is_found_by_its_token_and_by_its_id(engine: Engine) -> None:
    forever = EnrollmentLink("other", NOON, after(days=1), None, 0, after(hours=1), 1, "")
    open_link(engine)
    open_link(engine, forever, b"other hash")

    assert engine.read(lambda tx: identities.link_by_token(tx, b"hash")) == LINK
    assert engine.read(lambda tx: identities.link_by_token(tx, b"unknown")) is None
    assert engine.read(lambda tx: identities.link_by_id(tx, "other")) == forever
    assert engine.read(lambda tx: identities.link_by_id(tx, "unknown")) is None


def test_uses_of_a_link_are_counted_one_at_a_time(engine: Engine) -> None:
    open_link(engine)

    def use(tx: Transaction) -> bool:
        link = identities.link_by_id(tx, "link", for_update=True)
        assert link is not None
        assert link.uses_allowed is not None
        if link.uses >= link.uses_allowed:
            return False
        identities.count_link_use(tx, "link")
        return True

    with ThreadPoolExecutor(4) as pool:
        granted = list(pool.map(engine.write, [use] * 8))

    assert granted.count(True) == 3
    assert rows(engine, sa.select(enrollment_links.c.uses))[0].uses == 3


def test_challenge_comes_back_as_it_was_made_and_used(engine: Engine) -> None:
    open_link(engine)
    renewal = Challenge(
        b"\x06" * 32, Grant(Provenance.RENEWAL, renewal_of=DeviceId("A")), after(days=1), None, None, None
    )
    challenged(engine, CHALLENGE, renewal)

    engine.write(
        lambda tx: identities.use_challenge(tx, CHALLENGE.secret_hash, key=b"k", identity=b"i", at=after(minutes=1))
    )

    used = replace(CHALLENGE, used_at=after(minutes=1), used_for_key=b"k", identity_fingerprint=b"i")
    assert engine.write(lambda tx: identities.challenge(tx, CHALLENGE.secret_hash)) == used
    assert engine.write(lambda tx: identities.challenge(tx, renewal.secret_hash)) == renewal
    assert engine.write(lambda tx: identities.challenge(tx, b"unknown")) is None


def test_challenge_is_used_once_however_many_ask_together(engine: Engine) -> None:
    open_link(engine)
    challenged(engine, CHALLENGE)

    def use(tx: Transaction) -> datetime | None:
        challenge = identities.challenge(tx, CHALLENGE.secret_hash)
        assert challenge is not None
        if challenge.used_at is None:
            identities.use_challenge(tx, challenge.secret_hash, key=b"k", identity=b"i", at=NOON)
        return challenge.used_at

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(engine.write, [use] * 4))

    assert seen.count(None) == 1


def test_only_fresh_unused_challenges_of_the_link_are_outstanding(engine: Engine) -> None:
    open_link(engine)
    open_link(engine, replace(LINK, id="other"), b"other hash")
    hashes = [bytes([number]) * 32 for number in range(5)]
    challenged(
        engine,
        replace(CHALLENGE, secret_hash=hashes[0]),
        replace(CHALLENGE, secret_hash=hashes[1]),
        replace(CHALLENGE, secret_hash=hashes[2], expires_at=NOON),
        replace(CHALLENGE, secret_hash=hashes[3], made_for=Grant(Provenance.LINK, "other")),
        replace(CHALLENGE, secret_hash=hashes[4], made_for=Grant(Provenance.RENEWAL, renewal_of=DeviceId("A"))),
    )
    engine.write(lambda tx: identities.use_challenge(tx, hashes[1], key=b"", identity=b"", at=NOON))

    assert engine.read(lambda tx: identities.outstanding_challenges(tx, "link", NOON)) == 1
