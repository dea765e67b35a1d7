"""Service discovery and signing in on the web: written, read, and refused when malformed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.account_driven import (
    MAX_DISCOVERY_BYTES,
    MAX_TOKEN_CHARACTERS,
    DiscoveryQuery,
    ModelFamily,
    ServiceDiscovery,
    ServiceVersion,
    authentication_results_url,
    bearer_token,
    decode_service_discovery,
    encode_service_discovery,
    read_authentication_results,
    read_discovery_query,
    read_www_authenticate,
    www_authenticate_as_web,
)
from muster.protocol.errors import MalformedMessage

BASE_URL = "https://mdm.example/enroll/account"
SIGN_IN = "https://mdm.example/sign-in"


@pytest.mark.parametrize("version", list(ServiceVersion))
def test_service_discovery_is_read_as_it_was_written(version: ServiceVersion) -> None:
    document = encode_service_discovery(version, BASE_URL)

    assert json.loads(document) == {"Servers": [{"Version": str(version), "BaseURL": BASE_URL}]}
    assert decode_service_discovery(document) == ServiceDiscovery(version, BASE_URL)


def test_device_takes_the_first_server() -> None:
    servers = [{"Version": "mdm-adde", "BaseURL": BASE_URL}, {"Version": "mdm-byod", "BaseURL": "https://other"}]

    found = decode_service_discovery(json.dumps({"Servers": servers}).encode())

    assert found == ServiceDiscovery(ServiceVersion.ADDE, BASE_URL)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"[" * 50_000,
        b"\xff",
        b"{}",
        b'{"Servers": {}}',
        b'{"Servers": []}',
        b'{"Servers": ["x"]}',
        b'{"Servers": [{"Version": "mdm-byod"}]}',
        b'{"Servers": [{"BaseURL": "https://mdm.example"}]}',
        b'{"Servers": [{"Version": "mdm-else", "BaseURL": "https://mdm.example"}]}',
        b'{"Servers": [{"Version": 7, "BaseURL": "https://mdm.example"}]}',
        b" " * MAX_DISCOVERY_BYTES + b"{}",
    ],
    ids=range(13),
)
def test_malformed_discovery_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_service_discovery(document)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            {"user-identifier": "ana@example.org", "model-family": "RealityDevice"},
            DiscoveryQuery("ana@example.org", ModelFamily.VISION),
        ),
        ({"user-identifier": "ana@example.org"}, DiscoveryQuery("ana@example.org", None)),
        ({"user-identifier": "ana", "model-family": "Toaster", "more": "x"}, DiscoveryQuery("ana", None)),
        ({"user-identifier": "x" * 254}, DiscoveryQuery("x" * 254, None)),
    ],
)
def test_discovery_query_says_who_asks_with_what(query: dict[str, str], expected: DiscoveryQuery) -> None:
    assert read_discovery_query(query) == expected


@pytest.mark.parametrize("user_identifier", [None, "", "x" * 255, "ana\n@example.org"])
def test_discovery_query_without_a_user_is_refused(user_identifier: str | None) -> None:
    query = {"model-family": "Mac"}
    if user_identifier is not None:
        query["user-identifier"] = user_identifier

    with pytest.raises(MalformedMessage):
        read_discovery_query(query)


def test_header_sends_the_user_to_the_web() -> None:
    header = www_authenticate_as_web(SIGN_IN)

    assert header == 'Bearer method="apple-as-web", url="https://mdm.example/sign-in"'
    assert read_www_authenticate(header) == SIGN_IN


@pytest.mark.parametrize(
    "url", ["http://mdm.example", "https://", "https://a b", 'https://a"b', "https://a\\b", "https://ä", "https://a\n"]
)
def test_url_that_a_header_cannot_hold_is_our_mistake(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        www_authenticate_as_web(url)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        'Basic realm="x"',
        'Basic method="apple-as-web", url="https://mdm.example"',
        'Bearer method="apple-oauth2", url="https://mdm.example"',
        'Bearer method="apple-as-web"',
        'Bearer method="apple-as-web", url="http://mdm.example"',
        'Bearer method="apple-as-web", url="https://mdm.example"' + " " * 8192,
    ],
)
def test_another_challenge_sends_nobody_to_the_web(header: str) -> None:
    assert read_www_authenticate(header) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic YTpi", None),
        ("Bearer abc", "abc"),
        ("bearer  a-._~+/b== ", "a-._~+/b=="),
        ("Bearer a b", None),
        ("Bearer a=b", None),
        ("Bearer ä", None),
        ("Bearer a\n", None),
        ("Bearer " + "x" * MAX_TOKEN_CHARACTERS, "x" * MAX_TOKEN_CHARACTERS),
        ("Bearer " + "x" * (MAX_TOKEN_CHARACTERS + 1), None),
        (" " * 8192 + "Bearer a", None),
    ],
)
def test_bearer_token_is_read_where_there_is_one(header: str | None, expected: str | None) -> None:
    assert bearer_token(header) == expected


def test_access_token_is_handed_to_the_device() -> None:
    url = authentication_results_url("abc-_~.9")

    assert url == "apple-remotemanagement-user-login://authentication-results?access-token=abc-_~.9"
    assert read_authentication_results(url) == "abc-_~.9"


@pytest.mark.parametrize("token", ["", "a&b", "a b", "a\n", "a+b", "a="])
def test_token_that_a_url_cannot_hold_is_our_mistake(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        authentication_results_url(token)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://mdm.example/?access-token=abc",
        "apple-remotemanagement-user-login://authentication-results",
        "apple-remotemanagement-user-login://authentication-results?access-token=",
        "apple-remotemanagement-user-login://authentication-results?access-token=a&b=c",
    ],
)
def test_other_urls_hand_over_nothing(url: str) -> None:
    assert read_authentication_results(url) is None


@settings(max_examples=100)
@given(st.text(max_size=100), st.binary(max_size=100))
def test_nothing_breaks_the_readers(text: str, document: bytes) -> None:
    assert read_www_authenticate(text) is None
    assert read_authentication_results(text) is None
    assert (token := bearer_token(text)) is None or token in text
    with pytest.raises(MalformedMessage):
        decode_service_discovery(document)
