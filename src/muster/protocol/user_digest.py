"""The password dialogue of UserAuthenticate: a challenge, an answer to it, and whether that shows the password.

Sources: Apple, "User Authenticate" (DigestChallenge, DigestResponse): the example there has the form of HTTP's Digest;
RFC 2617, section 3.2. Apple names neither method nor address that go into the digest. What is accepted is the table of
METHODS and ALGORITHMS below, with whatever address the answer itself names; none of it was held against a real Mac.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from muster.protocol.checkin import MAX_DIGEST_RESPONSE_CHARACTERS
from muster.protocol.errors import MalformedMessage

METHODS: Final = ("PUT", "POST", "GET", "AUTHENTICATE")
"""What may stand for the method: that of the request itself, those of a form and a page, and SASL's (RFC 2831)."""

ALGORITHMS: Final = ("MD5", "MD5-sess")
"""RFC 2617's; without a word it is the first."""

MAX_PARAMETERS: Final = 16
"""RFC 2617 defines eleven."""

_SCHEME: Final = re.compile(r"Digest[ \t]++", re.IGNORECASE)
_PARAMETER: Final = re.compile(
    r"""(?x) [ \t,]*+ ( [A-Za-z0-9*_-]{1,32}+ ) [ \t]*+ = [ \t]*+
    (?: " ( (?: [^"\\] | \\. )*+ ) " | ( [^",\s]*+ ) ) [ \t]*+ (?: , | \Z )"""
)
_ESCAPED: Final = re.compile(r"\\(.)")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DigestAnswer:
    """An answer to a challenge. *response* is 32 lower-case hexadecimal digits; qop, nc and cnonce come together or
    not at all."""

    user_name: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: str = ALGORITHMS[0]
    qop: str | None = None
    nc: str | None = None
    cnonce: str | None = None


def digest_challenge(realm: str, nonce: str) -> str:
    """The DigestChallenge that asks for a password. Neither may hold a quote or a backslash."""
    assert not set('"\\') & set(realm + nonce)
    return f'Digest nonce="{nonce}",realm="{realm}"'


def read_digest_challenge(text: str) -> tuple[str, str]:
    """Realm and nonce of a challenge; the reverse of `digest_challenge`. Raises MalformedMessage."""
    found = _parameters(text)
    return _required(found, "realm"), _required(found, "nonce")


def read_digest_answer(text: str) -> DigestAnswer:
    """The DigestResponse of a Mac.

    Raises MalformedMessage when it has another form, lacks a parameter that RFC 2617 requires, or names an algorithm
    or a quality of protection that is not served. Not checked: that the nonce is ours, and the password.
    """
    found = _parameters(text)
    algorithm = _one_of(ALGORITHMS, found.get("algorithm", ALGORITHMS[0]))
    qop, nc, cnonce = found.get("qop"), found.get("nc"), found.get("cnonce")
    if qop is not None and (qop.lower() != "auth" or not nc or not cnonce):
        raise MalformedMessage("the digest's quality of protection is not served")
    if algorithm != ALGORITHMS[0] and not cnonce:
        raise MalformedMessage("the digest has no cnonce")
    response = _required(found, "response").lower()
    if not _HEXADECIMAL.fullmatch(response):
        raise MalformedMessage("the digest's response is not 32 hexadecimal digits")
    return DigestAnswer(
        _required(found, "username"),
        _required(found, "realm"),
        _required(found, "nonce"),
        found.get("uri", ""),
        response,
        algorithm,
        qop,
        nc,
        cnonce,
    )


def digest_key(user_name: str, realm: str, password: str) -> str:
    """What a directory keeps of a password (RFC 2617, 3.2.2.2: A1), 32 hexadecimal digits. As good as the password
    itself within *realm*."""
    return _md5(f"{user_name}:{realm}:{password}")


def shows_password(answer: DigestAnswer, key: str) -> bool:
    """Whether *answer* was made with the password that *key* (`digest_key`) is of, by one of METHODS."""
    wanted = [_response(answer, key, method) for method in METHODS]
    return any([hmac.compare_digest(one, answer.response) for one in wanted])  # noqa: C419 - each takes the same time


def make_digest_answer(
    challenge: str, user_name: str, password: str, *, uri: str = "/", method: str = "PUT", cnonce: str | None = None
) -> str:
    """What a Mac answers; with *cnonce*, in the form that has a quality of protection. Raises MalformedMessage."""
    realm, nonce = read_digest_challenge(challenge)
    key = digest_key(user_name, realm, password)
    qop, nc = (None, None) if cnonce is None else ("auth", "00000001")
    answer = DigestAnswer(user_name, realm, nonce, uri, "", qop=qop, nc=nc, cnonce=cnonce)
    text = f'Digest username="{_quoted(user_name)}",realm="{_quoted(realm)}",nonce="{nonce}",uri="{uri}"'
    if cnonce is not None:
        text += f',qop={qop},nc={nc},cnonce="{cnonce}"'
    return f'{text},response="{_response(answer, key, method)}"'


def _response(answer: DigestAnswer, key: str, method: str) -> str:
    """RFC 2617, 3.2.2.1 to 3.2.2.3; without qop as RFC 2069 had it."""
    a1 = key if answer.algorithm == ALGORITHMS[0] else _md5(f"{key}:{answer.nonce}:{answer.cnonce}")
    a2 = _md5(f"{method}:{answer.uri}")
    if answer.qop is None:
        return _md5(f"{a1}:{answer.nonce}:{a2}")
    return _md5(f"{a1}:{answer.nonce}:{answer.nc}:{answer.cnonce}:{answer.qop}:{a2}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()  # the protocol's choice, not ours


def _parameters(text: str) -> dict[str, str]:
    if len(text) > MAX_DIGEST_RESPONSE_CHARACTERS:
        raise MalformedMessage(f"the digest is longer than {MAX_DIGEST_RESPONSE_CHARACTERS} characters")
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise MalformedMessage("the digest does not begin with Digest")
    found: dict[str, str] = {}
    position = scheme.end()
    while position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            raise MalformedMessage("the digest is no list of parameters")
        name, quoted, token = match.groups()
        if name.lower() in found or len(found) == MAX_PARAMETERS:
            raise MalformedMessage("the digest has a parameter twice, or too many")
        found[name.lower()] = _ESCAPED.sub(r"\1", quoted) if quoted is not None else token
        position = match.end()
    return found


def _required(found: dict[str, str], name: str) -> str:
    value = found.get(name)
    if not value:
        raise MalformedMessage(f"the digest has no {name}")
    return value


def _one_of(known: tuple[str, ...], value: str) -> str:
    for one in known:
        if one.lower() == value.lower():
            return one
    raise MalformedMessage("the digest's algorithm is not served")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
