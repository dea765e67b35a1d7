"""ID tokens as providers make them, and what none may be: signed here by joserfc's own keys."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey

from muster.crypto.id_tokens import (
    MAXIMUM_HEADER_BYTES,
    MAXIMUM_TOKEN_CHARACTERS,
    BadIdToken,
    Expected,
    read_id_token,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EXPECTED = Expected("https://id.example", "muster", "n-1", NOW)
SIGNING = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
ENCRYPTING = RSAKey.generate_key(2048, {"kid": "two", "use": "enc", "alg": "RSA-OAEP"})
PUBLISHED: list[dict[str, Any]] = [dict(one.as_dict(private=False)) for one in (ENCRYPTING, SIGNING)]
HEADER = {"alg": "RS256", "kid": "one"}
CLAIMS = {
    "iss": "https://id.example",
    "aud": "muster",
    "nonce": "n-1",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
    "sub": "4711",
}


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def token(header: dict[str, Any] = HEADER, claims: dict[str, Any] = CLAIMS) -> str:
    """Return a token of *claims*: put together by hand, for joserfc writes no header that it doesn't know."""
    said = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    assert SIGNING.private_key is not None
    return f"{said}.{_encoded(SIGNING.private_key.sign(said.encode(), PKCS1v15(), SHA256()))}"


def read(text: str, keys: list[dict[str, Any]] = PUBLISHED) -> Any:
    """Return the claims of *text*, by the keys that are published."""
    return read_id_token(text, {"keys": keys}, EXPECTED)


@pytest.mark.parametrize(
    "keys",
    [
        PUBLISHED,
        [{"kty": "AKP", "kid": "three", "alg": "ML-DSA-44", "pub": "AAAA"}, *PUBLISHED],
        [{"kty": "EC", "kid": "three", "crv": "BP-256", "x": "AA", "y": "AA"}, *PUBLISHED],
        [{"kty": "RSA", "kid": "three"}, {"kid": "three"}, "none", None, {}, *PUBLISHED],
        [{**PUBLISHED[1], "x5c": ["MIIB"], "x5t": "abc", "issuer": "https://id.example"}],
        [{name: value for name, value in PUBLISHED[1].items() if name not in {"alg", "use"}}],
    ],
)
def test_keys_may_stand_among_others_and_say_more(keys: list[dict[str, Any]]) -> None:
    assert read(token(), keys) == CLAIMS


@pytest.mark.parametrize("more", [{"typ": "JWT"}, {"x5t": "abc"}, {"pi.atm": "1"}, {"x5c": ["A" * 4000]}])
def test_header_may_say_more(more: dict[str, Any]) -> None:
    assert read(token({**HEADER, **more})) == CLAIMS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (token({**HEADER, "crit": ["b64"], "b64": False}), "can't be read"),
        (token({**HEADER, "crit": ["else"], "else": 1}), "can't be read"),
        (token({**HEADER, "kid": "nobody's"}), "none of the keys"),
        (token({**HEADER, "alg": "none"}), "not signed by one of RS256"),
        (token({**HEADER, "alg": "HS256"}), "not signed by one of RS256"),
        (token({"kid": "one"}), "not signed by one of RS256"),
        (
            token(claims={**CLAIMS, "sub": "4712"}).replace(token().split(".")[1], "e30")[:-8] + "AAAAAAAA",
            "none of the",
        ),
        (token({**HEADER, "x": "A" * MAXIMUM_HEADER_BYTES}), "can't be read"),
        ("a.b.c", "can't be read"),
        ("", "can't be read"),
    ],
)
def test_token_that_is_none_is_told(text: str, told: str) -> None:
    with pytest.raises(BadIdToken) as raised:
        read(text)

    assert told in str(raised.value)


def test_token_is_bounded() -> None:
    long = token(claims={**CLAIMS, "groups": ["g" * 40] * 1000})

    assert read(long)["groups"]
    with pytest.raises(BadIdToken, match="it is too long"):
        read(long + "A" * MAXIMUM_TOKEN_CHARACTERS)


@pytest.mark.parametrize("keys", [{}, {"keys": "none"}, {"keys": [5]}, {"keys": [{"kty": "RSA"}]}])
def test_keys_that_are_none_are_told(keys: dict[str, Any]) -> None:
    with pytest.raises(BadIdToken, match=r"set of keys, can.t be read|none of the keys"):
        read_id_token(token(), keys, EXPECTED)
