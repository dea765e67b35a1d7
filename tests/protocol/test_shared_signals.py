"""What receivers of shared signals send is read, or refused with a reason."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.errors import MalformedMessage
from muster.protocol.shared_signals import (
    DEVICE_COMPLIANCE_CHANGE,
    MAX_BODY_BYTES,
    MAX_ITEMS,
    DeliveryMethod,
    PollRequest,
    StreamRequest,
    read_object,
    read_poll_request,
    read_stream_request,
    read_subject,
)

US = "https://mdm.example"


def written(members: Any) -> bytes:
    return json.dumps(members).encode()


def test_stream_is_read_with_all_it_may_say() -> None:
    read = read_stream_request(
        written(
            {
                "stream_id": "s",
                "aud": "other",
                "events_requested": [DEVICE_COMPLIANCE_CHANGE],
                "delivery": {
                    "method": "urn:ietf:rfc:8935",
                    "endpoint_url": "https://idp.example/caep",
                    "authorization_header": "Bearer x",
                },
                "description": "ours",
                "unknown": 1,
            }
        )
    )

    assert read == StreamRequest(
        "s",
        DeliveryMethod.PUSH,
        "https://idp.example/caep",
        "Bearer x",
        (DEVICE_COMPLIANCE_CHANGE,),
        "ours",
        {"aud": "other"},
    )
    assert "Bearer" not in repr(read)


def test_stream_may_say_nothing() -> None:
    assert read_stream_request(b"{}") == StreamRequest()


@pytest.mark.parametrize(
    "members",
    [
        [],
        1,
        {"delivery": 1},
        {"delivery": {}},
        {"delivery": {"method": "urn:ietf:rfc:1"}},
        {"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": 1}},
        {"delivery": {"method": "urn:ietf:rfc:8935", "authorization_header": "a\r\nX: y"}},
        {"events_requested": "all"},
        {"events_requested": [1]},
        {"events_requested": ["x"] * (MAX_ITEMS + 1)},
        {"description": "x" * 3000},
    ],
)
def test_stream_that_is_none_is_refused(members: Any) -> None:
    with pytest.raises(MalformedMessage):
        read_stream_request(written(members))


def test_poll_is_read() -> None:
    read = read_poll_request(
        written(
            {
                "maxEvents": 3,
                "returnImmediately": True,
                "ack": ["a"],
                "setErrs": {"b": {"err": "invalid_key", "description": "no\nkey"}, "c": {}},
            }
        )
    )

    assert read == PollRequest(3, True, ("a",), {"b": "invalid_key: no key", "c": "no reason given"})
    assert read_poll_request(b"{}") == PollRequest()


@pytest.mark.parametrize(
    "members",
    [
        {"maxEvents": -1},
        {"maxEvents": True},
        {"maxEvents": "1"},
        {"returnImmediately": "yes"},
        {"ack": "a"},
        {"ack": [1]},
        {"setErrs": []},
        {"setErrs": {"a": "no"}},
        {"setErrs": {"a\0": {}}},
        {"setErrs": {"": {}}},
        {"setErrs": {str(number): {} for number in range(MAX_ITEMS + 1)}},
    ],
)
def test_poll_that_is_none_is_refused(members: Any) -> None:
    with pytest.raises(MalformedMessage):
        read_poll_request(written(members) if members != {"setErrs": []} else b'{"setErrs": [1]}')


@pytest.mark.parametrize(
    ("subject", "device_id"),
    [
        ({"format": "iss_sub", "iss": US, "sub": "A"}, "A"),
        ({"format": "opaque", "id": "A"}, "A"),
        ({"format": "complex", "device": {"format": "iss_sub", "iss": US, "sub": "A"}, "user": {}}, "A"),
    ],
)
def test_subject_names_a_device(subject: Any, device_id: str) -> None:
    assert read_subject({"subject": subject}, US) == device_id


@pytest.mark.parametrize(
    "subject",
    [
        None,
        "A",
        {},
        {"format": "email", "email": "a@b.example"},
        {"format": "iss_sub", "iss": "https://other.example", "sub": "A"},
        {"format": "iss_sub", "iss": US},
        {"format": "complex", "user": {"format": "opaque", "id": "A"}},
        {"format": "complex", "device": {"format": "complex", "device": {"format": "opaque", "id": "A"}}},
    ],
)
def test_subject_that_is_no_device_of_ours_is_refused(subject: Any) -> None:
    with pytest.raises(MalformedMessage):
        read_subject({"subject": subject}, US)


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 5000, b"{}" + b" " * MAX_BODY_BYTES])
def test_body_that_is_no_bounded_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_object(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["delivery", "method", "endpoint_url", "events_requested", "maxEvents", "ack", "setErrs", "stream_id", "subject"]
)


@settings(max_examples=60)
@given(st.dictionaries(NAMES, JSON, max_size=4) | JSON)
def test_whatever_comes_is_read_or_refused(members: Any) -> None:
    for read in (read_stream_request, read_poll_request):
        with suppress(MalformedMessage):
            read(written(members))
