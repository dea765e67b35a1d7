"""Binary property lists: what plistlib cannot be made to write, above all shared and cyclic containers."""

import plistlib
import struct
import time
from datetime import UTC, datetime

import pytest

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist_binary import read_binary_plist
from muster.protocol.plist_values import MAX_DEPTH, PlistValue


def document(*objects: bytes, top: int = 0, count: int | None = None) -> bytes:
    """A binary property list of these objects, with offsets of four bytes and references of two."""
    data = b"bplist00"
    offsets = []
    for encoded in objects:
        offsets.append(len(data))
        data += encoded
    table = len(data)
    data += b"".join(struct.pack(">I", offset) for offset in offsets)
    return data + struct.pack(">6xBBQQQ", 4, 2, len(objects) if count is None else count, top, table)


def array(*references: int) -> bytes:
    return b"\xaf\x11" + struct.pack(">H", len(references)) + b"".join(struct.pack(">H", ref) for ref in references)


def dictionary(*references: int) -> bytes:
    """Of keys, then as many values."""
    return bytes([0xD0 | len(references) // 2]) + b"".join(struct.pack(">H", reference) for reference in references)


ACCEPTED: list[tuple[bytes, PlistValue]] = [
    (b"\x08", False),
    (b"\x09", True),
    (b"\x10\xff", 255),
    (b"\x11\xff\xff", 65535),
    (b"\x12\xff\xff\xff\xff", 2**32 - 1),
    (b"\x13" + b"\xff" * 8, -1),
    (b"\x14" + bytes(8) + b"\xff" * 8, 2**64 - 1),
    (b"\x14" + b"\xff" * 16, -1),
    (b"\x22" + struct.pack(">f", 1.5), 1.5),
    (b"\x23" + struct.pack(">d", -0.25), -0.25),
    (b"\x33" + struct.pack(">d", 0), datetime(2001, 1, 1, tzinfo=UTC)),
    (b"\x33" + struct.pack(">d", -1.5), datetime(2000, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)),
    (b"\x33" + struct.pack(">d", -63_114_076_800.0), datetime(1, 1, 1, tzinfo=UTC)),
    (b"\x33" + struct.pack(">d", -63_113_904_000.5), datetime(1, 1, 1, tzinfo=UTC)),
    (b"\x43abc", b"abc"),
    (b"\x4f\x10\x03abc", b"abc"),
    (b"\x53abc", "abc"),
    (b"\x53a\x00\x1b", "a\ufffd\ufffd"),
    (b"\x62" + "🍏".encode("utf-16-be"), "🍏"),
    (b"\xa0", []),
    (b"\xd0", {}),
]


@pytest.mark.parametrize(("encoded", "value"), ACCEPTED)
def test_object_means_its_value(encoded: bytes, value: PlistValue) -> None:
    assert repr(read_binary_plist(document(encoded))) == repr(value)


REFUSED = {
    "null": b"\x00",
    "fill byte": b"\x0f",
    "UID": b"\x80\x01",
    "set": b"\xc0",
    "unknown kind": b"\x70",
    "integer of 32 bytes": b"\x15" + bytes(32),
    "integer of 65 bits": b"\x14" + bytes(7) + b"\x01" + bytes(8),
    "real of two bytes": b"\x21\x00\x00",
    "NaN": b"\x23" + struct.pack(">d", float("nan")),
    "infinity": b"\x22" + struct.pack(">f", float("inf")),
    "date of four bytes": b"\x32" + bytes(4),
    "date that is not a number": b"\x33" + struct.pack(">d", float("nan")),
    "date beyond the calendar": b"\x33" + struct.pack(">d", 1e300),
    "date just beyond the calendar": b"\x33" + struct.pack(">d", 1e12),
    "date before the distant past": b"\x33" + struct.pack(">d", -63_114_076_801.0),
    "text outside ASCII": b"\x51\xe4",
    "half a surrogate pair": b"\x61\xd8\x00",
    "length that is no integer": b"\x4f\x51a",
    "length of sixteen bytes": b"\x4f\x14" + bytes(15) + b"\x01a",
    "data that ends too late": b"\x4f\x10\xff" + b"a" * 10,
    "data of 2**63 bytes": b"\x4f\x13\x7f" + b"\xff" * 7,
    "array that ends too late": b"\xaf\x10\xff",
    "array of 2**62 references": b"\xaf\x13\x3f" + b"\xff" * 7,
    "reference to nothing": b"\xa1\x00\x07",
}


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED.keys())
def test_what_no_xml_property_list_holds_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_binary_plist(document(encoded))
    with pytest.raises(MalformedMessage):
        read_binary_plist(document(array(1), encoded))


def test_dictionary_has_strings_for_keys() -> None:
    assert read_binary_plist(document(dictionary(1, 2), b"\x51a", b"\x09")) == {"a": True}
    with pytest.raises(MalformedMessage, match="key"):
        read_binary_plist(document(dictionary(1, 2), b"\x10\x07", b"\x09"))
    with pytest.raises(MalformedMessage, match="key"):
        read_binary_plist(document(dictionary(1, 2), b"\xa0", b"\x09"))


def test_dictionary_has_a_key_once() -> None:
    with pytest.raises(MalformedMessage, match="twice"):
        read_binary_plist(document(dictionary(1, 2, 3, 3), b"\x51a", b"\x51a", b"\x09"))


def test_scalar_may_be_shared() -> None:
    assert read_binary_plist(document(array(1, 1, 1), b"\x51a")) == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("referred_to", "times"),
    [
        (b"\x5f\x12" + struct.pack(">I", 2_000_000) + b"a" * 2_000_000, 34),
        (b"\x4f\x12" + struct.pack(">I", 2_000_000) + b"a" * 2_000_000, 34),
    ],
    ids=["text", "data"],
)
def test_shared_scalars_are_refused_where_they_unfold_into_too_much(referred_to: bytes, times: int) -> None:
    assert read_binary_plist(document(array(1, 1), referred_to))
    with pytest.raises(MalformedMessage, match="unfolds"):
        read_binary_plist(document(array(*[1] * times), referred_to))


