"""Keys: loaded from what OpenSSL writes, bounded in kind and size."""

import hashlib

import pytest
from tests.crypto.material import ec_key, other_rsa_key, rsa_key
from tests.crypto.openssl import OpenSSL

from muster.crypto.algorithms import Digest
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import (
    load_private_key,
    load_public_key,
    private_key_der,
    private_key_pem,
    public_key_der,
    sign,
    spki_fingerprint,
    verify,
)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_key_is_loaded_as_written(*, is_ours: bool) -> None:
    for key in (rsa_key(), ec_key()):
        for written in (private_key_der(key), private_key_pem(key), b"\n" + private_key_pem(key)):
            assert public_key_der(load_private_key(written, is_ours=is_ours)) == public_key_der(key)


@pytest.mark.witness("openssl")
def test_older_forms_are_loaded(openssl: OpenSSL) -> None:
    openssl.write("rsa.pem", private_key_pem(rsa_key()))
    openssl.write("ec.pem", private_key_pem(ec_key()))
    pkcs1 = openssl.run("rsa", "-in", "rsa.pem", "-traditional")
    sec1 = openssl.run("ec", "-in", "ec.pem", "-outform", "DER")

    assert b"BEGIN RSA PRIVATE KEY" in pkcs1
    assert public_key_der(load_private_key(pkcs1)) == public_key_der(rsa_key())
    assert public_key_der(load_private_key(sec1)) == public_key_der(ec_key())


@pytest.mark.witness("openssl")
def test_an_encrypted_key_is_refused(openssl: OpenSSL) -> None:
    openssl.write("rsa.pem", private_key_pem(rsa_key()))
    encrypted = openssl.run("pkcs8", "-topk8", "-in", "rsa.pem", "-passout", "pass:x")

    with pytest.raises(MalformedMessage):
        load_private_key(encrypted)


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("options", [("ED25519",), ("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"), ("X25519",)])
def test_other_kinds_of_keys_are_refused(openssl: OpenSSL, options: tuple[str, ...]) -> None:
    key = openssl.run("genpkey", "-algorithm", *options)
    openssl.write("key.pem", key)
    public = openssl.run("pkey", "-in", "key.pem", "-pubout", "-outform", "DER")

    with pytest.raises(RefusedAlgorithm):
        load_private_key(key)
    with pytest.raises(RefusedAlgorithm):
        load_public_key(public)


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(MalformedMessage):
        load_private_key(junk)
    with pytest.raises(MalformedMessage):
        load_public_key(junk)


@pytest.mark.parametrize("digest", list(Digest))
def test_a_signature_holds_for_its_key_and_message_only(digest: Digest) -> None:
    for key in (rsa_key(), ec_key()):
        signature = sign(key, b"message", digest)

        verify(key.public_key(), signature, b"message", digest)
        for wrong in (b"", b"\0", signature[:-1], signature + b"\0"):
            with pytest.raises(BadSignature):
                verify(key.public_key(), wrong, b"message", digest)
        with pytest.raises(BadSignature):
            verify(other_rsa_key().public_key(), signature, b"message", digest)
        assert sign(key, b"message", digest) == signature


def test_the_fingerprint_is_the_sha256_of_the_public_key() -> None:
    assert spki_fingerprint(public_key_der(ec_key())) == hashlib.sha256(public_key_der(ec_key())).digest()
