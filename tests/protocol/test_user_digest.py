"""The digest of UserAuthenticate, held against the RFC's own example and a computation that shares no code with it."""

import contextlib
import hashlib
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.errors import MalformedMessage
from muster.protocol.user_digest import (
    MAX_PARAMETERS,
    METHODS,
    DigestAnswer,
    digest_challenge,
    digest_key,
    make_digest_answer,
    read_digest_answer,
    read_digest_challenge,
    shows_password,
)

RFC_2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
"""Section 3.5, for a GET with the password "Circle Of Life"."""

RFC_2069 = RFC_2617.replace(' qop=auth, nc=00000001, cnonce="0a4f113b",', "").replace(
    "6629fae49393a05397450978507c4ef1", "670fd8c2df070c60b045671b8b24ff02"
)
"""The same without a quality of protection: by the formula of RFC 2069, computed with another program."""


def answer(**changes: str | None) -> str:
    """An answer with these parameters changed; None takes one away."""
    found: dict[str, str | None] = {
        "username": "ada",
        "realm": "muster",
        "nonce": "n",
        "uri": "/",
        "response": "0" * 32,
        **changes,
    }
    return "Digest " + ",".join(f'{name}="{value}"' for name, value in found.items() if value is not None)


@pytest.mark.parametrize("text", [RFC_2617, RFC_2069], ids=["qop", "no qop"])
def test_example_of_the_rfc_shows_its_password(text: str) -> None:
    read = read_digest_answer(text)

    assert shows_password(read, digest_key("Mufasa", "testrealm@host.com", "Circle Of Life"))
    assert not shows_password(read, digest_key("Mufasa", "testrealm@host.com", "Circle of Life"))
    assert not shows_password(read, digest_key("mufasa", "testrealm@host.com", "Circle Of Life"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cnonce", [None, "c"])
@pytest.mark.parametrize("uri", ["/", "", "https://mdm.example.org/mdm"])
def test_answer_by_each_method_shows_the_password(method: str, cnonce: str | None, uri: str) -> None:
    challenge = digest_challenge("muster", "nonce")

    text = make_digest_answer(challenge, 'a"d\\a', "secret", uri=uri, method=method, cnonce=cnonce)

    assert shows_password(read_digest_answer(text), digest_key('a"d\\a', "muster", "secret"))


def test_answer_by_another_method_shows_nothing() -> None:
    text = make_digest_answer(digest_challenge("muster", "nonce"), "ada", "secret", method="DELETE")

    assert not shows_password(read_digest_answer(text), digest_key("ada", "muster", "secret"))


def test_session_form_is_that_of_the_rfc() -> None:
    a1 = hashlib.md5(b"ada:muster:secret").hexdigest()
    session = hashlib.md5(f"{a1}:n:c".encode()).hexdigest()
    a2 = hashlib.md5(b"PUT:/").hexdigest()
    response = hashlib.md5(f"{session}:n:00000001:c:auth:{a2}".encode()).hexdigest()
    text = answer(response=response, algorithm="md5-SESS", qop="auth", nc="00000001", cnonce="c")

    assert shows_password(read_digest_answer(text), digest_key("ada", "muster", "secret"))


@pytest.mark.witness("openssl")
def test_openssl_computes_the_same() -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")

    def md5(text: str) -> str:
        ran = subprocess.run([program, "md5", "-r"], input=text.encode(), capture_output=True, check=True)
        return ran.stdout.decode().split()[0]

    made = make_digest_answer(digest_challenge("muster", "nonce"), "ada", "sécret", uri="/mdm", cnonce="c")
    expected = md5(f"{md5('ada:muster:sécret')}:nonce:00000001:c:auth:{md5('PUT:/mdm')}")

    assert read_digest_answer(made).response == expected


def test_challenge_has_the_published_form() -> None:
    challenge = digest_challenge("muster", "abc")

    assert challenge == 'Digest nonce="abc",realm="muster"'
    assert read_digest_challenge(challenge) == ("muster", "abc")


def test_answer_is_read_whole() -> None:
    assert read_digest_answer(answer(response="AB" * 16)) == DigestAnswer("ada", "muster", "n", "/", "ab" * 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Digest ",
        "Basic YWRhOnNlY3JldA==",
        "Digest username",
        'Digest username="ada',
        answer(username=None),
        answer(username=""),
        answer(realm=None),
        answer(nonce=None),
        answer(response=None),
        answer(response="0" * 31),
        answer(response="g" * 32),
        answer(algorithm="SHA-256"),
        answer(algorithm="MD5-sess"),
        answer(qop="auth-int", nc="1", cnonce="c"),
        answer(qop="auth"),
        answer() + ',nonce="m"',
        answer() + "".join(f",x{n}=1" for n in range(MAX_PARAMETERS)),
        answer(uri="u" * 4096),
    ],
)
def test_malformed_answer_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read_digest_answer(text)


@settings(max_examples=200)
@given(st.text(max_size=60).map(lambda text: f"Digest {text}") | st.text('Digest =",\\ab', max_size=60))
def test_noise_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(MalformedMessage):
        read_digest_answer(text)
