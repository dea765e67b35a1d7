"""What TLS shows as a client certificate, and what it does not."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from tests.crypto.material import ec_key, rsa_key
from tests.support.instants import NOON

from muster.crypto.certificates import pem_from_der
from muster.crypto.client_certificates import why_unusable
from muster.crypto.issuance import make_self_signed
from muster.crypto.keys import PrivateKey, generate_rsa_key, private_key_pem

YEAR = timedelta(days=365)


def pem_of(key: PrivateKey) -> bytes:
    return pem_from_der([make_self_signed("test", key, now=NOON, lifetime=YEAR, serial_number=1)])


def pem_of_a_small_key() -> tuple[bytes, bytes]:
    key = generate_rsa_key(1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOON, NOON + YEAR)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    return certificate, private_key_pem(key)


@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["rsa", "ec"])
def test_good_certificate_is_shown_whatever_its_dates(key: PrivateKey) -> None:
    assert why_unusable(pem_of(key), private_key_pem(key)) is None


@pytest.mark.parametrize(
    ("certificate_pem", "key_pem", "why"),
    [
        (*pem_of_a_small_key(), "ee key too small"),
        (pem_of(rsa_key()), private_key_pem(ec_key()), ""),
        (b"", private_key_pem(ec_key()), ""),
        (pem_of(ec_key()), b"no key", ""),
    ],
    ids=["small-key", "another-key", "no-certificate", "no-key"],
)
def test_certificate_that_is_not_shown_is_told_with_the_reason(
    certificate_pem: bytes, key_pem: bytes, why: str
) -> None:
    said = why_unusable(certificate_pem, key_pem)

    assert said is not None
    assert why in said
    assert "_ssl.c" not in said


@pytest.mark.parametrize("is_in_memory", [True, False])
def test_key_is_left_in_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_in_memory: bool) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not is_in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)

    assert why_unusable(pem_of(ec_key()), private_key_pem(ec_key())) is None
    assert list(tmp_path.iterdir()) == []
