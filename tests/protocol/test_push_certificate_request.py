"""The signed request for a push certificate, as Apple's portal takes it."""

import base64
import plistlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.push_portal import developer_relations, root

from muster.protocol.errors import MalformedMessage, ProtocolError
from muster.protocol.push_certificate_request import (
    MAX_CHAIN_CERTIFICATES,
    MAX_SIGNED_REQUEST_BYTES,
    SignedPushRequest,
    decode_signed_request,
    encode_signed_request,
)

CHAIN = (developer_relations().certificate_der, root().certificate_der)
SIGNED = SignedPushRequest(b"request", b"signature", CHAIN)


def plist_of(**changed: object) -> bytes:
    """An upload whose property list has other values."""
    plist = plistlib.loads(base64.b64decode(encode_signed_request(SIGNED)))
    return base64.b64encode(plistlib.dumps({**plist, **changed}))


def test_upload_is_base64_of_three_strings_with_a_chain_in_lines_of_64() -> None:
    written = encode_signed_request(SIGNED)

    plist = plistlib.loads(base64.b64decode(written, validate=False))
    lines = plist["PushCertCertificateChain"].splitlines()
    assert base64.b64decode(plist["PushCertRequestCSR"], validate=True) == b"request"
    assert base64.b64decode(plist["PushCertSignature"], validate=True) == b"signature"
    assert plist.keys() == {"PushCertRequestCSR", "PushCertSignature", "PushCertCertificateChain"}
    assert lines.count("-----BEGIN CERTIFICATE-----") == 2
    assert max(len(line) for line in lines) == 64
    assert written.count(b"\n") == 1


def test_upload_is_read_back_whether_in_one_line_or_in_many() -> None:
    written = encode_signed_request(SIGNED)
    in_lines = base64.encodebytes(base64.b64decode(written)).replace(b"\n", b"\r\n")

    assert decode_signed_request(written) == SIGNED
    assert decode_signed_request(in_lines) == SIGNED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no base64!",
        base64.b64encode(b"no property list"),
        b"A" * (2 * MAX_SIGNED_REQUEST_BYTES + 4),
        base64.b64encode(b" " * (MAX_SIGNED_REQUEST_BYTES + 1)),
        plist_of(PushCertRequestCSR=""),
        plist_of(PushCertRequestCSR=b"data"),
        plist_of(PushCertRequestCSR="not base64"),
        plist_of(PushCertSignature=7),
        plist_of(PushCertCertificateChain="no certificate"),
        plist_of(PushCertCertificateChain="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        encode_signed_request(SignedPushRequest(b"r", b"s", CHAIN[:1] * (MAX_CHAIN_CERTIFICATES + 1))),
    ],
)
def test_upload_that_is_none_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_signed_request(data)


@settings(max_examples=100)
@given(st.binary(max_size=200), st.integers(0, 3000), st.binary(max_size=8))
def test_whatever_comes_is_read_or_malformed(garbage: bytes, place: int, change: bytes) -> None:
    plist = base64.b64decode(encode_signed_request(SIGNED))
    for data in (garbage, base64.b64encode(garbage), base64.b64encode(plist[:place] + change + plist[place:])):
        with suppress(ProtocolError):
            decode_signed_request(data)
