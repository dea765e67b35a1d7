"""Property lists as a whole: both forms read alike, what is written can be read, and bounds hold for either."""

import plistlib
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import MAX_PLIST_BYTES, PlistValue, read_plist, read_top_level, write_plist

TEXT = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.sampled_from("\t\n&<>\"'"), max_size=20
)
DATES = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)).map(  # noqa: DTZ001 - bounds
    lambda date: date.replace(microsecond=0, fold=0, tzinfo=UTC)
)
SCALARS: st.SearchStrategy[PlistValue] = st.one_of(
    TEXT,
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.binary(max_size=60),
    DATES,
)


def containers(children: st.SearchStrategy[PlistValue]) -> st.SearchStrategy[PlistValue]:
    return st.lists(children, max_size=4) | st.dictionaries(TEXT, children, max_size=4)


VALUES = st.recursive(SCALARS, containers, max_leaves=10)
ROOTS = st.dictionaries(TEXT, VALUES, max_size=5)


def exact(value: PlistValue) -> str:
    """A form in which 1, 1.0 and True differ, and so do dictionaries in another order."""
    return repr(value)


@settings(max_examples=60)
@given(ROOTS)
def test_what_is_written_is_read_again(root: dict[str, PlistValue]) -> None:
    assert exact(read_plist(write_plist(root))) == exact(root)


def naive(value: PlistValue) -> PlistValue:
    """*value* with dates as plistlib has them."""
    match value:
        case datetime():
            return value.replace(tzinfo=None)
        case dict():
            return {key: naive(item) for key, item in value.items()}
        case list():
            return [naive(item) for item in value]
        case _:
            return value


@settings(max_examples=60)
@given(ROOTS)
def test_xml_is_written_as_plistlib_writes_it(root: dict[str, PlistValue]) -> None:
    by_plistlib = plistlib.dumps(naive(root), fmt=plistlib.FMT_XML, sort_keys=False)

    assert write_plist(root) == by_plistlib


def test_data_is_wrapped_as_plistlib_wraps_it_however_deep_it_stands() -> None:
    root: dict[str, PlistValue] = {"data": bytes(200)}
    for _ in range(10):
        root = {"deeper": root, "data": bytes(61)}

    assert write_plist(root) == plistlib.dumps(root, fmt=plistlib.FMT_XML, sort_keys=False)


@settings(max_examples=60)
@given(ROOTS)
def test_plistlib_reads_xml_to_the_same_values(root: dict[str, PlistValue]) -> None:
    data = write_plist(root)

    assert exact(naive(read_plist(data))) == exact(plistlib.loads(data, fmt=plistlib.FMT_XML))


@settings(max_examples=60)
@given(ROOTS)
def test_binary_form_is_read_to_the_values_of_the_xml_form(root: dict[str, PlistValue]) -> None:
    binary = plistlib.dumps(naive(root), fmt=plistlib.FMT_BINARY, sort_keys=False)

    assert exact(read_plist(binary)) == exact(root)


@settings(max_examples=60)
@given(ROOTS, st.frozensets(TEXT, max_size=3))
def test_top_level_is_the_scalar_part_of_the_whole(root: dict[str, PlistValue], keys: frozenset[str]) -> None:
    wanted = frozenset(keys | set(list(root)[::2]))
    wanted = frozenset(key for key in wanted if not isinstance(root.get(key), dict | list))
    expected = exact({key: value for key, value in root.items() if key in wanted})
    binary = plistlib.dumps(naive(root), fmt=plistlib.FMT_BINARY, sort_keys=False)

    assert exact(read_top_level(write_plist(root), wanted)) == expected
    assert exact(read_top_level(binary, wanted)) == expected


