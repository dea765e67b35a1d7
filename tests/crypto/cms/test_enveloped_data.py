"""EnvelopedData: opened whoever made it, made so that OpenSSL opens it, and silent about why it does not open."""

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import (
    BODY,
    DATA,
    CountingBytes,
    authority,
    bare_certificate,
    ec_identity,
    ec_key,
    identity,
    indefinite,
    other_rsa_key,
    rsa_identity,
    rsa_key,
)
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.algorithms import OID_OF_CIPHER, RSA_ENCRYPTION, Cipher
from muster.crypto.certificates import known_certificate, pem_from_der
from muster.crypto.cms.enveloped_data import Opened, envelope, is_addressed_to, open_envelope
from muster.crypto.errors import CannotDecrypt, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import RSAPublicKey, private_key_pem

OPENSSL_CIPHERS = {
    "-des-ede3-cbc": Cipher.DES_EDE3_CBC,
    "-aes-128-cbc": Cipher.AES_128_CBC,
    "-aes-192-cbc": Cipher.AES_192_CBC,
    "-aes-256-cbc": Cipher.AES_256_CBC,
}
LEGACY_PROVIDER = ("-provider", "legacy", "-provider", "default")


def openssl_encrypt(openssl: OpenSSL, *options: str, recipients: tuple[bytes, ...] = ()) -> bytes:
    openssl.write("body", BODY)
    names: list[str] = []
    for certificate in recipients or (rsa_identity().certificate_der,):
        names += ["-recip", openssl.write(f"recipient{len(names)}.pem", pem_from_der([certificate]))]
    openssl.run("cms", "-encrypt", "-binary", "-in", "body", "-outform", "DER", "-out", "cms", *names, *options)
    return openssl.read("cms")


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("cipher", OPENSSL_CIPHERS)
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-stream",),
        ("-keyid",),
        ("-keyopt", "rsa_padding_mode:oaep"),
        ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"),
        (*("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512"), "-keyopt", "rsa_mgf1_md:sha1"),
    ],
    ids=" ".join,
)
def test_every_form_that_openssl_encrypts_is_opened(openssl: OpenSSL, cipher: str, options: tuple[str, ...]) -> None:
    if "-keyopt" in options:  # OpenSSL wants these behind the recipient
        certificate = openssl.write("recipient.pem", pem_from_der([rsa_identity().certificate_der]))
        openssl.write("body", BODY)
        openssl.run(
            *("cms", "-encrypt", "-binary", "-in", "body", "-outform", "DER", "-out", "cms", cipher),
            *("-recip", certificate, *options),
        )
        cms = openssl.read("cms")
    else:
        cms = openssl_encrypt(openssl, cipher, *options)

    opened = open_envelope(cms, rsa_key(), allow_legacy=True)

    expected = OPENSSL_CIPHERS[cipher]
    assert opened == Opened(BODY, expected, is_legacy=expected is Cipher.DES_EDE3_CBC)


@pytest.mark.witness("openssl")
def test_single_des_of_openssl_is_opened(openssl: OpenSSL) -> None:
    if not openssl.accepts("list", "-cipher-algorithms", *LEGACY_PROVIDER):
        pytest.skip("openssl has no legacy provider")
    cms = openssl_encrypt(openssl, "-des-cbc", *LEGACY_PROVIDER)

    assert open_envelope(cms, rsa_key(), allow_legacy=True) == Opened(BODY, Cipher.DES_CBC, is_legacy=True)


@pytest.mark.witness("openssl")
def test_one_of_two_recipients_opens_when_its_certificate_is_named(openssl: OpenSSL) -> None:
    mine, other = identity(rsa_key()).certificate_der, identity_of_other()
    cms = openssl_encrypt(openssl, "-aes-256-cbc", recipients=(other, mine))

    opened = open_envelope(cms, rsa_key(), allow_legacy=False, recipient_certificate_der=mine)

    assert opened.content == BODY
    with pytest.raises(CannotDecrypt):
        open_envelope(cms, rsa_key(), allow_legacy=False)


def identity_of_other() -> bytes:
    return bare_certificate(other_rsa_key())


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("cipher", list(Cipher))
def test_openssl_opens_what_we_make(openssl: OpenSSL, cipher: Cipher) -> None:
    cms = envelope(BODY, rsa_identity().certificate_der, cipher=cipher, random_bytes=CountingBytes())
    openssl.write("cms", cms)
    openssl.write("key.pem", private_key_pem(rsa_key()))
    openssl.write("certificate.pem", pem_from_der([rsa_identity().certificate_der]))
    provider = LEGACY_PROVIDER if cipher is Cipher.DES_CBC else ()

    plain = openssl.run(
        *("cms", "-decrypt", "-binary", "-inform", "DER", "-in", "cms"),
        *("-inkey", "key.pem", "-recip", "certificate.pem", *provider),
    )

    assert plain == BODY


