"""ID tokens of OpenID Connect (Core 1.0, 3.1.3.7): signed by the provider, for us, in answer to our question, now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

MAXIMUM_TOKEN_CHARACTERS: Final = 65_536
"""Of an ID token: people in hundreds of groups have long ones."""
MAXIMUM_HEADER_BYTES: Final = 16_384
"""Of its header, as it is encoded: some carry the certificates of the key."""
CLOCKS_DIFFER: Final = 60
"""Seconds by which the provider's clock may be off."""
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""By a key of the provider's that is public: never `none`, and never a secret that both have."""
_OTHER: Final = {
    "iss": "it is of another issuer (iss)",
    "aud": "it is for another client (aud)",
    "nonce": "it answers another question (nonce)",
}


class BadIdToken(Exception):
    """The token isn't what was asked for; the message is for the log, and has nothing of the token."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to say."""

    issuer: str
    client_id: str
    nonce: str
    now: datetime


def read_id_token(token: str, keys: Mapping[str, Any], expected: Expected) -> Mapping[str, Any]:
    """Return the claims of *token*, signed by one of *keys* (a JWK Set, RFC 7517). Raises BadIdToken.

    Checked: algorithm, signature, issuer, audience, authorized party, expiry, issue time, nonce, and that there is a
    subject. What else it says is not.
    """
    from joserfc import jws, jwt  # noqa: PLC0415 - only who uses a provider waits for it
    from joserfc.errors import JoseError  # noqa: PLC0415 - as above
    from joserfc.jwk import KeySet  # noqa: PLC0415 - as above

    if len(token) > MAXIMUM_TOKEN_CHARACTERS:
        raise BadIdToken("it is too long")
    try:
        known = KeySet([key for one in keys["keys"] if (key := _key(one)) is not None])
        # what a header says beside is passed over, but for what it calls critical (RFC 7515, 4)
        registry = jws.JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
        registry.max_header_length = MAXIMUM_HEADER_BYTES
        claims = jwt.decode(token, known, registry=registry).claims
        jwt.JWTClaimsRegistry(
            now=int(expected.now.timestamp()),
            leeway=CLOCKS_DIFFER,
            iss={"essential": True, "value": expected.issuer},
            aud={"essential": True, "value": expected.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": expected.nonce},
            sub={"essential": True},
        ).validate(claims)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadIdToken(_words(error)) from error
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != expected.client_id:
        raise BadIdToken("it is for several, and was not given to us")
    if claims.get("azp") not in (None, expected.client_id):
        raise BadIdToken("it was given to somebody else")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise BadIdToken("it has no subject")
    return claims


def _key(published: Any) -> Any:
    """Read a key; None for one that is of a kind unknown here, or broken: it is passed over (RFC 7517, 5)."""
    from joserfc import errors, jwk  # noqa: PLC0415 - as above

    if not isinstance(published, dict):
        return None
    try:
        return jwk.import_key(published)
    except (errors.JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _words(error: Exception) -> str:
    from joserfc import errors  # noqa: PLC0415 - as above

    match error:
        case errors.ExpiredTokenError():
            return "it has expired, by this server's clock"
        case errors.MissingClaimError():
            return f"it has no {error.claim}"
        case errors.InvalidClaimError(claim="iat" | "nbf"):
            return "it is of later than now, by this server's clock"
        case errors.InvalidClaimError():
            return _OTHER.get(error.claim, f"its {error.claim} is not what it has to be")
        case errors.BadSignatureError() | errors.InvalidKeyIdError() | errors.MissingKeyError():
            return "none of the keys that the provider publishes has signed it"
        case errors.UnsupportedAlgorithmError() | errors.MissingAlgorithmError():
            return f"it is not signed by one of {', '.join(_ALGORITHMS)}"
        case errors.JoseError():
            return f"it, or the provider's set of keys, can't be read ({error.error})"
        case _:
            return "it, or the provider's set of keys, can't be read"
