"""Push certificates mean the same on both engines."""

from dataclasses import replace

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.storage import push_certificates, schema
from muster.storage.engine import Engine
from muster.storage.push_certificates import StoredPushCertificate

TOPIC = "com.apple.mgmt.External.1"
CERTIFICATE = StoredPushCertificate(b"\x01" * 32, TOPIC, b"pem", b"sealed", after(days=365))


def test_new_certificate_takes_the_place_of_its_topics_former_one_which_is_kept(engine: Engine) -> None:
    renewed = replace(CERTIFICATE, fingerprint=b"\x02" * 32, not_after=after(days=700))
    other = replace(CERTIFICATE, fingerprint=b"\x03" * 32, topic="com.apple.mgmt.External.2")
    for number, certificate in enumerate((CERTIFICATE, other, renewed)):
        engine.write(lambda tx, c=certificate, n=number: push_certificates.store_certificate(tx, c, after(minutes=n)))  # type: ignore[misc]

    assert engine.read(push_certificates.current_certificates) == (renewed, other)
    assert len(rows(engine, sa.select(schema.push_certificates))) == 3


def test_certificate_uploaded_again_is_current_again(engine: Engine) -> None:
    renewed = replace(CERTIFICATE, fingerprint=b"\x02" * 32)
    for certificate in (CERTIFICATE, renewed, replace(CERTIFICATE, certificate_pem=b"with its chain")):
        engine.write(lambda tx, c=certificate: push_certificates.store_certificate(tx, c, NOON))  # type: ignore[misc]

    assert engine.read(push_certificates.current_certificates) == (
        replace(CERTIFICATE, certificate_pem=b"with its chain"),
    )
