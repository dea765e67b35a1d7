"""Forms, cookies and where a form comes from are read within bounds."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.edges.device.http import BodyReader, BodyTooLarge, Request
from muster.edges.device.ways_in.forms import (
    FORM_TYPE,
    MAXIMUM_COOKIE_BYTES,
    MAXIMUM_FIELDS,
    MAXIMUM_FORM_BYTES,
    NotAForm,
    comes_from_elsewhere,
    cookie,
    read_form,
    wants_page,
)


def request(body: bytes = b"", **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    return Request({"type": "http", "method": "POST", "headers": pairs}, receive)


def form(body: bytes, content_type: str = FORM_TYPE.decode()) -> dict[str, str]:
    return dict(asyncio.run(read_form(request(body, content_type=content_type), BodyReader())))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"user_name=ada%40example.org&password=a+b%2B", {"user_name": "ada@example.org", "password": "a b+"}),
        (b"password=%F0%9F%8D%8E", {"password": "\N{RED APPLE}"}),
        (b"a=&b", {"a": "", "b": ""}),
    ],
)
def test_form_is_read_as_browsers_send_it(body: bytes, fields: dict[str, str]) -> None:
    assert form(body, "Application/X-WWW-Form-URLEncoded; charset=utf-8") == fields


@pytest.mark.parametrize(
    "body", [b"a=%ff", b"a=\xff", b"a=1&a=2", b"&".join(b"f%d=" % number for number in range(MAXIMUM_FIELDS + 1))]
)
def test_what_no_page_of_ours_sends_is_no_form(body: bytes) -> None:
    with pytest.raises(NotAForm):
        form(body)


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "application/json"])
def test_other_types_are_no_form(content_type: str) -> None:
    with pytest.raises(NotAForm):
        form(b"a=b", content_type)


def test_form_is_bounded() -> None:
    assert form(b"a=" + b"x" * (MAXIMUM_FORM_BYTES - 2))["a"]
    with pytest.raises(BodyTooLarge):
        form(b"a=" + b"x" * (MAXIMUM_FORM_BYTES - 1))


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_a_form_or_none(body: bytes) -> None:
    try:
        fields = form(body)
    except NotAForm:
        return
    assert all(isinstance(value, str) for value in fields.values())


@pytest.mark.parametrize(
    ("header", "value"),
    [("session=abc", "abc"), ("other=1; session=a=b", "a=b"), ("xsession=1", None), ("", None), ("session", "")],
)
def test_cookie_is_found_by_its_whole_name(header: str, value: str | None) -> None:
    assert cookie(request(cookie=header), "session") == value


def test_cookies_are_bounded() -> None:
    assert cookie(request(cookie="session=a; b=" + "x" * MAXIMUM_COOKIE_BYTES), "session") is None
    assert cookie(request(), "session") is None


@pytest.mark.parametrize(
    ("headers", "is_elsewhere"),
    [
        ({}, False),
        ({"sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "same-site"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, False),
        ({"origin": "https://MDM.example.org", "host": "mdm.example.org"}, False),
        ({"origin": "https://evil.example", "host": "mdm.example.org"}, True),
        ({"origin": "null", "host": "mdm.example.org"}, True),
        ({"origin": "https://evil.example"}, True),
    ],
)
def test_form_of_another_site_is_told_from_ours(headers: dict[str, str], is_elsewhere: bool) -> None:
    assert comes_from_elsewhere(request(b"", **headers)) is is_elsewhere


@pytest.mark.parametrize(
    ("accept", "is_reader"),
    [("text/html,application/xhtml+xml,*/*;q=0.8", True), ("TEXT/HTML", True), ("*/*", False), ("", False)],
)
def test_who_accepts_html_reads_pages(accept: str, is_reader: bool) -> None:
    assert wants_page(request(accept=accept)) is is_reader
