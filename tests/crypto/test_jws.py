"""JSON Web Signatures that others verify."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from tests.crypto.openssl import OpenSSL

from muster.crypto.algorithms import Digest
from muster.crypto.jws import base64url, public_jwk, sign_compact
from muster.crypto.keys import RSAPrivateKey, load_public_key, public_key_der, verify
from muster.simulator.keys.published import published_keys

CLAIMS = {"iss": "https://mdm.example", "sub_id": {"format": "opaque", "id": "é"}}


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return published_keys()[0]


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_parts_are_the_header_the_claims_and_a_signature_over_both(key: RSAPrivateKey) -> None:
    header, claims, signature = sign_compact(key, {"typ": "secevent+jwt", "kid": "k"}, CLAIMS).split(".")

    assert json.loads(octets(header)) == {"typ": "secevent+jwt", "kid": "k", "alg": "RS256"}
    assert json.loads(octets(claims)) == CLAIMS
    public = load_public_key(public_key_der(key))
    verify(public, octets(signature), f"{header}.{claims}".encode(), Digest.SHA256)


@pytest.mark.witness("openssl")
def test_openssl_accepts_the_signature(key: RSAPrivateKey, tmp_path: Path) -> None:
    openssl = OpenSSL(tmp_path)
    signed, _, signature = sign_compact(key, {}, CLAIMS).rpartition(".")
    openssl.write("key.der", public_key_der(key))
    openssl.write("signed", signed.encode())
    openssl.write("signature", octets(signature))

    verified = ("dgst", "-sha256", "-keyform", "DER", "-verify", "key.der", "-signature", "signature")
    assert openssl.accepts(*verified, "signed")
    openssl.write("other", signed.encode() + b"x")
    assert not openssl.accepts(*verified, "other")


def test_public_key_is_named_by_its_thumbprint(key: RSAPrivateKey) -> None:
    jwk = public_jwk(key.public_key())

    numbers = key.public_key().public_numbers()
    assert int.from_bytes(octets(jwk["n"])) == numbers.n
    assert int.from_bytes(octets(jwk["e"])) == numbers.e
    thumbprint = hashlib.sha256(f'{{"e":"{jwk["e"]}","kty":"RSA","n":"{jwk["n"]}"}}'.encode()).digest()
    assert (jwk["kid"], jwk["use"], jwk["alg"]) == (base64url(thumbprint), "sig", "RS256")


def test_known_thumbprint_comes_out() -> None:
    # RFC 7638, 3.1
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    key = RSAPublicNumbers(65537, int.from_bytes(octets(n))).public_key()

    assert public_jwk(key)["kid"] == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
