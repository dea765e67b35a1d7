"""The Mdm-Signature header: what devices send passes, and only over the body they sent it with."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import BODY, NOW, apple_signature, bare_certificate, ec_identity, rsa_identity, rsa_key

from muster.crypto.algorithms import Digest
from muster.protocol.errors import BadSignature, MalformedMessage, ProtocolError, RefusedAlgorithm
from muster.protocol.mdm_signature import MAX_HEADER_BYTES, make_mdm_signature, verify_mdm_signature


def mac_header() -> str:
    return base64.b64encode(apple_signature(BODY, rsa_key())).decode()


def test_the_header_of_a_mac_is_verified() -> None:
    verified = verify_mdm_signature(mac_header(), BODY, allow_legacy=True)

    assert verified.signer_certificate_der == bare_certificate(rsa_key())
    assert verified.is_legacy


def test_the_header_of_a_mac_is_refused_where_legacy_is() -> None:
    with pytest.raises(RefusedAlgorithm, match="sha1"):
        verify_mdm_signature(mac_header(), BODY, allow_legacy=False)


@pytest.mark.parametrize("with_attributes", [True, False])
@pytest.mark.parametrize("digest", list(Digest))
def test_the_header_we_make_is_verified(digest: Digest, *, with_attributes: bool) -> None:
    for signer in (rsa_identity(), ec_identity()):
        header = make_mdm_signature(BODY, signer, digest=digest, with_attributes=with_attributes)

        verified = verify_mdm_signature(header, BODY, allow_legacy=True)

        assert (verified.signer_certificate_der, verified.digest) == (signer.certificate_der, digest)


@pytest.mark.parametrize("with_attributes", [True, False])
def test_another_body_is_refused(*, with_attributes: bool) -> None:
    header = make_mdm_signature(BODY, rsa_identity(), with_attributes=with_attributes)

    for body in (b"", BODY + b"\n", BODY[:-1]):
        with pytest.raises(BadSignature):
            verify_mdm_signature(header, body, allow_legacy=True)


def test_the_empty_body_of_a_get_is_signed_too() -> None:
    header = make_mdm_signature(b"", rsa_identity(), with_attributes=True, signing_time=NOW)

    assert verify_mdm_signature(header, b"", allow_legacy=False).signing_time == NOW


def test_white_space_is_passed_over_in_text_and_bytes() -> None:
    header = mac_header()
    folded = " " + "\r\n\t ".join(header[i : i + 64] for i in range(0, len(header), 64)) + "\n"

    for form in (folded, folded.encode()):
        assert verify_mdm_signature(form, BODY, allow_legacy=True).content == BODY


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header[:0],
        lambda header: header[:-4],
        lambda header: header[1:],
        lambda header: header + "AAAA",
        lambda header: "@" + header,
        lambda header: "ä" + header,
        lambda header: header.replace("A", "-", 1),
    ],
    ids=["empty", "cut", "shifted", "trailing", "junk", "beyond ascii", "url alphabet"],
)
@pytest.mark.parametrize("encode", [str, str.encode])
def test_what_is_not_base64_of_one_message_is_refused(change: object, encode: object) -> None:
    assert callable(change)
    assert callable(encode)

    with pytest.raises(MalformedMessage, match="Mdm-Signature"):
        verify_mdm_signature(encode(change(mac_header())), BODY, allow_legacy=True)


def test_a_header_beyond_16_kib_is_refused() -> None:
    header = mac_header()
    filled = header + " " * (MAX_HEADER_BYTES - len(header))
    assert verify_mdm_signature(filled, BODY, allow_legacy=True).is_legacy

    with pytest.raises(MalformedMessage, match="16384"):
        verify_mdm_signature(filled + " ", BODY, allow_legacy=True)


@settings(max_examples=200, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), octet=st.integers(0, 255))
def test_a_header_with_one_byte_changed_gives_documented_errors_only(place: float, octet: int) -> None:
    header = bytearray(mac_header().encode())
    header[int(place * len(header))] = octet

    try:
        verified = verify_mdm_signature(bytes(header), BODY, allow_legacy=True)
    except ProtocolError:
        return

    assert verified.content == BODY


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=100), st.binary(max_size=100), st.binary(max_size=99).map(base64.b64encode)))
def test_random_headers_give_documented_errors_only(header: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        verify_mdm_signature(header, BODY, allow_legacy=True)
