"""Pushes and APNs' answers: the request as APNs wants it, and every answer put into its class."""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.protocol.apns import (
    MAX_REPLY_BYTES,
    REASONS,
    OutcomeClass,
    Push,
    PushOutcome,
    decode_reply,
    decode_request,
    encode_refusal,
    request_body,
    request_headers,
    request_path,
)
from muster.protocol.errors import MalformedMessage

PUSH = Push(
    apns_id="00000000-0000-4000-8000-000000000001",
    topic="com.apple.mgmt.External.example",
    token=bytes(range(0xF0, 0x100)) * 2,
    push_magic="8C6E2F1A-3D5B-47F0-9E21-6A0B4C8D7E13",
    expiration=1_900_000_000,
)


def test_request_is_as_apns_wants_it() -> None:
    assert request_path(PUSH) == "/3/device/" + "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff" * 2
    assert request_headers(PUSH) == {
        "apns-topic": "com.apple.mgmt.External.example",
        "apns-push-type": "mdm",
        "apns-priority": "10",
        "apns-expiration": "1900000000",
        "apns-id": "00000000-0000-4000-8000-000000000001",
        "content-type": "application/json",
    }
    assert request_body(PUSH) == b'{"mdm":"8C6E2F1A-3D5B-47F0-9E21-6A0B4C8D7E13"}'


PUSHES = st.builds(
    Push,
    st.uuids().map(str),
    st.from_regex(r"\Acom\.apple\.mgmt\.[A-Za-z0-9.-]{1,40}\Z"),
    st.binary(min_size=1, max_size=256),
    st.text(min_size=1, max_size=256),
    st.integers(0, 99_999_999_999),
)


@given(PUSHES)
def test_any_push_is_read_as_it_was_sent(push: Push) -> None:
    assert decode_request(request_path(push), request_headers(push), request_body(push)) == push


def test_headers_which_apns_does_not_need_may_be_absent() -> None:
    assert decode_request(request_path(PUSH), {}, request_body(PUSH)) == Push("", "", PUSH.token, PUSH.push_magic, 0)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/3/device/", "/3/device/0", "/3/device/xy", "/3/device/00/", "/2/device/00", "/3/device/" + "00" * 257],
)
def test_path_without_token_is_refused(path: str) -> None:
    with pytest.raises(MalformedMessage, match="token"):
        decode_request(path, request_headers(PUSH), request_body(PUSH))


@pytest.mark.parametrize(
    "headers",
    [
        {"apns-push-type": "alert"},
        {"apns-expiration": "soon"},
        {"apns-expiration": "-1"},
        {"apns-expiration": "٣"},
        {"apns-expiration": "9" * 12},
        {"apns-topic": "t" * 256},
        {"apns-id": "i" * 65},
    ],
)
def test_malformed_header_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(MalformedMessage, match=next(iter(headers))):
        decode_request(request_path(PUSH), request_headers(PUSH) | headers, request_body(PUSH))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"mdm"',
        b'{"mdm":""}',
        b'{"mdm":7}',
        b'{"mdm":"' + b"m" * 257 + b'"}',
        b'{"mdm":"m"}' + b" " * 4096,
        b"[" * 4096,
        b"\xff",
    ],
)
def test_body_without_magic_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="payload"):
        decode_request(request_path(PUSH), request_headers(PUSH), body)


def test_accepted_push_carries_its_id() -> None:
    assert decode_reply(200, {"apns-id": "i"}, b"") == PushOutcome(OutcomeClass.ACCEPTED, 200, apns_id="i")


@pytest.mark.parametrize(("status", "reason"), REASONS)
def test_refusal_is_put_into_its_class(status: int, reason: str) -> None:
    outcome = decode_reply(status, {"apns-id": "i"}, encode_refusal(reason))

    assert outcome == PushOutcome(REASONS[status, reason], status, reason=reason, apns_id="i")


@pytest.mark.parametrize(
    ("status", "outcome_class"),
    [
        (400, OutcomeClass.OUR_FAULT),
        (403, OutcomeClass.CERTIFICATE_REFUSED),
        (404, OutcomeClass.OUR_FAULT),
        (410, OutcomeClass.TOKEN_UNREGISTERED),
        (418, OutcomeClass.OUR_FAULT),
        (429, OutcomeClass.THROTTLED),
        (500, OutcomeClass.APNS_UNAVAILABLE),
        (502, OutcomeClass.APNS_UNAVAILABLE),
        (503, OutcomeClass.APNS_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"reason":7}', encode_refusal("AddedLater")])
def test_status_decides_where_the_reason_does_not(status: int, outcome_class: OutcomeClass, body: bytes) -> None:
    assert decode_reply(status, {}, body).outcome_class is outcome_class


def test_reason_which_apple_adds_later_is_kept() -> None:
    assert decode_reply(400, {}, encode_refusal("AddedLater")).reason == "AddedLater"


def test_time_of_unregistering_is_kept_to_the_millisecond() -> None:
    since = datetime(2026, 5, 1, 12, 30, 15, 123_000, tzinfo=UTC)
    body = encode_refusal("Unregistered", since + timedelta(microseconds=400))

    assert json.loads(body) == {"reason": "Unregistered", "timestamp": 1_777_638_615_123}
    assert decode_reply(410, {}, body).unregistered_at == since


@pytest.mark.parametrize("timestamp", ["null", '"1"', "true", "[]", "NaN", "Infinity", "1e300", "9" * 400, "9" * 5000])
def test_timestamp_that_is_no_time_is_none(timestamp: str) -> None:
    outcome = decode_reply(410, {}, b'{"reason":"Unregistered","timestamp":%s}' % timestamp.encode())

    assert outcome.outcome_class is OutcomeClass.TOKEN_UNREGISTERED
    assert outcome.unregistered_at is None


@pytest.mark.parametrize("reason", ["", "with blank", "r" * 65, "<script>"])
def test_reason_that_is_no_word_is_dropped(reason: str) -> None:
    assert decode_reply(400, {}, encode_refusal(reason)).reason is None


def test_overlong_reply_is_not_parsed() -> None:
    body = encode_refusal("BadDeviceToken") + b" " * MAX_REPLY_BYTES

    assert decode_reply(400, {}, body) == PushOutcome(OutcomeClass.OUR_FAULT, 400)


def test_deep_reply_is_no_reason() -> None:
    assert decode_reply(400, {}, b"[" * 16_000).reason is None


@given(st.integers(100, 999), st.binary(max_size=60))
def test_any_reply_has_an_outcome(status: int, body: bytes) -> None:
    assert decode_reply(status, {}, body).status == status


@given(
    st.text(max_size=60),
    st.dictionaries(st.sampled_from(sorted(request_headers(PUSH))), st.text(max_size=20)),
    st.binary(max_size=60),
)
def test_only_malformed_message_escapes(path: str, headers: dict[str, str], body: bytes) -> None:
    for candidate in (path, request_path(PUSH)):
        with contextlib.suppress(MalformedMessage):
            decode_request(candidate, headers, body)
