"""Apple's error codes, as JSON and as property lists."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.enrollment_errors import (
    JSON_MEDIA_TYPE,
    MAX_ERROR_BYTES,
    PLIST_MEDIA_TYPE,
    ErrorReply,
    decode_error,
    encode_error_json,
    encode_error_plist,
    software_update_required,
    unrecognized_device,
    well_known_failed,
)
from muster.protocol.plist import PlistValue, read_plist, write_plist

REPLIES: list[tuple[ErrorReply, dict[str, PlistValue]]] = [
    (
        software_update_required("17.4", "21E219", message="Update needed"),
        {
            "code": "com.apple.softwareupdate.required",
            "message": "Update needed",
            "details": {"OSVersion": "17.4", "BuildVersion": "21E219"},
        },
    ),
    (
        software_update_required("17.4"),
        {"code": "com.apple.softwareupdate.required", "details": {"OSVersion": "17.4"}},
    ),
    (unrecognized_device(), {"code": "com.apple.unrecognized.device"}),
    (
        unrecognized_device(description="serial not assigned", message="Nicht erkannt – bitte melden"),
        {
            "code": "com.apple.unrecognized.device",
            "description": "serial not assigned",
            "message": "Nicht erkannt – bitte melden",
        },
    ),
    (well_known_failed(message="No."), {"code": "com.apple.well-known.failed", "message": "No."}),
]


@pytest.mark.parametrize(("reply", "keys"), REPLIES)
def test_reply_has_apples_keys_in_both_forms(reply: ErrorReply, keys: dict[str, PlistValue]) -> None:
    assert json.loads(encode_error_json(reply)) == keys
    assert read_plist(encode_error_plist(reply)) == keys


@pytest.mark.parametrize("reply", [reply for reply, _ in REPLIES])
def test_device_reads_both_forms(reply: ErrorReply) -> None:
    assert decode_error(JSON_MEDIA_TYPE, encode_error_json(reply)) == reply
    assert decode_error("application/json; charset=utf-8", encode_error_json(reply)) == reply
    assert decode_error(PLIST_MEDIA_TYPE, encode_error_plist(reply)) == reply


def test_data_becomes_base64_in_json_and_dates_are_refused() -> None:
    nested: dict[str, PlistValue] = {"Package": {"PinningCerts": [b"der"]}}

    assert json.loads(encode_error_json(ErrorReply("x", details=nested)))["details"] == {
        "Package": {"PinningCerts": ["ZGVy"]}
    }
    with pytest.raises(ValueError, match="dates"):
        encode_error_json(ErrorReply("x", details={"At": datetime(2026, 1, 1, tzinfo=UTC)}))


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/html", b'{"code": "x"}'),
        ("", b'{"code": "x"}'),
        ("application/xml", b'{"code": "x"}'),
        ("application/json", write_plist({"code": "x"})),
        ("application/json", b""),
        ("application/json", b"[]"),
        ("application/json", b"[" * 60_000),
        ("application/json", b"\xff"),
        ("application/json", b"{}"),
        ("application/json", b'{"code": 7}'),
        ("application/json", b'{"code": "x", "details": []}'),
        ("application/json", b'{"code": "x", "message": "' + bytes(MAX_ERROR_BYTES) + b'"}'),
        ("application/xml", b"<html/>"),
    ],
)
def test_what_no_device_would_read_is_no_error(media_type: str, body: bytes) -> None:
    assert decode_error(media_type, body) is None


@settings(max_examples=50)
@given(st.sampled_from([JSON_MEDIA_TYPE, PLIST_MEDIA_TYPE]), st.binary(max_size=100))
def test_random_bytes_are_no_error(media_type: str, body: bytes) -> None:
    assert decode_error(media_type, body) is None
