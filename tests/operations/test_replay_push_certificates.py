"""A restored database pushes under the certificate that was put into use since, and has the keys of its requests."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.simulator.apns_pki import push_certificate
from tests.support import databases
from tests.support.chronicle import Chronicle, replay, results
from tests.support.push_portal import push_certificate_of
from tests.support.site import MAC, TOPIC, Site

from muster.crypto.certificates import pem_from_der
from muster.crypto.requests import read_request
from muster.domain.errors import Refusal
from muster.operations.replay_journal import ReplayResult
from muster.operations.request_push_certificate import MadeRequest, RequestOrder, request_push_certificates
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    upload_push_certificates,
)
from muster.storage import push_certificates
from muster.storage.push_certificates import CertificateInUse, RequestPurpose

REBUILT, KNOWN = ReplayResult.REBUILT, ReplayResult.KNOWN


@pytest.fixture
def elsewhere(sqlite_template: Path, tmp_path: Path) -> Iterator[Chronicle]:
    """The site as it was: what happens there is journaled, and then its database is lost."""
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "lost.db")
    yield Chronicle(Site(engine))
    engine.close()


def upload(site: Site, certificate_pem: bytes, key_pem: bytes | None) -> AcceptedPushCertificate:
    [outcome] = site.do(upload_push_certificates, UploadedPushCertificate(certificate_pem, key_pem))
    assert isinstance(outcome, AcceptedPushCertificate), outcome
    return outcome


def in_use(site: Site) -> dict[str, CertificateInUse]:
    return site.engine.read(push_certificates.certificates_in_use)


def test_the_push_certificate_that_was_put_into_use_since_is_in_use(site: Site, elsewhere: Chronicle) -> None:
    first, second = push_certificate(TOPIC), push_certificate(TOPIC)
    upload(site, first.certificate_pem, first.key_pem)
    elsewhere.site.wait(days=300)
    site.wait(days=300)
    upload(elsewhere.site, second.certificate_pem, second.key_pem)

    replayed = replay(site, [*elsewhere.records, *elsewhere.records])

    assert results(replayed) == [REBUILT, KNOWN]
    assert in_use(site) == in_use(elsewhere.site)
    [stored] = site.engine.read(push_certificates.current_certificates)
    place = {"table": "push_certificates", "column": "key_sealed", "row": stored.fingerprint.hex()}
    assert site.runner.context().open(stored.key_sealed, **place)


def test_a_certificate_that_was_put_into_use_later_stays(site: Site, elsewhere: Chronicle) -> None:
    first, second = push_certificate(TOPIC), push_certificate(TOPIC)
    upload(elsewhere.site, first.certificate_pem, first.key_pem)
    site.wait(seconds=1)
    accepted = upload(site, second.certificate_pem, second.key_pem)

    assert results(replay(site, elsewhere.records)) == [KNOWN]
    assert in_use(site)[TOPIC].fingerprint == accepted.fingerprint


def test_a_certificate_for_a_request_that_was_lost_is_taken_again(site: Site, elsewhere: Chronicle) -> None:
    [made] = elsewhere.site.do(request_push_certificates, RequestOrder(RequestPurpose.PUSH, "push"))
    assert isinstance(made, MadeRequest)
    request = read_request(base64.b64decode("".join(made.request_pem.splitlines()[1:-1])))
    certificate = pem_from_der([push_certificate_of(TOPIC, request.public_key_der)])

    before = site.do(upload_push_certificates, UploadedPushCertificate(certificate))[0]
    replayed = replay(site, [*elsewhere.records, *elsewhere.records])

    assert isinstance(before, Refusal)
    assert results(replayed) == [REBUILT, KNOWN]
    assert upload(site, certificate, None).topic == TOPIC


def test_devices_are_pushed_again_once_the_certificate_is_back(site: Site, elsewhere: Chronicle) -> None:
    site.enroll(MAC)
    made = push_certificate(TOPIC)
    upload(elsewhere.site, made.certificate_pem, made.key_pem)

    replay(site, elsewhere.records)

    assert site.wish(MAC) is not None


def test_a_key_that_this_ring_does_not_open_is_not_kept(site: Site, elsewhere: Chronicle) -> None:
    made = push_certificate(TOPIC)
    upload(elsewhere.site, made.certificate_pem, made.key_pem)
    [record] = elsewhere.records
    other = replace(record, body=record.body.replace(b'"fingerprint": "', b'"fingerprint": "00'))

    assert results(replay(site, [other])) == [ReplayResult.UNREADABLE]
    assert in_use(site) == {}
