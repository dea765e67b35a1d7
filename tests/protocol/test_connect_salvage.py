"""Of a report that is no property list the head is saved, where it can be told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.protocol.connect import Status, read_report_head
from muster.protocol.connect_salvage import salvage_head
from muster.protocol.errors import MalformedMessage

HEAD = (
    b"<key>UDID</key><string>A</string><key>Status</key><string>Acknowledged</string>"
    b"<key>CommandUUID</key><string>one</string>"
)


def body(inside: bytes, head: bytes = HEAD) -> bytes:
    return b"<plist><dict>" + head + inside + b"</dict></plist>"


@pytest.mark.parametrize(
    "inside",
    [b"<key>Name</key><string>\xff</string>", b"<array>" * 1000, b"<key>A</key><cdata/>", b"<key>UDID</key><string>"],
    ids=["no-utf-8", "nested-without-end", "no-element-of-a-property-list", "cut-off"],
)
def test_head_is_saved_from_a_body_that_is_no_property_list(inside: bytes) -> None:
    head = read_report_head(body(inside))

    assert (head.channel.id, head.status, head.command_uuid) == ("A", Status.ACKNOWLEDGED, "one")


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"CommandUUID", b"CommandUDID"),
        HEAD.replace(b"Acknowledged", b"Idle"),
        HEAD.replace(b"Acknowledged", b"Frobnicated"),
        HEAD.replace(b"<key>UDID", b"<key>UDIDs"),
        HEAD + b"<key>UDID</key><string>B</string>",
        HEAD + b"<key>Status</key><string>Error</string>",
    ],
    ids=["no-command", "idle", "unknown-status", "nobody", "two-devices", "two-statuses"],
)
def test_head_that_can_not_be_told_is_not_saved(head: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_report_head(body(b"\xff", head))


@given(st.binary(max_size=300))
def test_noise_is_nobodys_answer(noise: bytes) -> None:
    assert salvage_head(noise) is None
