"""A push certificate is put into use only when it can push."""

from datetime import timedelta
from functools import cache

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import TOPIC, ClientPem, push_certificate
from tests.support.runner import NOW
from tests.support.site import Site, authority

from muster.crypto.certificates import fingerprint, pem_from_der
from muster.crypto.issuance import make_push_certificate, make_server_certificate
from muster.crypto.keys import ECPrivateKey, generate_ec_key, private_key_der, private_key_pem
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    UploadOutcome,
    upload_push_certificates,
)
from muster.storage import push_certificates, schema
from muster.storage.push_certificates import StoredPushCertificate


@cache
def key() -> ECPrivateKey:
    return generate_ec_key()


def upload(site: Site, certificate_pem: bytes, private_key: bytes) -> UploadOutcome:
    return site.do(upload_push_certificates, UploadedPushCertificate(certificate_pem, private_key))[0]


def upload_pem(site: Site, pem: ClientPem) -> UploadOutcome:
    return upload(site, pem.certificate_pem, pem.key_pem)


def in_use(site: Site) -> tuple[StoredPushCertificate, ...]:
    return site.engine.read(push_certificates.current_certificates)


def test_uploaded_certificate_is_in_use_with_its_key_sealed(site: Site) -> None:
    pem = push_certificate()

    outcome = upload_pem(site, pem)

    assert isinstance(outcome, AcceptedPushCertificate)
    assert outcome.topic == TOPIC
    (stored,) = in_use(site)
    assert stored.fingerprint == fingerprint(pem.certificate_der)
    assert b"PRIVATE KEY" not in stored.key_sealed
    assert site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject)) == [("push_certificate.upload", TOPIC)]


def test_renewed_certificate_replaces_the_one_of_its_topic_and_the_former_is_kept(site: Site) -> None:
    former, renewed = push_certificate(serial_number=20), push_certificate(serial_number=21)
    upload_pem(site, former)

    upload_pem(site, renewed)

    assert [stored.fingerprint for stored in in_use(site)] == [fingerprint(renewed.certificate_der)]
    assert site.rows(sa.select(sa.func.count()).select_from(schema.push_certificates)) == [(2,)]


def test_same_certificate_uploaded_again_changes_nothing(site: Site) -> None:
    for _ in range(2):
        upload_pem(site, push_certificate())

    assert len(in_use(site)) == 1


def test_certificates_of_two_topics_are_in_use_side_by_side(site: Site) -> None:
    upload_pem(site, push_certificate())

    upload_pem(site, push_certificate("com.apple.mgmt.External.other"))

    assert len(in_use(site)) == 2


def test_key_may_be_der(site: Site) -> None:
    certificate = make_push_certificate(
        TOPIC, key(), now=NOW, lifetime=timedelta(days=1), serial_number=1, authority=authority()
    )

    assert isinstance(upload(site, pem_from_der([certificate]), private_key_der(key())), AcceptedPushCertificate)


def _pem(lifetime: timedelta = timedelta(days=1)) -> bytes:
    issued = NOW - timedelta(days=2)
    return pem_from_der(
        [make_push_certificate(TOPIC, key(), now=issued, lifetime=lifetime, serial_number=1, authority=authority())]
    )


def _server_pem() -> bytes:
    lifetime = timedelta(days=1)
    return pem_from_der([make_server_certificate(["a.example"], key(), now=NOW, lifetime=lifetime, serial_number=1)])


@pytest.mark.parametrize(
    ("certificate_pem", "private_key", "why"),
    [
        (b"", b"", "can't be read"),
        (b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", b"", "can't be read"),
        (_pem(timedelta(days=9)), b"no key", "can't be read"),
        (_pem(timedelta(days=9)), _pem(timedelta(days=9)), "can't be read"),
        (_pem(timedelta(days=9)), private_key_pem(generate_ec_key()), "does not belong"),
        (_pem(), private_key_pem(key()), "expired"),
        (_server_pem(), private_key_pem(key()), "no UID"),
    ],
    ids=["nothing", "nonsense", "no-key", "certificate-as-key", "another-key", "expired", "another-kind"],
)
def test_certificate_that_could_not_push_is_refused_with_a_remedy(
    site: Site, certificate_pem: bytes, private_key: bytes, why: str
) -> None:
    outcome = upload(site, certificate_pem, private_key)

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.PUSH_CERTIFICATE_UNFIT
    assert why in outcome.message
    assert outcome.remedy
    assert in_use(site) == ()