def test_references_to_the_least_scalar_are_limited_too() -> None:
    inner = [array(*[65] * 1_000) for _ in range(64)]
    data = document(array(*range(1, 65)), *inner, b"\x09")

    read_binary_plist(data, maximum_unfolded=64 * 1_000 * 17)
    with pytest.raises(MalformedMessage, match="unfolds"):
        read_binary_plist(data, maximum_unfolded=64 * 1_000 * 17 - 1)


def test_container_within_itself_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="referred to twice"):
        read_binary_plist(document(array(0)))
    with pytest.raises(MalformedMessage, match="referred to twice"):
        read_binary_plist(document(array(1), array(0)))


def test_shared_containers_are_refused_before_they_unfold() -> None:
    bomb = document(*[array(*[level + 1] * 10) for level in range(12)], b"\x51a")
    started = time.process_time()

    with pytest.raises(MalformedMessage, match="referred to twice"):
        read_binary_plist(bomb)
    assert time.process_time() - started < 1


def test_two_references_to_one_place_share_it_too() -> None:
    data = bytearray(document(array(1, 2), b"\xa0", b"\xa0"))
    table = len(data) - 32 - 12
    data[table + 8 : table + 12] = data[table + 4 : table + 8]

    with pytest.raises(MalformedMessage, match="referred to twice"):
        read_binary_plist(bytes(data))


def test_containers_nest_to_the_limit_and_no_deeper() -> None:
    deepest: list[PlistValue] = []
    for _ in range(MAX_DEPTH - 1):
        deepest = [deepest]

    assert read_binary_plist(plistlib.dumps(deepest, fmt=plistlib.FMT_BINARY)) == deepest
    with pytest.raises(MalformedMessage, match=f"deeper than {MAX_DEPTH}"):
        read_binary_plist(plistlib.dumps([deepest], fmt=plistlib.FMT_BINARY))


def test_many_references_to_one_large_text_cost_no_memory_each() -> None:
    text = b"\x5f\x12\x00\x0f\x42\x40" + b"a" * 1_000_000
    value = read_binary_plist(document(array(*[1] * 60), text))

    assert isinstance(value, list)
    assert len({id(item) for item in value}) == 1


@pytest.mark.parametrize(
    "trailer",
    [
        struct.pack(">6xBBQQQ", 0, 1, 1, 0, 9),
        struct.pack(">6xBBQQQ", 9, 1, 1, 0, 9),
        struct.pack(">6xBBQQQ", 1, 0, 1, 0, 9),
        struct.pack(">6xBBQQQ", 1, 1, 0, 0, 10),
        struct.pack(">6xBBQQQ", 1, 1, 2**62, 0, 9),
        struct.pack(">6xBBQQQ", 1, 1, 1, 0, 2**62),
        struct.pack(">6xBBQQQ", 1, 1, 1, 0, 0),
        struct.pack(">6xBBQQQ", 1, 1, 1, 1, 9),
        struct.pack(">6xBBQQQ", 1, 1, 1, 2**62, 9),
    ],
    ids=range(9),
)
def test_trailer_that_does_not_fit_is_refused(trailer: bytes) -> None:
    assert read_binary_plist(b"bplist00\x09\x08" + struct.pack(">6xBBQQQ", 1, 1, 1, 0, 9)) is True
    with pytest.raises(MalformedMessage):
        read_binary_plist(b"bplist00\x09\x08" + trailer)


@pytest.mark.parametrize("offset", [0, 7, 9, 255])
def test_offset_outside_the_objects_is_refused(offset: int) -> None:
    with pytest.raises(MalformedMessage):
        read_binary_plist(b"bplist00\x09" + bytes([offset]) + struct.pack(">6xBBQQQ", 1, 1, 1, 0, 9))


@pytest.mark.parametrize("data", [b"", b"bplist00", b"bplist01" + bytes(40), b"bplist00" + bytes(32)])
def test_what_is_no_binary_property_list_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_binary_plist(data)
