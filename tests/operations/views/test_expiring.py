"""What ends one day is gathered from wherever it stands, the earliest end first; on both engines."""

from datetime import timedelta

from tests.support.runner import NOW, InlineRunner

from muster.domain.roles import Role
from muster.operations.first_start import lay_foundation
from muster.operations.manage_tokens import TokenOrder, create_tokens
from muster.operations.views.expiring import Expiring, ExpiringKind, list_expiring, public_certificates
from muster.storage import push_certificates, self_tests
from muster.storage.engine import Engine
from muster.storage.push_certificates import StoredPushCertificate, StoredVendorCertificate
from muster.storage.self_tests import SelfTest

DAY = timedelta(days=1)
TOPIC = "com.apple.mgmt.External.test"


def listed(engine: Engine) -> tuple[Expiring, ...]:
    return engine.read(lambda tx: list_expiring(tx, NOW))


def test_nothing_ends_where_there_is_nothing(engine: Engine) -> None:
    assert listed(engine) == ()


def test_all_that_is_in_use_is_listed_and_what_was_replaced_is_not(engine: Engine) -> None:
    context = InlineRunner(engine).context()
    for number, days in ((1, 3), (2, 20)):
        certificate = StoredPushCertificate(bytes([number]) * 32, TOPIC, b"", b"", NOW + days * DAY)
        at = NOW + timedelta(minutes=number)
        engine.write(
            lambda tx, one=certificate, at=at: push_certificates.store_certificate(tx, one, at, by="ana")  # type: ignore[misc]
        )
    vendor = StoredVendorCertificate(b"v" * 32, b"", b"", NOW - DAY)
    engine.write(lambda tx: push_certificates.store_vendor_certificate(tx, vendor, NOW, by="ana"))
    engine.write(lambda tx: create_tokens(tx, [TokenOrder("export", Role.VIEWER, 7 * DAY)], context))
    engine.write(lambda tx: lay_foundation(tx, ["Example"], context))

    assert [(one.kind, one.days_left) for one in listed(engine)][:-1] == [
        (ExpiringKind.VENDOR, 0),
        (ExpiringKind.TOKEN, 7),
        (ExpiringKind.PUSH, 20),
    ]
    assert listed(engine)[-1].kind is ExpiringKind.AUTHORITY


def test_a_certificate_that_several_nodes_met_is_one(engine: Engine) -> None:
    mark, ends = bytes(range(32)), NOW + 60 * DAY
    for node in ("one", "two"):
        seen = SelfTest(node, NOW, mark, None, ends, None, "")
        engine.write(lambda tx, seen=seen: self_tests.store(tx, seen))  # type: ignore[misc]
    engine.write(lambda tx: self_tests.store(tx, SelfTest("three", NOW, None, None, None, NOW, "no answer")))

    assert engine.read(public_certificates) == [(mark, ends)]
    assert [(one.kind, one.name) for one in listed(engine)] == [(ExpiringKind.TLS, mark.hex())]
