"""Frames, against hyperframe, which nobody here wrote."""

import hyperframe.frame as theirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.apns import frames
from muster.edges.apns.frames import ErrorCode, Flag, Frame, FrameReader, Kind, PeerError, Setting

streams = st.integers(1, frames.MAX_STREAM_ID)
numbers = st.integers(0, 2**32 - 1)
payloads = st.binary(max_size=300)


def read_one(data: bytes) -> Frame:
    (frame,) = FrameReader().frames(data)
    return frame


def read_theirs(data: bytes) -> theirs.Frame:
    frame, length = theirs.Frame.parse_frame_header(memoryview(data[:9]))
    frame.parse_body(memoryview(data[9 : 9 + length]))
    assert len(data) == 9 + length
    return frame


@given(streams, payloads, st.integers(0, 255), st.booleans())
def test_padded_data_of_theirs_is_read(stream_id: int, data: bytes, padding: int, is_padded: bool) -> None:
    frame = theirs.DataFrame(stream_id, data, flags=["END_STREAM", *(["PADDED"] if is_padded else [])])
    frame.pad_length = padding if is_padded else 0

    ours = read_one(frame.serialize())

    assert ours.kind == Kind.DATA
    assert ours.stream_id == stream_id
    assert ours.flags & Flag.END_STREAM
    assert frames.unpadded(ours) == data


@given(streams, payloads, st.integers(0, 255), st.booleans())
def test_headers_of_theirs_with_priority_are_read(stream_id: int, block: bytes, padding: int, is_prior: bool) -> None:
    flags = ["END_HEADERS", "PADDED", *(["PRIORITY"] if is_prior else [])]
    frame = theirs.HeadersFrame(stream_id, block, flags=flags)
    frame.pad_length = padding

    ours = read_one(frame.serialize())

    assert ours.kind == Kind.HEADERS
    assert frames.unpadded(ours) == block


@given(st.dictionaries(st.integers(7, 255), numbers))
def test_settings_of_theirs_are_read(values: dict[int, int]) -> None:
    ours = read_one(theirs.SettingsFrame(0, values).serialize())

    assert dict(frames.read_settings(ours.payload)) == values


@given(st.integers(0, frames.MAX_STREAM_ID), numbers, payloads)
def test_goaway_of_theirs_is_read(last: int, code: int, debug_data: bytes) -> None:
    ours = read_one(theirs.GoAwayFrame(0, last, code, debug_data).serialize())

    goaway = frames.read_goaway(ours.payload)

    assert (goaway.last_stream_id, goaway.code) == (last, code)


@pytest.mark.parametrize(
    ("debug_data", "reason"),
    [
        (b'{"reason":"Shutdown"}', "Shutdown"),
        (b"", None),
        (b'{"reason":7}', None),
        (b"[" * 100_000, None),
        (b"\xff", None),
        (b'"Shutdown"', None),
        (b'{"reason":"%s"}' % (b"x" * 1000), "x" * frames.MAX_GOAWAY_REASON_CHARACTERS),
    ],
)
def test_reason_of_goaway_is_a_word_or_none(debug_data: bytes, reason: str | None) -> None:
    assert frames.read_goaway(bytes(8) + debug_data).reason == reason


@given(streams, payloads, payloads)
def test_request_of_ours_is_read_by_them(stream_id: int, block: bytes, body: bytes) -> None:
    data = frames.request(stream_id, block, body)

    headers, rest = read_theirs(data[: 9 + len(block)]), read_theirs(data[9 + len(block) :])

    assert isinstance(headers, theirs.HeadersFrame)
    assert isinstance(rest, theirs.DataFrame)
    assert (headers.stream_id, headers.data, set(headers.flags)) == (stream_id, block, {"END_HEADERS"})
    assert (rest.stream_id, rest.data, set(rest.flags)) == (stream_id, body, {"END_STREAM"})


@given(streams, st.integers(1, frames.MAX_WINDOW), st.sampled_from(ErrorCode), st.binary(min_size=8, max_size=8))
def test_other_frames_of_ours_are_read_by_them(stream_id: int, number: int, code: ErrorCode, opaque: bytes) -> None:
    update = read_theirs(frames.window_update(stream_id, number))
    reset = read_theirs(frames.reset_stream(stream_id, code))
    ping = read_theirs(frames.ping(opaque, is_answer=True))
    goaway = read_theirs(frames.goaway(code))
    settings = read_theirs(frames.settings([(Setting.MAX_FRAME_SIZE, 16384), (Setting.ENABLE_PUSH, 0)]))

    assert isinstance(update, theirs.WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (stream_id, number)
    assert isinstance(reset, theirs.RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (stream_id, code)
    assert isinstance(ping, theirs.PingFrame)
    assert (ping.opaque_data, set(ping.flags)) == (opaque, {"ACK"})
    assert isinstance(goaway, theirs.GoAwayFrame)
    assert goaway.error_code == code
    assert isinstance(settings, theirs.SettingsFrame)
    assert settings.settings == {5: 16384, 2: 0}


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), streams, payloads)), st.data())
def test_pieces_make_the_same_frames_as_the_whole(
    contents: list[tuple[int, int, int, bytes]], data: st.DataObject
) -> None:
    written = b"".join(
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload
        for kind, flags, stream_id, payload in contents
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=8)))
    reader = FrameReader()

    read: list[Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(written)], strict=True):
        read.extend(reader.frames(written[begin:end]))

    assert [tuple(frame) for frame in read] == contents


def test_frame_beyond_the_bound_comes_after_those_before_it() -> None:
    longest = frames.frame(Kind.DATA, 0, 1, bytes(frames.MAX_FRAME_BYTES))
    too_long = (frames.MAX_FRAME_BYTES + 1).to_bytes(3, "big") + bytes(6)
    reading = FrameReader().frames(longest + too_long)

    first = next(reading)
    with pytest.raises(PeerError, match="a frame of 16385 bytes"):
        next(reading)

    assert len(first.payload) == frames.MAX_FRAME_BYTES


def test_frame_of_ours_beyond_the_bound_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="16385"):
        frames.frame(Kind.HEADERS, 0, 1, bytes(16385))


@pytest.mark.parametrize(
    "broken",
    [
        Frame(Kind.DATA, Flag.PADDED, 1, b""),
        Frame(Kind.DATA, Flag.PADDED, 1, b"\x01"),
        Frame(Kind.HEADERS, Flag.PRIORITY, 1, b"1234"),
        Frame(Kind.HEADERS, Flag.PRIORITY | Flag.PADDED, 1, b"\x01" + b"12345"),
    ],
)
def test_padding_beyond_the_payload_ends_the_connection(broken: Frame) -> None:
    with pytest.raises(PeerError):
        frames.unpadded(broken)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (bytes(5), ErrorCode.FRAME_SIZE_ERROR),
        (bytes.fromhex("0002 00000001"), ErrorCode.PROTOCOL_ERROR),
        (bytes.fromhex("0004 80000000"), ErrorCode.FLOW_CONTROL_ERROR),
        (bytes.fromhex("0005 00003fff"), ErrorCode.PROTOCOL_ERROR),
        (bytes.fromhex("0005 01000000"), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_forbidden_settings_end_the_connection(payload: bytes, code: ErrorCode) -> None:
    with pytest.raises(PeerError) as refused:
        frames.read_settings(payload)

    assert refused.value.code is code


@pytest.mark.parametrize("payload", [b"", bytes(3), bytes(5)])
def test_number_of_another_length_ends_the_connection(payload: bytes) -> None:
    with pytest.raises(PeerError):
        frames.read_number(payload, "RST_STREAM")
