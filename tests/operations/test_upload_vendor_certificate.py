"""An MDM vendor certificate is taken only when Apple's portal could follow it up to a root."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.push_portal import (
    application_integration,
    developer_relations,
    push_certificate_of,
    root,
    vendor_certificate,
)
from tests.support.runner import NOW
from tests.support.site import Site

from muster.crypto.certificates import der_from_pem, pem_from_der
from muster.crypto.keys import generate_ec_key, private_key_der, private_key_pem, public_key_der
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.upload_vendor_certificate import (
    AcceptedVendorCertificate,
    UploadedVendorCertificate,
    upload_vendor_certificates,
)
from muster.simulator.keys.published import published_keys
from muster.storage import push_certificates, schema

KEY = published_keys()[7]
KEY_PEM = private_key_pem(KEY)
ABOVE = developer_relations().certificate_der
ROOT = root().certificate_der
EC_KEY = generate_ec_key()


def certificate(*, not_before: datetime = NOW - timedelta(days=1), not_after: datetime = NOW + timedelta(9)) -> bytes:
    return vendor_certificate(public_key_der(KEY), not_before=not_before, not_after=not_after)


def of_former_authority() -> bytes:
    return vendor_certificate(public_key_der(KEY), issuer=developer_relations(is_over=True))


@pytest.mark.parametrize(
    "uploaded",
    [
        UploadedVendorCertificate(certificate(), private_key_der(KEY), pem_from_der([ABOVE, ROOT])),
        UploadedVendorCertificate(pem_from_der([ROOT, ABOVE, certificate()]) + KEY_PEM),
        UploadedVendorCertificate(
            certificate(), KEY_PEM, pem_from_der([application_integration().certificate_der, ROOT, ABOVE])
        ),
    ],
    ids=["apart", "in-one-file", "with-strangers"],
)
def test_chain_is_put_in_order_from_whatever_files_it_comes_in(site: Site, uploaded: UploadedVendorCertificate) -> None:
    outcome = site.do(upload_vendor_certificates, uploaded)[0]

    stored = site.engine.read(push_certificates.current_vendor_certificate)
    assert isinstance(outcome, AcceptedVendorCertificate), outcome
    assert stored is not None
    assert der_from_pem(stored.certificate_pem)[1:] == (ABOVE, ROOT)
    assert b"PRIVATE KEY" not in stored.key_sealed
    assert site.rows(sa.select(schema.audit.c.act)) == [("vendor_certificate.upload",)]


@pytest.mark.parametrize(
    ("uploaded", "why", "remedy"),
    [
        (
            UploadedVendorCertificate(certificate(), KEY_PEM),
            "issuer is missing: O=Apple Inc.,CN=Simulated Worldwide Developer Relations",
            "--chain",
        ),
        (UploadedVendorCertificate(certificate(), KEY_PEM, ABOVE), "CN=Simulated Root CA", "--chain"),
        (UploadedVendorCertificate(certificate(), KEY_PEM, ROOT), "CN=Simulated Worldwide", "certificateauthority"),
        (
            UploadedVendorCertificate(
                of_former_authority(),
                KEY_PEM,
                pem_from_der([developer_relations(is_over=True).certificate_der, ROOT]),
            ),
            "to 2026-11-21",
            "valid now",
        ),
        (UploadedVendorCertificate(certificate(not_after=NOW), KEY_PEM), "it expired on 2026-11-22", "new one"),
        (UploadedVendorCertificate(certificate(not_before=NOW + timedelta(1)), KEY_PEM), "valid from", "clock"),
        (UploadedVendorCertificate(certificate(), private_key_pem(EC_KEY)), "does not belong", "request"),
        (UploadedVendorCertificate(certificate()), "answers no request", "--key"),
        (
            UploadedVendorCertificate(vendor_certificate(public_key_der(EC_KEY)), private_key_pem(EC_KEY)),
            "not RSA",
            "RSA key",
        ),
        (UploadedVendorCertificate(ABOVE, KEY_PEM), "of an authority", "--cert"),
        (
            UploadedVendorCertificate(push_certificate_of("com.apple.mgmt.x", public_key_der(KEY)), KEY_PEM),
            "it is a push certificate",
            "muster push-cert upload",
        ),
        (UploadedVendorCertificate(b"nonsense", KEY_PEM), "there is no certificate in it", "PEM or DER"),
        (UploadedVendorCertificate(certificate(), KEY_PEM, b"nonsense"), "there is no certificate in it", "PEM or DER"),
    ],
)
def test_certificate_that_could_not_sign_for_the_portal_is_refused(
    site: Site, uploaded: UploadedVendorCertificate, why: str, remedy: str
) -> None:
    outcome = site.do(upload_vendor_certificates, uploaded)[0]

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.VENDOR_CERTIFICATE_UNFIT
    assert why in outcome.message
    assert remedy in outcome.remedy
    assert site.engine.read(push_certificates.current_vendor_certificate) is None