@pytest.mark.parametrize("cipher", list(Cipher))
@pytest.mark.parametrize("length", [0, 1, 7, 8, 15, 16, 1000])
def test_what_we_make_we_open(cipher: Cipher, length: int) -> None:
    content = BODY.ljust(1000, b".")[:length]
    cms = envelope(content, rsa_identity().certificate_der, cipher=cipher, random_bytes=CountingBytes())

    opened = open_envelope(cms, rsa_key(), allow_legacy=True, recipient_certificate_der=rsa_identity().certificate_der)

    assert opened == Opened(content, cipher, cipher in (Cipher.DES_CBC, Cipher.DES_EDE3_CBC))


@pytest.mark.parametrize("cipher", list(Cipher))
def test_des_and_3des_are_refused_where_legacy_is(cipher: Cipher) -> None:
    cms = envelope(BODY, rsa_identity().certificate_der, cipher=cipher, random_bytes=CountingBytes())

    if cipher in (Cipher.DES_CBC, Cipher.DES_EDE3_CBC):
        with pytest.raises(RefusedAlgorithm):
            open_envelope(cms, rsa_key(), allow_legacy=False)
    else:
        assert open_envelope(cms, rsa_key(), allow_legacy=False).content == BODY


def assembled(
    *,
    transported: bytes,
    encrypted: bytes,
    cipher_oid: str = OID_OF_CIPHER[Cipher.AES_128_CBC],
    vector: bytes = bytes(16),
    transport: bytes | None = None,
    constructed: bool = False,
) -> bytes:
    """An envelope put together by hand, in BER of indefinite lengths."""
    known = known_certificate(rsa_identity().certificate_der)
    recipient = der.sequence(
        der.integer(0),
        known.issuer_and_serial,
        transport or der.sequence(der.oid(RSA_ENCRYPTION), der.null()),
        der.octet_string(transported),
    )
    content = der.element(der.CONTEXT_0, encrypted)
    if constructed:
        content = indefinite(
            der.CONTEXT_0_CONSTRUCTED, der.octet_string(encrypted[:16]), der.octet_string(encrypted[16:])
        )
    return indefinite(
        der.SEQUENCE,
        der.oid("1.2.840.113549.1.7.3"),
        indefinite(
            der.CONTEXT_0_CONSTRUCTED,
            indefinite(
                der.SEQUENCE,
                der.integer(0),
                der.element(der.SET, recipient),
                indefinite(
                    der.SEQUENCE,
                    der.oid(DATA),
                    der.sequence(der.oid(cipher_oid), der.octet_string(vector)),
                    content,
                ),
            ),
        ),
    )


def parts() -> tuple[bytes, bytes]:
    """(transported key, encrypted content) of a good envelope with AES-128 and a vector of zeros."""

    def random_bytes(count: int) -> bytes:
        return bytes(count)

    cms = envelope(BODY, rsa_identity().certificate_der, cipher=Cipher.AES_128_CBC, random_bytes=random_bytes)
    data = der.Reader.of_single(cms, der.SEQUENCE)
    data.oid()
    enveloped = data.enter(der.CONTEXT_0_CONSTRUCTED).enter(der.SEQUENCE)
    enveloped.skip()
    recipient = enveloped.enter(der.SET).enter(der.SEQUENCE)
    for _ in range(3):
        recipient.skip()
    content = enveloped.enter(der.SEQUENCE)
    content.skip()
    content.skip()
    return recipient.octet_string(), content.content(der.CONTEXT_0)


def test_constructed_encrypted_content_is_opened() -> None:
    transported, encrypted = parts()

    cms = assembled(transported=transported, encrypted=encrypted, constructed=True)

    assert open_envelope(cms, rsa_key(), allow_legacy=False).content == BODY


