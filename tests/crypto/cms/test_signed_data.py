"""SignedData: what devices and OpenSSL sign is verified, and nothing else is."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import (
    BODY,
    DATA,
    NOW,
    SIGNED_DATA,
    algorithm,
    apple_signature,
    authority,
    bare_certificate,
    ec_identity,
    ec_key,
    identity,
    other_rsa_key,
    rsa_identity,
    rsa_key,
    signed_data,
    signer_info,
    small_rsa_key,
)
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.algorithms import OID_OF_DIGEST, RSA_ENCRYPTION, Digest
from muster.crypto.certificates import known_certificate, pem_from_der
from muster.crypto.cms.signed_data import Verified, verify_attached, verify_detached
from muster.crypto.cms.signing import SignerIdentity, sign_attached, sign_detached, sign_with_attributes
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import private_key_pem, sign

CONTENT_TYPE = der.sequence(der.oid("1.2.840.113549.1.9.3"), der.element(der.SET, der.oid(DATA)))


def message_digest(content: bytes) -> bytes:
    digest = der.octet_string(Digest.SHA256.of(content))
    return der.sequence(der.oid("1.2.840.113549.1.9.4"), der.element(der.SET, digest))


def with_attributes(*attributes: bytes, tag: int = der.CONTEXT_0_CONSTRUCTED) -> bytes:
    """A message whose signature over exactly these attributes holds."""
    certificate = rsa_identity().certificate_der
    signature = sign(rsa_key(), der.element(der.SET, *attributes), Digest.SHA256)
    info = signer_info(certificate, signature, attributes=der.element(tag, *attributes))
    return signed_data(certificate, info)


def without_attributes(
    content: bytes = BODY,
    *,
    digest_oid: str = OID_OF_DIGEST[Digest.SHA256],
    signature_oid: str = RSA_ENCRYPTION,
) -> bytes:
    certificate = rsa_identity().certificate_der
    signature = sign(rsa_key(), content, Digest.SHA256)
    info = signer_info(certificate, signature, digest_oid=digest_oid, signature_oid=signature_oid)
    return signed_data(certificate, info)


# What OpenSSL signs


def openssl_sign(openssl: OpenSSL, signer: SignerIdentity, *options: str) -> bytes:
    certificate = openssl.write("signer.pem", pem_from_der([signer.certificate_der]))
    key = openssl.write("key.pem", private_key_pem(signer.key))
    body = openssl.write("body", BODY)
    openssl.run(
        *("cms", "-sign", "-binary", "-in", body, "-signer", certificate, "-inkey", key),
        *("-outform", "DER", "-out", "cms", *options),
    )
    return openssl.read("cms")


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("digest", list(Digest))
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-noattr",),
        ("-keyid",),
        ("-noattr", "-keyid", "-stream"),
        ("-stream",),
        ("-nodetach",),
        ("-nodetach", "-noattr"),
        ("-nodetach", "-stream"),
        ("-nodetach", "-noattr", "-stream"),
        ("-nosmimecap", "-certfile", "chain.pem"),
    ],
    ids=" ".join,
)
def test_every_form_that_openssl_signs_is_verified_and_binds_the_body(
    openssl: OpenSSL, kind: str, digest: Digest, options: tuple[str, ...]
) -> None:
    signer = rsa_identity() if kind == "rsa" else ec_identity()
    openssl.write("chain.pem", pem_from_der([authority().certificate_der]))
    cms = openssl_sign(openssl, signer, "-md", digest, *options)

    verified = verify_detached(cms, BODY, allow_legacy=True)

    assert verified.signer_certificate_der == signer.certificate_der
    assert (verified.digest, verified.is_legacy) == (digest, digest is Digest.SHA1)
    assert (verified.signing_time is None) == ("-noattr" in options)
    assert (authority().certificate_der in verified.certificates_der) == ("-certfile" in options)
    with pytest.raises(BadSignature):
        verify_detached(cms, BODY + b" ", allow_legacy=True)
    if {"-nodetach", "-stream"} & set(options):  # a stream in DER carries its content always
        assert verify_attached(cms, allow_legacy=True).content == BODY
    else:
        with pytest.raises(MalformedMessage, match="no content"):
            verify_attached(cms, allow_legacy=True)


@pytest.mark.witness("openssl")
def test_a_signature_by_pss_or_md5_is_refused(openssl: OpenSSL) -> None:
    for options in (("-keyopt", "rsa_padding_mode:pss"), ("-md", "md5"), ("-md", "sha224")):
        cms = openssl_sign(openssl, rsa_identity(), *options)

        with pytest.raises(RefusedAlgorithm):
            verify_detached(cms, BODY, allow_legacy=True)


@pytest.mark.witness("openssl")
def test_openssl_agrees_with_the_apple_vector(openssl: OpenSSL) -> None:
    cms = openssl.write("cms", apple_signature(BODY, rsa_key()))
    body = openssl.write("body", BODY)
    arguments = ("cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in", cms, "-content")

    assert openssl.accepts(*arguments, body)
    assert not openssl.accepts(*arguments, openssl.write("other", BODY + b" "))


# What Apple's devices sign


def test_the_ber_signature_of_a_mac_is_verified() -> None:
    cms = apple_signature(BODY, rsa_key())
    assert cms[1] == 0x80

    verified = verify_detached(cms, BODY, allow_legacy=True)

    assert verified.signer_certificate_der == bare_certificate(rsa_key())
    assert (verified.digest, verified.is_legacy, verified.signing_time) == (Digest.SHA1, True, None)
    assert verified.signed_attributes == {}


def test_the_ber_signature_of_a_mac_over_another_body_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify_detached(apple_signature(BODY, rsa_key()), BODY.replace(b"Idle", b"Idlf"), allow_legacy=True)


def test_sha1_is_refused_where_legacy_is() -> None:
    with pytest.raises(RefusedAlgorithm, match="sha1"):
        verify_detached(apple_signature(BODY, rsa_key()), BODY, allow_legacy=False)


def test_an_rsa_key_of_1024_bits_is_legacy() -> None:
    cms = sign_detached(BODY, identity(small_rsa_key()))

    assert verify_detached(cms, BODY, allow_legacy=True).is_legacy
    with pytest.raises(RefusedAlgorithm):
        verify_detached(cms, BODY, allow_legacy=False)


def test_content_in_constructed_pieces_is_joined() -> None:
    pieces = der.element(
        der.OCTET_STRING | der.CONSTRUCTED,
        der.octet_string(BODY[:10]),
        der.element(der.OCTET_STRING | der.CONSTRUCTED, der.octet_string(BODY[10:50]), der.octet_string(b"")),
        der.octet_string(BODY[50:]),
    )
    certificate = rsa_identity().certificate_der
    cms = signed_data(
        certificate,
        signer_info(certificate, sign(rsa_key(), BODY, Digest.SHA256)),
        content=der.element(der.CONTEXT_0_CONSTRUCTED, pieces),
    )

    assert verify_attached(cms, allow_legacy=False).content == BODY


# Signed attributes


def test_a_body_that_differs_from_the_signed_digest_is_refused_although_the_signature_holds() -> None:
    cms = with_attributes(CONTENT_TYPE, message_digest(BODY))
    assert verify_detached(cms, BODY, allow_legacy=False).content == BODY

    with pytest.raises(BadSignature, match="digest"):
        verify_detached(cms, b"another body", allow_legacy=False)


def test_a_signed_content_type_that_differs_is_refused() -> None:
    other = der.sequence(der.oid("1.2.840.113549.1.9.3"), der.element(der.SET, der.oid("1.2.840.113549.1.7.3")))

    with pytest.raises(BadSignature, match="content type"):
        verify_detached(with_attributes(other, message_digest(BODY)), BODY, allow_legacy=False)


def test_attributes_are_taken_as_sent_and_not_sorted() -> None:
    cms = with_attributes(message_digest(BODY), CONTENT_TYPE)

    assert verify_detached(cms, BODY, allow_legacy=False).content == BODY


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        (CONTENT_TYPE,),
        (message_digest(BODY),),
        (CONTENT_TYPE, message_digest(BODY), message_digest(BODY)),
        (CONTENT_TYPE, der.sequence(der.oid("1.2.840.113549.1.9.4"), der.element(der.SET))),
        (CONTENT_TYPE, message_digest(BODY), der.sequence(der.oid("1.2.3"), der.sequence())),
        (CONTENT_TYPE, message_digest(BODY), *(der.sequence(der.oid(f"1.2.{n}"), der.set_of([])) for n in range(31))),
    ],
    ids=["empty", "no digest", "no content type", "digest twice", "digest without value", "no set", "too many"],
)
def test_malformed_attributes_are_refused_although_the_signature_holds(attributes: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedMessage):
        verify_detached(with_attributes(*attributes), BODY, allow_legacy=False)


def test_attributes_cannot_be_passed_off_as_content() -> None:
    attributes = der.element(der.SET, CONTENT_TYPE, message_digest(BODY))
    cms = without_attributes(attributes)

    with pytest.raises(BadSignature, match="attributes"):
        verify_detached(cms, attributes, allow_legacy=False)


def test_other_content_than_data_needs_attributes() -> None:
    certificate = rsa_identity().certificate_der
    info = signer_info(certificate, sign(rsa_key(), BODY, Digest.SHA256))

    with pytest.raises(MalformedMessage, match="attributes are missing"):
        verify_detached(signed_data(certificate, info, content_type="1.2.3.4"), BODY, allow_legacy=False)


def test_attributes_and_signing_time_are_handed_out() -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    cms = sign_with_attributes(BODY, rsa_identity(), {"1.2.3.4": der.integer(5)}, signing_time=moment)

    verified = verify_attached(cms, allow_legacy=False)

    assert verified.signing_time == moment
    assert verified.signed_attributes["1.2.3.4"] == (der.integer(5),)


# Signers, certificates, algorithms


def test_embedded_content_must_equal_the_body() -> None:
    cms = sign_attached(BODY, rsa_identity())

    with pytest.raises(BadSignature, match="embedded"):
        verify_detached(cms, BODY + b"\n", allow_legacy=False)


def test_a_signature_by_another_key_than_the_named_certificates_is_refused() -> None:
    forged = SignerIdentity(rsa_identity().certificate_der, other_rsa_key())

    for attributes in (True, False):
        with pytest.raises(BadSignature):
            verify_detached(sign_detached(BODY, forged, with_attributes=attributes), BODY, allow_legacy=False)


def test_exactly_one_signer_is_accepted() -> None:
    certificate = rsa_identity().certificate_der
    info = signer_info(certificate, sign(rsa_key(), BODY, Digest.SHA256))

    for infos in ((), (info, info)):
        with pytest.raises(MalformedMessage, match="sign"):
            verify_detached(signed_data(certificate, *infos), BODY, allow_legacy=False)


def test_the_signers_certificate_must_be_inside() -> None:
    info = signer_info(rsa_identity().certificate_der, sign(rsa_key(), BODY, Digest.SHA256))

    for certificates in (b"", ec_identity().certificate_der, authority().certificate_der):
        cms = signed_data(certificates, info)
        if certificates == ec_identity().certificate_der:  # same issuer and serial number, another kind of key
            with pytest.raises(MalformedMessage, match="does not fit"):
                verify_detached(cms, BODY, allow_legacy=False)
        else:
            with pytest.raises(MalformedMessage, match="not in the message"):
                verify_detached(cms, BODY, allow_legacy=False)


def test_more_than_sixteen_certificates_are_refused() -> None:
    certificate = rsa_identity().certificate_der
    info = signer_info(certificate, sign(rsa_key(), BODY, Digest.SHA256))
    assert len(verify_detached(signed_data(certificate * 16, info), BODY, allow_legacy=False).certificates_der) == 16

    with pytest.raises(MalformedMessage, match="16"):
        verify_detached(signed_data(certificate * 17, info), BODY, allow_legacy=False)


def test_certificates_of_other_kinds_and_unsigned_attributes_are_passed_over() -> None:
    certificate = rsa_identity().certificate_der
    unsigned = der.element(der.CONTEXT_1_CONSTRUCTED, CONTENT_TYPE)
    info = signer_info(certificate, sign(rsa_key(), BODY, Digest.SHA256), rest=unsigned)
    cms = signed_data(der.element(der.CONTEXT_1_CONSTRUCTED, der.null()) + certificate, info)

    assert verify_detached(cms, BODY, allow_legacy=False).certificates_der == (certificate,)


@pytest.mark.parametrize(
    ("digest_oid", "signature_oid", "error"),
    [
        ("1.2.840.113549.2.5", "1.2.840.113549.1.1.1", RefusedAlgorithm),  # MD5
        ("1.2.840.113549.2.5", "1.2.840.113549.1.1.4", RefusedAlgorithm),
        (OID_OF_DIGEST[Digest.SHA256], "1.2.840.113549.1.1.4", RefusedAlgorithm),  # md5WithRSA
        (OID_OF_DIGEST[Digest.SHA256], "1.2.840.113549.1.1.10", RefusedAlgorithm),  # RSASSA-PSS
        (OID_OF_DIGEST[Digest.SHA256], "1.2.840.113549.1.1.5", MalformedMessage),  # sha1WithRSA
        (OID_OF_DIGEST[Digest.SHA1], "1.2.840.113549.1.1.11", MalformedMessage),
        (OID_OF_DIGEST[Digest.SHA256], "1.2.840.10045.4.3.2", MalformedMessage),  # ECDSA with an RSA key
        (OID_OF_DIGEST[Digest.SHA512], "1.2.840.113549.1.1.1", BadSignature),
    ],
)
def test_algorithms_must_be_known_and_agree(digest_oid: str, signature_oid: str, error: type[Exception]) -> None:
    cms = without_attributes(digest_oid=digest_oid, signature_oid=signature_oid)

    with pytest.raises(error):
        verify_detached(cms, BODY, allow_legacy=True)


def test_an_rsa_signature_labelled_with_its_digest_is_accepted() -> None:
    cms = without_attributes(signature_oid="1.2.840.113549.1.1.11")

    assert verify_detached(cms, BODY, allow_legacy=False).digest is Digest.SHA256


def test_an_ec_signature_labelled_with_the_kind_of_key_is_accepted() -> None:
    certificate = ec_identity().certificate_der
    info = signer_info(certificate, sign(ec_key(), BODY, Digest.SHA256), signature_oid="1.2.840.10045.2.1")

    assert verify_detached(signed_data(certificate, info), BODY, allow_legacy=False).digest is Digest.SHA256


# Bounds


def test_trailing_bytes_are_refused() -> None:
    cms = sign_detached(BODY, rsa_identity())

    for changed in (cms + b"\0", cms + cms, apple_signature(BODY, rsa_key()) + b"\0\0"):
        with pytest.raises(MalformedMessage):
            verify_detached(changed, BODY, allow_legacy=True)


def test_a_length_bomb_is_refused_without_allocating() -> None:
    for length in (b"\x84\xff\xff\xff\xff", b"\x88" + b"\xff" * 8, b"\xff" * 40):
        with pytest.raises(MalformedMessage):
            verify_detached(b"\x30" + length + b"\x06\x09", BODY, allow_legacy=True)


def test_deep_nesting_is_refused() -> None:
    for deep in (b"\x30\x80" * 5000, b"\x24\x80" * 5000 + b"\0\0" * 5000):
        content = der.element(der.CONTEXT_0_CONSTRUCTED, b"\x24\x80" + deep + b"\0\0")
        for cms in (deep, signed_data(rsa_identity().certificate_der, content=content)):
            with pytest.raises(MalformedMessage):
                verify_attached(cms, allow_legacy=True)


def test_something_else_than_signed_data_is_refused() -> None:
    cms = der.sequence(der.oid("1.2.840.113549.1.7.3"), der.element(der.CONTEXT_0_CONSTRUCTED, der.sequence()))
    assert SIGNED_DATA != "1.2.840.113549.1.7.3"

    with pytest.raises(MalformedMessage, match="SignedData"):
        verify_attached(cms, allow_legacy=True)


def verify_or_none(cms: bytes) -> Verified | None:
    """Only the documented errors may escape."""
    try:
        return verify_detached(cms, BODY, allow_legacy=True)
    except (MalformedMessage, BadSignature, RefusedAlgorithm):
        return None


VECTORS = {
    "apple": lambda: apple_signature(BODY, rsa_key()),
    "attributes": lambda: sign_detached(BODY, rsa_identity(), signing_time=NOW),
    "ec": lambda: sign_detached(BODY, ec_identity(), with_attributes=False),
    "attached": lambda: sign_attached(BODY, ec_identity(), chain=[authority().certificate_der]),
}


@pytest.mark.parametrize("vector", VECTORS)
@settings(max_examples=250, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_message_with_one_byte_changed_speaks_for_the_same_key_or_is_refused(
    vector: str, place: float, value: int
) -> None:
    cms = bytearray(VECTORS[vector]())
    key = known_certificate(verify_detached(bytes(cms), BODY, allow_legacy=True).signer_certificate_der).public_key
    cms[int(place * len(cms))] ^= value

    verified = verify_or_none(bytes(cms))

    # Accepted are changes where a signature does not look: in the rest of a certificate, or in digestAlgorithms.
    if verified is not None:
        assert verified.content == BODY
        assert known_certificate(verified.signer_certificate_der).public_key == key


@pytest.mark.parametrize("vector", VECTORS)
def test_every_truncation_is_refused(vector: str) -> None:
    cms = VECTORS[vector]()

    assert [length for length in range(len(cms)) if verify_or_none(cms[:length])] == []


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_give_documented_errors_only(octets: bytes) -> None:
    assert verify_or_none(octets) is None


@settings(max_examples=200, deadline=None)
@given(cuts=st.lists(st.floats(0, 1), min_size=2, max_size=6), vector=st.sampled_from(sorted(VECTORS)))
def test_pieces_in_another_order_give_documented_errors_only(cuts: list[float], vector: str) -> None:
    cms = VECTORS[vector]()
    edges = sorted(int(cut * len(cms)) for cut in cuts)
    shuffled = b"".join(cms[a:b] for a, b in reversed(list(pairwise([0, *edges, len(cms)]))))

    verified = verify_or_none(shuffled)

    assert verified is None or shuffled == cms


def test_a_huge_rsa_exponent_is_refused_before_it_costs_anything() -> None:
    numbers = rsa_key().public_key().public_numbers()
    spki = der.sequence(
        algorithm("1.2.840.113549.1.1.1"),
        der.bit_string(der.sequence(der.integer(numbers.n), der.integer(numbers.n - 2))),
    )
    certificate = rsa_identity().certificate_der
    small = known_certificate(certificate)
    assert small.public_key is not None
    changed = _with_key(certificate, spki)

    assert known_certificate(changed).public_key is None


def _with_key(certificate: bytes, spki: bytes) -> bytes:
    outer = der.Reader.of_single(certificate, der.SEQUENCE)
    body = outer.enter(der.SEQUENCE)
    members = [body.raw() for _ in range(6)]
    body.skip()
    return der.sequence(der.sequence(*members, spki, body.remaining()), outer.remaining())


def test_a_key_of_more_than_8192_bits_is_refused() -> None:
    modulus = (1 << 8200) + 1
    spki = der.sequence(
        algorithm("1.2.840.113549.1.1.1"), der.bit_string(der.sequence(der.integer(modulus), der.integer(65537)))
    )
    certificate = _with_key(rsa_identity().certificate_der, spki)
    info = signer_info(certificate, b"\1" * 1026)

    with pytest.raises(RefusedAlgorithm):
        verify_detached(signed_data(certificate, info), BODY, allow_legacy=True)
