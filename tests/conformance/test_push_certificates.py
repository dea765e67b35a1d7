"""Push certificates mean the same on both engines."""

from dataclasses import replace

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support import fleet
from tests.support.instants import NOON

from muster.domain.push_certificates import Listeners
from muster.storage import push_certificates, schema
from muster.storage.engine import Engine
from muster.storage.push_certificates import (
    RequestPurpose,
    StoredPushCertificate,
    StoredRequest,
    StoredVendorCertificate,
)

TOPIC = "com.apple.mgmt.External.1"
CERTIFICATE = StoredPushCertificate(b"\x01" * 32, TOPIC, b"pem", b"sealed", after(days=365))
OTHER = replace(CERTIFICATE, fingerprint=b"\x03" * 32, topic="com.apple.mgmt.External.2")


def store(engine: Engine, certificate: StoredPushCertificate, *, minutes: int = 0, is_chosen: bool = True) -> None:
    at = after(minutes=minutes)
    engine.write(lambda tx: push_certificates.store_certificate(tx, certificate, at, by="ana", is_chosen=is_chosen))


def test_new_certificate_takes_the_place_of_its_topics_former_one_which_is_kept(engine: Engine) -> None:
    renewed = replace(CERTIFICATE, fingerprint=b"\x02" * 32, not_after=after(days=700))
    store(engine, CERTIFICATE)
    store(engine, OTHER, minutes=1)
    store(engine, renewed, minutes=2)

    assert engine.read(push_certificates.current_certificates) == (renewed, OTHER)
    assert len(rows(engine, sa.select(schema.push_certificates))) == 3


def test_renewal_leaves_the_topic_of_new_enrollments_as_it_was(engine: Engine) -> None:
    renewed = replace(CERTIFICATE, fingerprint=b"\x02" * 32)
    store(engine, CERTIFICATE)
    store(engine, OTHER, minutes=1)

    store(engine, renewed, minutes=2, is_chosen=False)

    assert engine.read(push_certificates.current_certificates) == (OTHER, renewed)


def test_topic_that_was_never_chosen_comes_last(engine: Engine) -> None:
    store(engine, CERTIFICATE)

    store(engine, OTHER, minutes=1, is_chosen=False)

    assert engine.read(push_certificates.current_certificates) == (CERTIFICATE, OTHER)


def test_certificate_uploaded_again_is_current_again(engine: Engine) -> None:
    again = replace(CERTIFICATE, certificate_pem=b"with its chain")
    store(engine, CERTIFICATE)
    store(engine, replace(CERTIFICATE, fingerprint=b"\x02" * 32), minutes=1)

    store(engine, again, minutes=2)

    assert engine.read(push_certificates.current_certificates) == (again,)


def test_what_was_told_counts_for_one_certificate_and_is_kept_while_it_is_in_use(engine: Engine) -> None:
    renewed = replace(CERTIFICATE, fingerprint=b"\x02" * 32)
    store(engine, CERTIFICATE)
    engine.write(lambda tx: push_certificates.note_told(tx, CERTIFICATE.fingerprint, 30))

    told = []
    for certificate in (CERTIFICATE, renewed, CERTIFICATE):
        store(engine, certificate)
        told += [one.told_days for one in engine.read(push_certificates.told_certificates)]

    assert told == [30, None, None]


def test_who_is_enrolled_is_counted_by_topic_and_named(engine: Engine) -> None:
    for number, (name, state) in enumerate([("A", "enrolled"), ("B", "enrolled"), ("C", "ended"), ("D", "enrolling")]):
        fleet.add_device(engine, name, state=state, serial_number=None if name == "B" else f"SERIAL-{number}")
        fleet.add_push_target(engine, name)
    fleet.add_user(engine, "A", "USER", "ada")
    fleet.add_push_target(engine, "A:USER")
    fleet.add_device(engine, "WITHOUT-A-TOKEN")

    named = engine.read(lambda tx: push_certificates.named_listeners(tx, 20))
    first = engine.read(lambda tx: push_certificates.named_listeners(tx, 1))

    assert engine.read(push_certificates.listeners) == {fleet.TOPIC: Listeners(enrollments=3, devices=2)}
    assert named == {fleet.TOPIC: ("B", "SERIAL-0")}
    assert first == {fleet.TOPIC: ("B",)}
    assert engine.read(lambda tx: push_certificates.is_listened_to(tx, fleet.TOPIC))
    assert not engine.read(lambda tx: push_certificates.is_listened_to(tx, TOPIC))


def test_request_is_found_by_its_key_and_answered_once(engine: Engine) -> None:
    request = StoredRequest("1", RequestPurpose.PUSH, b"request", b"sealed", b"h" * 32)
    engine.write(lambda tx: push_certificates.add_request(tx, request, NOON, by="ana"))

    for at in (after(minutes=1), after(minutes=2)):
        engine.write(lambda tx, at=at: push_certificates.note_answered(tx, b"h" * 32, at))  # type: ignore[misc]

    answered = rows(engine, sa.select(schema.push_certificate_requests.c.answered_at))
    assert engine.read(lambda tx: push_certificates.find_request(tx, b"h" * 32)) == request
    assert engine.read(lambda tx: push_certificates.find_request(tx, b"i" * 32)) is None
    assert [row.answered_at for row in answered] == [after(minutes=1)]


def test_one_vendor_certificate_is_in_use_and_the_former_is_kept(engine: Engine) -> None:
    former = StoredVendorCertificate(b"f" * 32, b"pem", b"sealed", after(days=365))
    present = replace(former, fingerprint=b"p" * 32)

    found = [engine.read(push_certificates.current_vendor_certificate)]
    for one in (former, present):
        engine.write(lambda tx, c=one: push_certificates.store_vendor_certificate(tx, c, NOON, by="ana"))  # type: ignore[misc]
        found.append(engine.read(push_certificates.current_vendor_certificate))

    assert found == [None, former, present]
    assert len(rows(engine, sa.select(schema.vendor_certificates))) == 2
