"""The certificate of a proxy's client, in every form that proxies write, and in none."""

import base64
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.site import authority, identity_of

from muster.crypto.certificates import pem_from_der
from muster.protocol.client_certificate import MAX_HEADER_BYTES, decode_client_certificate
from muster.protocol.errors import MalformedMessage

CLIENT = identity_of(1).certificate_der
PEM = pem_from_der([CLIENT])


def byte_sequence(certificate_der: bytes) -> bytes:
    """As RFC 9440 has it."""
    return b":" + base64.b64encode(certificate_der) + b":"


FORMS: list[tuple[str, Callable[[], bytes]]] = [
    ("rfc-9440", lambda: byte_sequence(CLIENT)),
    ("rfc-9440-with-blanks-around", lambda: b" " + byte_sequence(CLIENT) + b"\t"),
    ("nginx", lambda: quote(PEM, safe="").encode()),
    ("lower-case-escapes", lambda: quote(PEM, safe="").replace("%2B", "%2b").replace("%0A", "%0a").encode()),
    ("load-balancer-that-leaves-base64", lambda: quote(PEM, safe="+=/").encode()),
    ("load-balancer-that-sends-the-chain", lambda: quote(PEM + pem_from_der([authority().certificate_der])).encode()),
    ("apache-with-blanks-for-line-ends", lambda: PEM.replace(b"\n", b" ")),
]


@pytest.mark.parametrize("header", [form for _, form in FORMS], ids=[name for name, _ in FORMS])
def test_every_form_that_proxies_write_is_read(header: Callable[[], bytes]) -> None:
    assert decode_client_certificate(header()) == CLIENT


def test_plus_sign_is_a_letter_and_no_blank() -> None:
    with_plus = next(
        one for one in (identity_of(number).certificate_der for number in range(50)) if b"+" in pem_from_der([one])
    )

    assert decode_client_certificate(quote(pem_from_der([with_plus]), safe="+=/").encode()) == with_plus


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b":",
        b"::",
        b":not base64:",
        byte_sequence(CLIENT)[:-1],
        byte_sequence(CLIENT)[1:],
        byte_sequence(CLIENT[:-1]),
        byte_sequence(CLIENT + b"\0"),
        byte_sequence(b"\x30\x03\x02\x01\x00"),
        byte_sequence(CLIENT) + b", " + byte_sequence(CLIENT),
        base64.b64encode(CLIENT),
        PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"),
        quote(PEM[:-30]).encode(),
        quote(quote(PEM)).encode(),
        b"(null)",
        b"-",
    ],
)
def test_what_is_no_certificate_is_malformed(header: bytes) -> None:
    with pytest.raises(MalformedMessage, match="client certificate: "):
        decode_client_certificate(header)


def test_header_is_bounded() -> None:
    largest = b" " * (MAX_HEADER_BYTES - len(byte_sequence(CLIENT))) + byte_sequence(CLIENT)

    assert decode_client_certificate(largest) == CLIENT
    with pytest.raises(MalformedMessage, match="more than 16384 bytes"):
        decode_client_certificate(b" " + largest)


@given(st.binary(max_size=200), st.sampled_from([b"", b":", b"-----BEGIN CERTIFICATE-----"]))
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_malformed_and_nothing_worse(noise: bytes, beginning: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_client_certificate(beginning + noise)


@given(st.integers(0, len(byte_sequence(CLIENT)) - 1), st.binary(min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_damaged_header_is_read_or_malformed_and_nothing_worse(position: int, damage: bytes) -> None:
    header = byte_sequence(CLIENT)

    with suppress(MalformedMessage):
        decode_client_certificate(header[:position] + damage + header[position + len(damage) :])
