"""The reader: what it accepts, and that nothing in the bytes can make it fail otherwise than by MalformedMessage."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.crypto import der
from muster.crypto.errors import MalformedMessage


def reader(hexadecimal: str) -> der.Reader:
    return der.Reader(bytes.fromhex(hexadecimal))


def test_elements_of_every_length_form_are_read() -> None:
    for encoded in ("0401aa", "048101aa", "04820001aa", "0484 00000001 aa"):
        assert reader(encoded).content(der.OCTET_STRING) == b"\xaa"


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_what_is_written_is_read(length: int) -> None:
    encoded = der.octet_string(bytes(length))

    octets = der.Reader(encoded)

    assert octets.content(der.OCTET_STRING) == bytes(length)
    octets.finish()


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "04",
        "0402aa",
        "0481",
        "0482ff",
        "0484ffffffff",
        "04850000000001aa",
        "0480aa0000",  # primitive and indefinite
        "0501",  # another tag
    ],
)
def test_a_broken_octet_string_is_refused(encoded: str) -> None:
    with pytest.raises(MalformedMessage):
        reader(encoded).octet_string()


def test_indefinite_lengths_nest() -> None:
    outer = reader("3080 3080 0401aa 0000 2480 0401bb 2403 0401cc 0000 0000").enter(der.SEQUENCE)

    inner = outer.enter(der.SEQUENCE)

    assert inner.octet_string() == b"\xaa"
    inner.finish()
    assert outer.octet_string() == b"\xbb\xcc"
    outer.finish()


@pytest.mark.parametrize(
    "encoded",
    [
        "3080",
        "30800000",
        "3080 0401",
        "3080 0401aa 00",
        "3080 0401aa 0001 00",
        "3080 3080 0000",
        "3080 0480 0000 0000",
        "3080 1f0100 0000",  # a tag number above 30
        "3080 0484ffffffff 0000",
    ],
)
def test_a_broken_indefinite_length_is_refused(encoded: str) -> None:
    with pytest.raises(MalformedMessage):
        der.Reader.of_single(bytes.fromhex(encoded), der.SEQUENCE).octet_string()


def test_sixteen_levels_are_followed_and_no_more() -> None:
    def descend(levels: int, *, indefinite: bool) -> None:
        encoded = b""
        for _ in range(levels):
            encoded = b"\x30\x80" + encoded + b"\0\0" if indefinite else der.sequence(encoded)
        inner = der.Reader(encoded)
        for _ in range(levels):
            inner = inner.enter(der.SEQUENCE)

    for indefinite in (False, True):
        descend(16, indefinite=indefinite)
        with pytest.raises(MalformedMessage, match="16"):
            descend(17, indefinite=indefinite)


def test_trailing_bytes_are_refused() -> None:
    assert der.Reader.of_single(b"\x30\0", der.SEQUENCE).next_tag() == 0
    with pytest.raises(MalformedMessage, match="end"):
        der.Reader.of_single(b"\x30\0\0", der.SEQUENCE)


def test_an_end_of_contents_is_no_element() -> None:
    with pytest.raises(MalformedMessage):
        reader("2404 0000 0401").octet_string()
    with pytest.raises(MalformedMessage):
        reader("0000").skip()


@pytest.mark.parametrize(
    ("dotted", "encoded"),
    [
        ("1.2.840.113549.1.7.2", "06092a864886f70d010702"),
        ("2.5.4.3", "0603550403"),
        ("0.9.2342.19200300.100.1.1", "060a0992268993f22c640101"),
        ("2.16.840.1.101.3.4.2.1", "0609608648016503040201"),
        ("2.999.1", "0603883701"),
        ("0.0", "060100"),
    ],
)
def test_object_identifiers_are_read_and_written(dotted: str, encoded: str) -> None:
    assert reader(encoded).oid() == dotted
    assert der.oid(dotted).hex() == encoded


@pytest.mark.parametrize("encoded", ["0600", "060180", "06022a80", "06028001", "06032a8001", "0641" + "2a" * 65])
def test_malformed_object_identifiers_are_refused(encoded: str) -> None:
    with pytest.raises(MalformedMessage):
        reader(encoded).oid()


@given(st.integers(-(1 << 500), 1 << 500))
def test_integers_are_read_as_written(value: int) -> None:
    assert der.Reader(der.integer(value)).integer() == value


def test_an_integer_of_no_or_too_many_octets_is_refused() -> None:
    for octets in (b"", b"\1" * 65):
        with pytest.raises(MalformedMessage):
            der.Reader(der.element(der.INTEGER, octets)).integer()


def test_bit_strings_are_whole_octets() -> None:
    assert der.Reader(der.bit_string(b"ab")).bit_string() == b"ab"
    for encoded in ("0300", "0302 0180"):
        with pytest.raises(MalformedMessage):
            reader(encoded).bit_string()


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (b"\x17\x0d261122201530Z", datetime(2026, 11, 22, 20, 15, 30, tzinfo=UTC)),
        (b"\x17\x0d500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (b"\x17\x0d491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"\x17\x0b2611222015Z", datetime(2026, 11, 22, 20, 15, tzinfo=UTC)),
        (b"\x17\x11261122201530+0200", datetime(2026, 11, 22, 18, 15, 30, tzinfo=UTC)),
        (b"\x17\x11261122201530-0130", datetime(2026, 11, 22, 21, 45, 30, tzinfo=UTC)),
        (b"\x18\x0f20501122201530Z", datetime(2050, 11, 22, 20, 15, 30, tzinfo=UTC)),
        (b"\x18\x1320501122201530.123Z", datetime(2050, 11, 22, 20, 15, 30, tzinfo=UTC)),
    ],
)
def test_times_are_read(encoded: bytes, expected: datetime) -> None:
    assert der.Reader(encoded).time() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "261322201530Z",
        "261122201560Z",
        "261122201530",
        "2611222015301Z",
        "26112220153\xb2Z",
        "+0000",
        "261122201530+9999",
    ],
)
def test_malformed_times_are_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        der.Reader(der.element(der.UTC_TIME, text.encode("latin-1"))).time()


def test_a_time_before_the_first_year_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        der.Reader(der.element(der.GENERALIZED_TIME, b"00010101000000+0100")).time()


@given(st.datetimes(datetime(1951, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - as the strategy asks
def test_times_are_read_as_written(moment: datetime) -> None:
    assert der.Reader(der.time(moment)).time() == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("tag", "octets", "expected"),
    [
        (0x0C, "Gerät".encode(), "Gerät"),
        (0x13, b"device 1", "device 1"),
        (0x13, b"Ger\xe4t", "Gerät"),
        (0x14, b"Ger\xe4t", "Gerät"),
        (0x16, b"a@b", "a@b"),
        (0x1E, "Gerät".encode("utf-16-be"), "Gerät"),
        (0x1C, "Gerät".encode("utf-32-be"), "Gerät"),
    ],
)
def test_text_of_every_kind_is_read(tag: int, octets: bytes, expected: str) -> None:
    assert der.Reader(der.element(tag, octets)).text() == expected


@pytest.mark.parametrize(
    "encoded",
    [b"\x0c\x01\xff", b"\x0c\x01\0", b"\x1e\x01a", b"\x1e\x02\xd8\0", b"\x1c\x04\0\x20\0\0", b"\x04\x01a", b""],
)
def test_malformed_text_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedMessage):
        der.Reader(encoded).text()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_is_read_as_written(text: str) -> None:
    assert der.Reader(der.text(text)).text() == text


def test_a_set_is_sorted_when_written() -> None:
    assert der.set_of([b"\x04\x01\x02", b"\x02\x01\x01"]) == b"\x31\x06\x02\x01\x01\x04\x01\x02"


@settings(max_examples=500)
@given(
    st.binary(max_size=64),
    st.lists(st.sampled_from(["enter", "octets", "text", "time", "oid", "integer", "bits", "skip"])),
)
def test_only_malformed_message_escapes(octets: bytes, steps: list[str]) -> None:
    cursor = der.Reader(octets)
    try:
        for step in steps:
            match step:
                case "enter":
                    cursor = cursor.enter(cursor.next_tag())
                case "octets":
                    cursor.octet_string()
                case "text":
                    cursor.text()
                case "time":
                    cursor.time()
                case "oid":
                    cursor.oid()
                case "integer":
                    cursor.integer()
                case "bits":
                    cursor.bit_string()
                case _:
                    cursor.skip()
        cursor.finish()
    except MalformedMessage:
        pass
