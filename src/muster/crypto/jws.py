"""JSON Web Signatures in their compact form, by RSA and SHA-256 (RS256), and the public keys that go with them.

Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 section 3.3 (RS256), RFC 7638 (thumbprints).
"""

import base64
import hashlib
import json
from collections.abc import Mapping

from muster.crypto.algorithms import Digest
from muster.crypto.keys import RSAPrivateKey, RSAPublicKey, sign


def sign_compact(key: RSAPrivateKey, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Sign *claims* as a JWS whose header is *header*, to which `alg` is added; equal input gives equal text."""
    protected = _octets({**header, "alg": "RS256"})
    signed = f"{base64url(protected)}.{base64url(_octets(claims))}"
    return f"{signed}.{base64url(sign(key, signed.encode(), Digest.SHA256))}"


def public_jwk(key: RSAPublicKey) -> dict[str, str]:
    """Return an RSA key as a JWK for signatures; its `kid` is its thumbprint."""
    numbers = key.public_numbers()
    needed = {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
    thumbprint = hashlib.sha256(_octets(needed)).digest()  # members sorted, no spaces: RFC 7638, 3.3
    return {**needed, "kid": base64url(thumbprint), "use": "sig", "alg": "RS256"}


def base64url(octets: bytes) -> str:
    """Encode as JOSE does: base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _integer(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _octets(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
