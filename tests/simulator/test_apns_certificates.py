"""Which push certificates the simulated APNs listens to."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.simulator.apns_pki import push_certificate

from muster.crypto.certificates import fingerprint, inspect_certificate
from muster.crypto.errors import MalformedMessage
from muster.simulator.apns_certificates import PushCertificates
from muster.simulator.apns_refusal import Refusal, TlsAlert

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
A_MOMENT = timedelta(seconds=1)


def test_push_certificate_in_its_time_is_heard() -> None:
    assert PushCertificates().judge(push_certificate().certificate_der, NOW) is None


def test_certificate_out_of_its_time_is_refused_by_tls() -> None:
    der = push_certificate().certificate_der
    facts = inspect_certificate(der)
    judge = PushCertificates().judge

    assert judge(der, facts.not_before - A_MOMENT) is TlsAlert.BAD_CERTIFICATE
    assert judge(der, facts.not_before) is None
    assert judge(der, facts.not_after - A_MOMENT) is None
    assert judge(der, facts.not_after) is TlsAlert.CERTIFICATE_EXPIRED


def test_certificate_without_a_topic_of_mdm_is_refused() -> None:
    der = push_certificate("com.example.app").certificate_der

    assert PushCertificates().judge(der, NOW) == Refusal("BadCertificate")


def test_revoked_certificate_is_refused_and_its_successor_is_not() -> None:
    certificates = PushCertificates()
    former, successor = push_certificate(serial_number=3), push_certificate(serial_number=4)

    certificates.revoke(fingerprint(former.certificate_der))

    assert certificates.judge(former.certificate_der, NOW) == Refusal("BadCertificate")
    assert certificates.judge(successor.certificate_der, NOW) is None


def test_certificate_of_the_other_environment_is_refused_until_it_is_reinstated() -> None:
    certificates, der = PushCertificates(), push_certificate().certificate_der
    certificates.move_to_other_environment(fingerprint(der))
    refused = certificates.judge(der, NOW)

    certificates.reinstate(fingerprint(der))

    assert refused == Refusal("BadCertificateEnvironment")
    assert certificates.judge(der, NOW) is None


def test_what_is_no_certificate_is_said_to_be_none() -> None:
    with pytest.raises(MalformedMessage):
        PushCertificates().judge(b"none", NOW)
