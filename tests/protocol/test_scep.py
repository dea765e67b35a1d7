"""SCEP: both sides understand each other, OpenSSL understands what both say, and refusals say why."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import (
    NOW,
    CountingBytes,
    authority,
    ec_identity,
    ec_key,
    name_of,
    other_rsa_key,
    rsa_identity,
    rsa_key,
    small_rsa_key,
)
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.algorithms import Cipher, Digest
from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.enveloped_data import envelope
from muster.crypto.cms.signed_data import verify_attached
from muster.crypto.cms.signing import SignerIdentity, sign_with_attributes
from muster.crypto.issuance import Authority, make_self_signed
from muster.crypto.keys import RSAPrivateKey, private_key_pem, public_key_der
from muster.crypto.names import COMMON_NAME, encode_name
from muster.crypto.requests import make_request
from muster.protocol.errors import BadSignature, MalformedMessage, ProtocolError
from muster.protocol.scep import (
    CA_CERTIFICATE_MEDIA_TYPE,
    CA_CHAIN_MEDIA_TYPE,
    MAX_MESSAGE_BYTES,
    CertRep,
    FailInfo,
    MessageType,
    PKIMessage,
    PKIStatus,
    ScepRefusal,
    addressed_authority,
    decode_ca_certificates,
    decode_capabilities,
    decode_cert_rep,
    decode_get_message,
    decode_pki_message,
    encode_ca_certificates,
    encode_capabilities,
    encode_cert_poll,
    encode_cert_rep_failure,
    encode_cert_rep_pending,
    encode_cert_rep_success,
    encode_pkcs_req,
    transaction_id_of,
)

TRANSACTION = "c0ffee"
NONCE = b"n" * 16
REPLY_NONCE = b"r" * 16
OID = "2.16.840.1.113733.1.9."


@cache
def temporary(key: RSAPrivateKey) -> SignerIdentity:
    lifetime = timedelta(days=1)
    return SignerIdentity(make_self_signed("SCEP", key, now=NOW, lifetime=lifetime, serial_number=2), key)


def ask(
    signer: SignerIdentity | None = None,
    request: bytes | None = None,
    *,
    message_type: MessageType = MessageType.PKCS_REQ,
    cipher: Cipher = Cipher.AES_256_CBC,
    digest: Digest = Digest.SHA256,
) -> bytes:
    return encode_pkcs_req(
        request or make_request(rsa_key(), common_name="device", challenge="once"),
        signer or temporary(rsa_key()),
        authority().certificate_der,
        transaction_id=TRANSACTION,
        sender_nonce=NONCE,
        random_bytes=CountingBytes(),
        message_type=message_type,
        cipher=cipher,
        digest=digest,
    )


def understand(message: bytes, *, allow_legacy: bool = False) -> PKIMessage:
    return decode_pki_message(message, authority(), allow_legacy=allow_legacy)


def grant(message: PKIMessage, *chain: bytes) -> bytes:
    return encode_cert_rep_success(
        message,
        rsa_identity().certificate_der,
        authority(),
        sender_nonce=REPLY_NONCE,
        random_bytes=CountingBytes(),
        chain=chain,
    )


def receive(reply: bytes, signer: SignerIdentity | None = None, *, transaction_id: str = TRANSACTION) -> CertRep:
    return decode_cert_rep(
        reply,
        signer or temporary(rsa_key()),
        authority().certificate_der,
        transaction_id=transaction_id,
        sender_nonce=NONCE,
    )


def refusal(message: bytes, *, allow_legacy: bool = False) -> FailInfo:
    with pytest.raises(ScepRefusal) as caught:
        understand(message, allow_legacy=allow_legacy)
    assert (caught.value.transaction_id, caught.value.sender_nonce) == (TRANSACTION, NONCE)
    return caught.value.fail_info


@pytest.mark.parametrize("cipher", list(Cipher))
@pytest.mark.parametrize("digest", list(Digest))
def test_a_request_is_understood(cipher: Cipher, digest: Digest) -> None:
    message = understand(ask(cipher=cipher, digest=digest), allow_legacy=True)

    assert message.request is not None
    assert (message.message_type, message.transaction_id, message.sender_nonce) == (
        MessageType.PKCS_REQ,
        TRANSACTION,
        NONCE,
    )
    assert (message.request.challenge, message.request.subject) == ("once", name_of((COMMON_NAME, "device")))
    assert message.signer_certificate_der == temporary(rsa_key()).certificate_der
    assert message.is_signed_by_requested_key
    assert (message.cipher, message.digest) == (cipher, digest)
    assert message.is_legacy == (cipher in (Cipher.DES_CBC, Cipher.DES_EDE3_CBC) or digest is Digest.SHA1)


def test_a_renewal_is_signed_by_the_present_identity() -> None:
    request = make_request(other_rsa_key(), common_name="device")

    message = understand(ask(rsa_identity(), request, message_type=MessageType.RENEWAL_REQ))

    assert message.message_type is MessageType.RENEWAL_REQ
    assert message.signer_certificate_der == rsa_identity().certificate_der
    assert not message.is_signed_by_requested_key


def test_a_poll_names_the_subject() -> None:
    poll = encode_cert_poll(
        encode_name([(COMMON_NAME, "Muster CA")]),
        encode_name([(COMMON_NAME, "device")]),
        temporary(rsa_key()),
        authority().certificate_der,
        transaction_id=TRANSACTION,
        sender_nonce=NONCE,
        random_bytes=CountingBytes(),
    )

    message = understand(poll)

    assert (message.message_type, message.request) == (MessageType.CERT_POLL, None)
    assert message.polled_subject == name_of((COMMON_NAME, "device"))


@pytest.mark.parametrize("cipher", list(Cipher))
def test_the_issued_certificate_arrives_first(cipher: Cipher) -> None:
    message = understand(ask(cipher=cipher), allow_legacy=True)

    reply = receive(grant(message, authority().certificate_der))

    assert reply == CertRep(PKIStatus.SUCCESS, None, (rsa_identity().certificate_der, authority().certificate_der))


def test_the_reply_names_both_nonces_and_its_signer() -> None:
    verified = verify_attached(grant(understand(ask(digest=Digest.SHA1), allow_legacy=True)), allow_legacy=False)

    attributes = dict(verified.signed_attributes)
    assert verified.digest is Digest.SHA256
    assert verified.certificates_der == (authority().certificate_der,)
    assert attributes[OID + "2"] == (b"\x13\x013",)
    assert attributes[OID + "3"] == (b"\x13\x010",)
    assert attributes[OID + "5"] == (der.octet_string(REPLY_NONCE),)
    assert attributes[OID + "6"] == (der.octet_string(NONCE),)
    assert attributes[OID + "7"] == (b"\x13\x06c0ffee",)


@pytest.mark.parametrize("fail_info", list(FailInfo))
def test_a_failure_arrives_with_its_reason(fail_info: FailInfo) -> None:
    reply = encode_cert_rep_failure(TRANSACTION, NONCE, fail_info, authority(), sender_nonce=REPLY_NONCE)

    assert receive(reply) == CertRep(PKIStatus.FAILURE, fail_info, ())


def test_pending_arrives() -> None:
    reply = encode_cert_rep_pending(TRANSACTION, NONCE, authority(), sender_nonce=REPLY_NONCE)

    assert receive(reply) == CertRep(PKIStatus.PENDING, None, ())


# OpenSSL as witness


@pytest.mark.witness("openssl")
def test_openssl_understands_requests_and_replies(tmp_path: Path) -> None:
    openssl = OpenSSL(tmp_path)
    openssl.write("ca.pem", pem_from_der([authority().certificate_der]))
    openssl.write("ca.key", private_key_pem(authority().key))
    openssl.write("client.pem", pem_from_der([temporary(rsa_key()).certificate_der]))
    openssl.write("client.key", private_key_pem(rsa_key()))
    openssl.write("request", ask())
    openssl.write("reply", grant(understand(ask())))

    def opened(name: str, recipient: str) -> bytes:
        openssl.run("cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", name, "-out", "content")
        return openssl.run(
            *("cms", "-decrypt", "-binary", "-inform", "DER", "-in", "content"),
            *("-inkey", f"{recipient}.key", "-recip", f"{recipient}.pem"),
        )

    openssl.write("csr", opened("request", "ca"))
    openssl.write("bundle", opened("reply", "client"))
    assert b"CN = device" in openssl.run("req", "-inform", "DER", "-in", "csr", "-noout", "-verify", "-subject")
    assert b"CN = device" in openssl.run("pkcs7", "-inform", "DER", "-in", "bundle", "-print_certs")


# Refusals


@pytest.mark.parametrize(
    ("cipher", "digest"),
    [(Cipher.DES_CBC, Digest.SHA256), (Cipher.DES_EDE3_CBC, Digest.SHA256), (Cipher.AES_128_CBC, Digest.SHA1)],
)
def test_legacy_is_answered_with_bad_alg_where_refused(cipher: Cipher, digest: Digest) -> None:
    assert refusal(ask(cipher=cipher, digest=digest)) is FailInfo.BAD_ALG


def test_a_small_key_is_answered_with_bad_alg() -> None:
    request = make_request(small_rsa_key(), common_name="device")

    assert refusal(ask(request=request)) is FailInfo.BAD_ALG


def wrapped(content: bytes, *, to: bytes | None = None, **attributes: bytes) -> bytes:
    """A signed message around any content, with attributes by number; n2=b"" leaves attribute 2 out."""
    defaults = {"n2": b"\x13\x0219", "n5": der.octet_string(NONCE), "n7": b"\x13\x06c0ffee"}
    values: Mapping[str, bytes] = {OID + n[1:]: value for n, value in (defaults | attributes).items() if value}
    if to is not None:
        content = envelope(content, to, random_bytes=CountingBytes())
    return sign_with_attributes(content, temporary(rsa_key()), values)


def test_everything_wrong_inside_the_envelope_is_answered_alike() -> None:
    ours = authority().certificate_der
    request = make_request(rsa_key(), common_name="device")
    messages = [
        wrapped(b"junk"),
        wrapped(b""),
        wrapped(b"junk", to=ours),
        wrapped(request[:-1], to=ours),
        wrapped(request.replace(b"device", b"devicf"), to=ours),
        wrapped(request, to=rsa_identity().certificate_der),
        wrapped(request, to=ours, n2=b"\x13\x0220"),
    ]

    assert {refusal(message) for message in messages} == {FailInfo.BAD_MESSAGE_CHECK}


@pytest.mark.parametrize("number", ["3", "21", "22", "99"])
def test_other_message_types_are_answered_with_bad_request(number: str) -> None:
    message = wrapped(b"", n2=der.element(der.PRINTABLE_STRING, number.encode()))

    assert refusal(message) is FailInfo.BAD_REQUEST


@pytest.mark.parametrize(
    "attributes",
    [
        {"n2": b""},
        {"n2": b"\x13\x02xy"},
        {"n2": b"\x13\x041919"},
        {"n2": b"\x0c\x02\xc2\xb2"},
        {"n2": b"\x02\x01\x13"},
        {"n5": b""},
        {"n5": b"\x04\x00"},
        {"n5": der.octet_string(b"x" * 65)},
        {"n5": b"\x13\x01x"},
        {"n7": b""},
        {"n7": b"\x13\x00"},
        {"n7": b"\x13\x02a\n"},
        {"n7": der.text("ä")},
        {"n7": der.text("x" * 256)},
    ],
    ids=str,
)
def test_a_message_that_cannot_be_answered_is_malformed(attributes: dict[str, bytes]) -> None:
    with pytest.raises(MalformedMessage, match="SCEP"):
        understand(wrapped(b"", **attributes))


def test_a_message_that_nobody_signed_is_refused() -> None:
    message = ask()
    changed = message[:-1] + bytes((message[-1] ^ 1,))

    with pytest.raises(BadSignature, match="SCEP"):
        understand(changed)


def test_a_message_beyond_128_kib_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="131072"):
        understand(b"\x30" * (MAX_MESSAGE_BYTES + 1))


def test_a_signer_who_cannot_receive_the_reply_is_answered_with_bad_alg() -> None:
    assert refusal(ask(ec_identity())) is FailInfo.BAD_ALG


# What the client checks


def test_a_reply_by_somebody_else_is_refused() -> None:
    other = temporary(other_rsa_key())
    forged = encode_cert_rep_failure(
        TRANSACTION, NONCE, FailInfo.BAD_TIME, Authority(other.certificate_der, other.key), sender_nonce=REPLY_NONCE
    )

    with pytest.raises(BadSignature, match="somebody else"):
        receive(forged)


def test_a_reply_to_another_request_is_refused() -> None:
    reply = encode_cert_rep_pending(TRANSACTION, NONCE, authority(), sender_nonce=REPLY_NONCE)
    stale = encode_cert_rep_pending(TRANSACTION, b"stale", authority(), sender_nonce=REPLY_NONCE)

    with pytest.raises(BadSignature, match="another request"):
        receive(reply, transaction_id="other")
    with pytest.raises(BadSignature, match="another request"):
        receive(stale)


def test_a_reply_enveloped_to_somebody_else_does_not_open() -> None:
    message = replace(understand(ask()), signer_certificate_der=temporary(other_rsa_key()).certificate_der)

    with pytest.raises(MalformedMessage, match="open"):
        receive(grant(message))


def test_a_request_is_no_reply() -> None:
    with pytest.raises(MalformedMessage):
        decode_cert_rep(
            ask(),
            temporary(rsa_key()),
            temporary(rsa_key()).certificate_der,
            transaction_id=TRANSACTION,
            sender_nonce=NONCE,
        )


# GetCACaps, GetCACert, GET


def test_capabilities_are_read_as_written() -> None:
    assert decode_capabilities(encode_capabilities()) >= {"AES", "SHA-256", "SHA-384", "POSTPKIOperation"}
    assert decode_capabilities(b"AES\r\n\r\n SHA-256 \nX\xff") == {"AES", "SHA-256", "Xÿ"}


def test_one_ca_certificate_is_sent_bare_and_several_in_a_bundle() -> None:
    one, two = authority().certificate_der, rsa_identity().certificate_der

    assert encode_ca_certificates([one]) == (CA_CERTIFICATE_MEDIA_TYPE, one)
    assert encode_ca_certificates([two, one])[0] == CA_CHAIN_MEDIA_TYPE
    for certificates in ((one,), (two, one)):
        assert decode_ca_certificates(*encode_ca_certificates(certificates)) == certificates
    with pytest.raises(MalformedMessage):
        decode_ca_certificates(CA_CHAIN_MEDIA_TYPE, one)


def test_the_message_of_a_get_is_read_although_plus_became_a_blank() -> None:
    octets = b"\xfb\xef\xbe" * 20
    encoded = base64.b64encode(octets).decode()
    assert "+" in encoded

    assert decode_get_message(encoded) == decode_get_message(encoded.replace("+", " ")) == octets
    for broken in ("@", "A", "ä", "A" * (MAX_MESSAGE_BYTES * 4 // 3 + 1)):
        with pytest.raises(MalformedMessage):
            decode_get_message(broken)


def test_a_transaction_id_depends_on_the_key_only() -> None:
    ids = {transaction_id_of(public_key_der(key)) for key in (rsa_key(), ec_key(), rsa_key())}

    assert sorted(map(len, ids)) == [64, 64]


# Fuzz


@cache
def sample(name: str) -> bytes:
    return ask() if name == "request" else grant(understand(ask()))


def decode_or_none(octets: bytes) -> PKIMessage | CertRep | None:
    """Only the documented errors may escape, whoever reads."""
    answers: list[PKIMessage | CertRep] = []
    with suppress(ProtocolError):
        answers.append(understand(octets, allow_legacy=True))
    with suppress(ProtocolError):
        answers.append(receive(octets))
    return answers[0] if answers else None


@settings(max_examples=200, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), name=st.sampled_from(["request", "reply"]))
def test_a_message_with_one_byte_changed_says_the_same_or_is_refused(place: float, value: int, name: str) -> None:
    octets = bytearray(sample(name))
    original = decode_or_none(bytes(octets))
    octets[int(place * len(octets))] ^= value

    decoded = decode_or_none(bytes(octets))

    if isinstance(decoded, PKIMessage) and isinstance(original, PKIMessage):
        assert (decoded.request, decoded.transaction_id) == (original.request, original.transaction_id)
    elif decoded is not None:
        assert decoded == original


@pytest.mark.parametrize("name", ["request", "reply"])
def test_every_truncation_is_refused(name: str) -> None:
    octets = sample(name)

    assert [length for length in range(0, len(octets), 7) if decode_or_none(octets[:length])] == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_documented_errors_only(octets: bytes) -> None:
    assert decode_or_none(octets) is None


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=100), is_enveloped=st.booleans())
def test_any_signed_content_gives_documented_errors_only(content: bytes, *, is_enveloped: bool) -> None:
    message = wrapped(content, to=authority().certificate_der if is_enveloped else None)

    assert decode_or_none(message) is None


def test_a_request_is_for_the_authority_that_it_is_enveloped_to() -> None:
    other = replace(authority(), certificate_der=rsa_identity().certificate_der)

    assert addressed_authority(ask(), [other, authority()]) == authority()
    assert addressed_authority(ask(), [other]) is None


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_what_cannot_be_read_is_for_no_authority(noise: bytes) -> None:
    assert addressed_authority(noise, [authority()]) is None