@pytest.mark.parametrize("fmt", [plistlib.FMT_XML, plistlib.FMT_BINARY])
@pytest.mark.parametrize("container", [{}, [], {"a": 1}, [1]])
def test_wanted_key_must_hold_a_scalar(fmt: plistlib.PlistFormat, container: PlistValue) -> None:
    data = plistlib.dumps({"UDID": container}, fmt=fmt)

    with pytest.raises(MalformedMessage, match="UDID is not a scalar"):
        read_top_level(data, frozenset({"UDID"}))


@given(st.binary(max_size=200))
def test_only_malformed_message_escapes_from_noise(data: bytes) -> None:
    for candidate in (data, b"bplist00" + data, b"<plist>" + data + b"</plist>"):
        try:
            read_plist(candidate)
            read_top_level(candidate, frozenset({"a"}))
        except MalformedMessage:
            pass


@settings(max_examples=200)
@given(ROOTS, st.sampled_from([plistlib.FMT_XML, plistlib.FMT_BINARY]), st.data())
def test_only_malformed_message_escapes_from_damaged_property_lists(
    root: dict[str, PlistValue], fmt: plistlib.PlistFormat, choose: st.DataObject
) -> None:
    data = bytearray(plistlib.dumps(naive(root), fmt=fmt, sort_keys=False))
    for _ in range(choose.draw(st.integers(1, 3))):
        position = choose.draw(st.integers(0, len(data) - 1))
        data[position : position + choose.draw(st.integers(0, 3))] = choose.draw(st.binary(max_size=3))

    for read in (read_plist, lambda damaged: read_top_level(damaged, frozenset(root))):
        try:
            value = read(bytes(data))
        except MalformedMessage:
            continue
        write_plist(value)


def test_one_byte_too_long_is_refused() -> None:
    data = write_plist({"a": "b"})

    assert read_plist(data, maximum_bytes=len(data)) == {"a": "b"}
    with pytest.raises(MalformedMessage, match=f"longer than {len(data) - 1} bytes"):
        read_plist(data, maximum_bytes=len(data) - 1)


def test_sixteen_megabytes_in_one_value_are_read() -> None:
    padding = len(write_plist({"Data": ""}))
    data = write_plist({"Data": "x" * (MAX_PLIST_BYTES - padding)})
    assert len(data) > MAX_PLIST_BYTES - 100

    assert len(str(read_plist(data)["Data"])) == MAX_PLIST_BYTES - padding
    assert read_top_level(data, frozenset({"UDID"})) == {}
    with pytest.raises(MalformedMessage):
        read_plist(data + b" " * 100)
    with pytest.raises(MalformedMessage):
        read_top_level(data + b" " * 100, frozenset())


def test_memory_is_bounded_by_the_size_of_the_body() -> None:
    """Empty dictionaries are the dearest elements: 64 bytes and a reference for 7 bytes."""
    data = b"<plist><dict><key>a</key><array>" + b"<dict/>" * 100_000 + b"</array></dict></plist>"
    tracemalloc.start()
    try:
        read_plist(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 13 * len(data)


@pytest.mark.parametrize("root", ["text", ["a"], 7, b"data"])
@pytest.mark.parametrize("fmt", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_root_other_than_a_dictionary_is_refused(root: PlistValue, fmt: plistlib.PlistFormat) -> None:
    data = plistlib.dumps(root, fmt=fmt)

    with pytest.raises(MalformedMessage, match="root"):
        read_plist(data)
    with pytest.raises(MalformedMessage, match="root"):
        read_top_level(data, frozenset())


def test_dates_of_any_zone_are_written_in_utc() -> None:
    date = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))

    assert b"<date>2026-07-01T10:00:00Z</date>" in write_plist({"at": date})


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 1), float("nan"), float("inf"), "\x00", "\x1b"],  # noqa: DTZ001 - refused for this
)
def test_what_no_property_list_holds_is_not_written(value: PlistValue) -> None:
    with pytest.raises(ValueError):
        write_plist({"key": [value]})


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_larger_integers_are_not_written(number: int) -> None:
    with pytest.raises(OverflowError):
        write_plist({"key": number})
