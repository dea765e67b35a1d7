"""Push certificates are listed by topic, with who listens, what waits, and what ends soon."""

from datetime import timedelta

from tests.support import fleet
from tests.support.runner import NOW

from muster.operations.views.push_certificates import (
    PushCertificateOverview,
    PushCertificateState,
    list_push_certificates,
    push_certificate_state,
)
from muster.storage import push_certificates
from muster.storage.engine import Engine
from muster.storage.push_certificates import (
    RequestPurpose,
    StoredPushCertificate,
    StoredRequest,
    StoredVendorCertificate,
)

OTHER, FOREIGN = "com.apple.mgmt.External.other", "com.apple.mgmt.External.foreign"
DAY = timedelta(days=1)


def overview(engine: Engine) -> PushCertificateOverview:
    return engine.read(lambda tx: list_push_certificates(tx, NOW))


def store(engine: Engine, number: int, days: int) -> None:
    certificate = StoredPushCertificate(bytes([number]) * 32, fleet.TOPIC, b"", b"", NOW + days * DAY)
    at = NOW + timedelta(minutes=number)
    engine.write(lambda tx: push_certificates.store_certificate(tx, certificate, at, by="ana", is_chosen=True))


def test_nothing_is_listed_where_there_is_nothing(engine: Engine) -> None:
    assert overview(engine) == PushCertificateOverview((), (), None)


def test_topics_are_listed_with_their_certificates_and_listeners(engine: Engine) -> None:
    fleet.add_push_certificate(engine, NOW + 5 * DAY, topic=OTHER, at=NOW - DAY)
    store(engine, 1, days=10)
    store(engine, 2, days=375)
    for device, topic in (("A", fleet.TOPIC), ("B", fleet.TOPIC), ("C", FOREIGN)):
        fleet.add_device(engine, device)
        fleet.add_push_target(engine, device, topic=topic)

    topics = overview(engine).topics

    assert [(one.topic, one.is_of_new, one.enrollments, one.devices) for one in topics] == [
        (fleet.TOPIC, True, 2, 2),
        (OTHER, False, 0, 0),
        (FOREIGN, False, 1, 1),
    ]
    assert topics[0].in_use is not None
    assert (topics[0].in_use.fingerprint, topics[0].in_use.days_left) == (b"\x02" * 32, 375)
    assert [(one.fingerprint, one.uploaded_by) for one in topics[0].former] == [(b"\x01" * 32, "ana")]
    assert topics[2].in_use is None


def test_requests_that_wait_and_the_vendor_certificate_are_listed(engine: Engine) -> None:
    vendor = StoredVendorCertificate(b"v" * 32, b"", b"", NOW - DAY)
    engine.write(lambda tx: push_certificates.store_vendor_certificate(tx, vendor, NOW, by="ana"))
    for number in range(3):
        request = StoredRequest(str(number), RequestPurpose.PUSH, b"", b"", bytes([number]) * 32)
        engine.write(lambda tx, one=request: push_certificates.add_request(tx, one, NOW, by="ana"))  # type: ignore[misc]
    engine.write(lambda tx: push_certificates.note_answered(tx, b"\x01" * 32, NOW))

    listed = overview(engine)

    assert [one.id for one in listed.pending_requests] == ["2", "0"]
    assert listed.vendor is not None
    assert (listed.vendor.fingerprint, listed.vendor.days_left) == (b"v" * 32, 0)


def test_state_tells_the_ends_that_matter(engine: Engine) -> None:
    none = engine.read(lambda tx: push_certificate_state(tx, NOW, within=30 * DAY))
    fleet.add_push_certificate(engine, NOW + 31 * DAY)
    fleet.add_push_certificate(engine, NOW + 5 * DAY, topic=OTHER, at=NOW - DAY)
    fleet.add_push_certificate(engine, NOW - 5 * DAY, topic=FOREIGN, at=NOW - DAY)
    fleet.add_device(engine, "C")
    fleet.add_push_target(engine, "C", topic=FOREIGN)

    some = engine.read(lambda tx: push_certificate_state(tx, NOW, within=30 * DAY))
    later = engine.read(lambda tx: push_certificate_state(tx, NOW + 2 * DAY, within=30 * DAY))

    assert none == PushCertificateState(has_any=False, ending={})
    assert some == PushCertificateState(has_any=True, ending={FOREIGN: NOW - 5 * DAY})
    assert later.ending == {fleet.TOPIC: NOW + 31 * DAY, FOREIGN: NOW - 5 * DAY}