def test_every_failure_to_decrypt_is_the_same_error() -> None:
    transported, encrypted = parts()
    public_key = known_certificate(rsa_identity().certificate_der).public_key
    assert isinstance(public_key, RSAPublicKey)
    too_short = public_key.encrypt(bytes(8), PKCS1v15())
    too_long = public_key.encrypt(bytes(32), PKCS1v15())
    failures = [
        assembled(transported=bytes(256), encrypted=encrypted),
        assembled(transported=transported[:-1], encrypted=encrypted),
        assembled(transported=b"\xff" * 256, encrypted=encrypted),
        assembled(transported=b"", encrypted=encrypted),
        assembled(transported=too_short, encrypted=encrypted),
        assembled(transported=too_long, encrypted=encrypted),
        assembled(transported=transported, encrypted=encrypted[:-1]),
        assembled(transported=transported, encrypted=encrypted[:-16]),
        assembled(transported=transported, encrypted=encrypted[:-1] + bytes((encrypted[-1] ^ 1,))),
        assembled(transported=transported, encrypted=b""),
    ]

    seen, noise = set(), []
    for cms in failures:
        try:
            noise.append(open_envelope(cms, rsa_key(), allow_legacy=False).content)
        except CannotDecrypt as error:
            seen.add((str(error), error.__cause__))

    assert seen == {("", None)}
    assert BODY not in noise  # of what it cannot decrypt OpenSSL makes a random key, which fits once in 256 times
    assert len(noise) <= 3


def test_another_key_does_not_open_it() -> None:
    cms = envelope(BODY, rsa_identity().certificate_der, random_bytes=CountingBytes())

    for key in (other_rsa_key(), ec_key()):
        with pytest.raises(CannotDecrypt):
            open_envelope(cms, key, allow_legacy=False)


def test_a_named_recipient_that_is_not_among_them_does_not_open_it() -> None:
    cms = envelope(BODY, rsa_identity().certificate_der, random_bytes=CountingBytes())

    with pytest.raises(CannotDecrypt):
        open_envelope(cms, rsa_key(), allow_legacy=False, recipient_certificate_der=identity_of_other())


def test_only_rsa_receives() -> None:
    with pytest.raises(RefusedAlgorithm):
        envelope(BODY, ec_identity().certificate_der, random_bytes=CountingBytes())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cipher_oid": "1.2.840.113549.3.2"}, RefusedAlgorithm),  # RC2
        ({"cipher_oid": "2.16.840.1.101.3.4.1.6"}, RefusedAlgorithm),  # AES-GCM
        ({"vector": bytes(8)}, MalformedMessage),
        ({"transport": der.sequence(der.oid("1.2.840.113549.1.9.16.3.5"))}, RefusedAlgorithm),
        ({"transport": der.sequence(der.oid("1.2.840.113549.1.1.7"), der.null())}, CannotDecrypt),
        (
            {
                "transport": der.sequence(
                    der.oid("1.2.840.113549.1.1.7"),
                    der.sequence(
                        der.element(
                            der.CONTEXT_2_CONSTRUCTED,
                            der.sequence(der.oid("1.2.840.113549.1.1.9"), der.octet_string(b"label")),
                        )
                    ),
                )
            },
            RefusedAlgorithm,
        ),
    ],
)
def test_unknown_algorithms_and_parameters_are_refused(change: dict[str, bytes], error: type[Exception]) -> None:
    transported, encrypted = parts()

    with pytest.raises(error):
        open_envelope(
            assembled(transported=transported, encrypted=encrypted, **change),  # type: ignore[arg-type] # one of each
            rsa_key(),
            allow_legacy=True,
        )


def open_or_none(cms: bytes) -> Opened | None:
    """Only the documented errors may escape."""
    try:
        return open_envelope(cms, rsa_key(), allow_legacy=True)
    except (MalformedMessage, RefusedAlgorithm, CannotDecrypt):
        return None


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), is_ber=st.booleans())
def test_an_envelope_with_one_byte_changed_gives_documented_errors_only(
    place: float, value: int, *, is_ber: bool
) -> None:
    transported, encrypted = parts()
    cms = bytearray(
        assembled(transported=transported, encrypted=encrypted, constructed=True)
        if is_ber
        else envelope(BODY, rsa_identity().certificate_der, random_bytes=CountingBytes())
    )
    cms[int(place * len(cms))] ^= value

    open_or_none(bytes(cms))


def test_every_truncation_of_an_envelope_is_refused() -> None:
    cms = envelope(BODY, rsa_identity().certificate_der, random_bytes=CountingBytes())

    assert [length for length in range(len(cms)) if open_or_none(cms[:length]) is not None] == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(octets: bytes) -> None:
    assert open_or_none(octets) is None


def test_an_envelope_tells_whom_it_is_for_without_being_opened() -> None:
    sealed = envelope(BODY, rsa_identity().certificate_der, random_bytes=CountingBytes())

    assert is_addressed_to(sealed, rsa_identity().certificate_der)
    assert not is_addressed_to(sealed, authority().certificate_der)


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_whom_it_is_for_is_refused_of_what_is_no_envelope(noise: bytes) -> None:
    with pytest.raises((MalformedMessage, RefusedAlgorithm)):
        is_addressed_to(noise, rsa_identity().certificate_der)
