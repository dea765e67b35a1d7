"""Status reports of declarative management: what is read of them, and what is none."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.declarative import MAX_STATUS_BYTES, MAX_VALUE_CHARACTERS, StatusReport, read_status_report
from muster.protocol.errors import MalformedMessage


def report(mdm: dict[str, Any] | None = None, **more: Any) -> bytes:
    items = {} if mdm is None else {"mdm": mdm}
    return json.dumps({"StatusItems": items, "Errors": [], **more}).encode()


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (report(), StatusReport(0, 0)),
        (b'{"StatusItems": {"passcode": {"is-present": true}}}', StatusReport(1, 0)),
        (report({"push-token": "AQID"}), StatusReport(1, 0, push_token=b"\x01\x02\x03")),
        (report({"push-magic": "magic"}, FullReport=True), StatusReport(1, 0, is_full=True, push_magic="magic")),
        (report({"enrollment-type": "supervised"}), StatusReport(1, 0, enrollment_type="supervised")),
        (report({"is-awaiting-configuration": True}), StatusReport(1, 0, is_awaiting_configuration=True)),
        (b'{"StatusItems": {}, "Errors": [{"StatusItem": "x.y"}]}', StatusReport(0, 1)),
    ],
)
def test_report_is_read(data: bytes, read: StatusReport) -> None:
    assert read_status_report(data) == read


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"StatusItems": []}',
        b'{"Errors": {}}',
        b'{"StatusItems": {"x": NaN}}',
        b"[" * 100_000,
        report({"push-token": "not base64!"}),
        report({"push-token": 7}),
        report({"push-magic": ["magic"]}),
        report({"push-magic": "m" * (MAX_VALUE_CHARACTERS + 1)}),
        report({"push-magic": "\0"}),
        report({"is-awaiting-configuration": "yes"}),
        json.dumps({"StatusItems": {"mdm": "x"}}).encode(),
        b" " * (MAX_STATUS_BYTES + 1),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_report_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_status_report(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["StatusItems", "Errors", "mdm", "push-token", "push-magic"]), inner, max_size=4
        )
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_a_report_or_a_refusal_comes_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        assert isinstance(read_status_report(data), StatusReport)
