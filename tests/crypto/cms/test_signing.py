"""SignedData that we make: OpenSSL verifies it, and equal input gives equal bytes."""

import pytest
from tests.crypto.material import BODY, NOW, authority, ec_identity, rsa_identity
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.algorithms import Digest
from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.signed_data import verify_attached, verify_detached
from muster.crypto.cms.signing import (
    SignerIdentity,
    certificates_only,
    read_certificates_only,
    sign_attached,
    sign_detached,
    sign_with_attributes,
)
from muster.crypto.errors import MalformedMessage

SIGNERS = {"rsa": rsa_identity, "ec": ec_identity}


def verify_by_openssl(openssl: OpenSSL, cms: bytes, *options: str) -> bytes:
    """Let OpenSSL check signature and chain; returns the content."""
    openssl.write("cms", cms)
    openssl.write("ca.pem", pem_from_der([authority().certificate_der]))
    return openssl.run(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", "cms", "-CAfile", "ca.pem", "-purpose", "any"),
        *("-attime", str(int(NOW.timestamp())), *options),
    )


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("digest", list(Digest))
def test_openssl_verifies_what_we_sign_attached(openssl: OpenSSL, kind: str, digest: Digest) -> None:
    cms = sign_attached(BODY, SIGNERS[kind](), digest=digest, chain=[authority().certificate_der], signing_time=NOW)

    assert verify_by_openssl(openssl, cms) == BODY


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("digest", list(Digest))
@pytest.mark.parametrize("with_attributes", [True, False])
def test_openssl_verifies_what_we_sign_detached(
    openssl: OpenSSL, kind: str, digest: Digest, *, with_attributes: bool
) -> None:
    cms = sign_detached(BODY, SIGNERS[kind](), digest=digest, with_attributes=with_attributes)
    body = openssl.write("body", BODY)

    assert verify_by_openssl(openssl, cms, "-content", body) == BODY


@pytest.mark.witness("openssl")
def test_openssl_verifies_attributes_of_our_own(openssl: OpenSSL) -> None:
    attributes = {f"2.16.840.1.113733.1.9.{n}": der.octet_string(b"x" * n) for n in (7, 2, 5)}
    cms = sign_with_attributes(BODY, rsa_identity(), attributes)

    assert verify_by_openssl(openssl, cms) == BODY
    assert dict(verify_attached(cms, allow_legacy=False).signed_attributes).items() >= {
        (oid, (value,)) for oid, value in attributes.items()
    }


@pytest.mark.witness("openssl")
def test_openssl_reads_our_certificate_bundle(openssl: OpenSSL) -> None:
    bundle = certificates_only([rsa_identity().certificate_der, authority().certificate_der])
    openssl.write("bundle", bundle)

    listed = openssl.run("pkcs7", "-inform", "DER", "-in", "bundle", "-print_certs", "-noout").decode()

    assert listed.index("CN = device") < listed.index("subject=CN = Muster CA")


@pytest.mark.witness("openssl")
def test_we_read_openssls_certificate_bundle(openssl: OpenSSL) -> None:
    certificates = (rsa_identity().certificate_der, authority().certificate_der)
    openssl.write("chain.pem", pem_from_der(certificates))
    openssl.run("crl2pkcs7", "-nocrl", "-certfile", "chain.pem", "-outform", "DER", "-out", "bundle")

    assert set(read_certificates_only(openssl.read("bundle"))) == set(certificates)


def test_a_bundle_keeps_its_order() -> None:
    certificates = (rsa_identity().certificate_der, authority().certificate_der, ec_identity().certificate_der)

    assert read_certificates_only(certificates_only(certificates)) == certificates


def test_a_bundle_without_certificates_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        read_certificates_only(certificates_only([]))


@pytest.mark.parametrize("kind", SIGNERS)
def test_equal_input_gives_equal_bytes(kind: str) -> None:
    def signed() -> tuple[bytes, bytes]:
        return sign_attached(BODY, SIGNERS[kind](), signing_time=NOW), sign_detached(
            BODY, SIGNERS[kind](), with_attributes=False
        )

    assert signed() == signed()


@pytest.mark.parametrize("kind", SIGNERS)
def test_what_we_sign_we_verify(kind: str) -> None:
    signer = SIGNERS[kind]()

    verified = verify_detached(sign_detached(BODY, signer, signing_time=NOW), BODY, allow_legacy=False)

    assert (verified.signer_certificate_der, verified.signing_time) == (signer.certificate_der, NOW)


def test_a_signers_key_stays_out_of_its_representation() -> None:
    assert "key" not in repr(SignerIdentity(b"", rsa_identity().key))
