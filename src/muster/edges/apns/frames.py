"""HTTP/2's frames, without a connection: bytes in, frames out, and the other way round. Source: RFC 9113, 4 to 6."""

import json
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

MAX_FRAME_BYTES: Final = 16384
"""The largest payload that may be sent without being asked (RFC 9113, 4.2); we neither ask for more nor send more."""

MAX_STREAM_ID: Final = 2**31 - 1
"""Stream identifiers have 31 bits and are not used again: then a connection is used up (RFC 9113, 5.1.1)."""

MAX_WINDOW: Final = 2**31 - 1
"""No flow-control window may grow beyond it (RFC 9113, 6.9.1)."""

DEFAULT_WINDOW: Final = 65535
"""What a window holds until somebody says otherwise (RFC 9113, 6.9.2)."""

MAX_GOAWAY_REASON_CHARACTERS: Final = 64
"""APNs' reasons are single words; what is longer is cut off before it is logged."""

CLIENT_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_HEADER: Final = struct.Struct(">HBBBL")  # the length has 24 bits: its upper 16, its lower 8
_HEADER_BYTES: Final = 9
_SETTING: Final = struct.Struct(">HL")
_TWO_NUMBERS: Final = struct.Struct(">LL")
_NUMBER: Final = struct.Struct(">L")


class Kind(IntEnum):
    """The types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntEnum):
    """The flags that mean something to us. ACK has the bit of END_STREAM, on other types of frames.

    Combined they are plain numbers: an IntFlag would cost a microsecond each time a frame is asked for one.
    """

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class ErrorCode(IntEnum):
    """Why a stream or connection ends (RFC 9113, 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    """The settings of RFC 9113, 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class PeerError(Exception):
    """The peer broke HTTP/2 in a way that ends the connection. *code* is what it is told."""

    def __init__(self, code: ErrorCode, words: str) -> None:
        super().__init__(words)
        self.code = code


class Frame(NamedTuple):
    """One frame as it came. *kind* may be one that nobody knows; *payload* has its padding still."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


class FrameReader:
    """Cuts a stream of bytes into frames, whatever pieces it comes in."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def frames(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that *data* completes; to be exhausted before the next call.

        Raises PeerError at a frame longer than MAX_FRAME_BYTES, after the frames before it.
        """
        buffer = self._rest + data if self._rest else data
        position, end = 0, len(buffer)
        unpack = _HEADER.unpack_from
        while end - position >= _HEADER_BYTES:
            high, low, kind, flags, stream_id = unpack(buffer, position)
            length = high << 8 | low
            if length > MAX_FRAME_BYTES:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            begin = position + _HEADER_BYTES
            if begin + length > end:
                break
            position = begin + length
            yield Frame(kind, flags, stream_id & MAX_STREAM_ID, buffer[begin:position])
        self._rest = buffer[position:]


def unpadded(frame: Frame) -> bytes:
    """The payload of a DATA or HEADERS frame without its padding and priority.

    Raises PeerError when there is less in it than its flags say (RFC 9113, 6.1, 6.2).
    """
    payload, begin, end = frame.payload, 0, len(frame.payload)
    if frame.flags & Flag.PADDED:
        if not payload:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without the length of its padding")
        begin, end = 1, end - payload[0]
    if frame.kind == Kind.HEADERS and frame.flags & Flag.PRIORITY:
        begin += 5
    if begin > end:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "a frame with more padding than payload")
    return payload[begin:end]


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a SETTINGS frame that is no acknowledgement, in order, unknown ones too.

    Raises PeerError for a length or a value that RFC 9113, 6.5 forbids.
    """
    if len(payload) % _SETTING.size:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a broken length")
    settings = list(_SETTING.iter_unpack(payload))
    for identifier, value in settings:
        match identifier:
            case Setting.ENABLE_PUSH if value != 0:  # 1 is for clients to say
                raise PeerError(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value} from a server")
            case Setting.INITIAL_WINDOW_SIZE if value > MAX_WINDOW:
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
            case Setting.MAX_FRAME_SIZE if not MAX_FRAME_BYTES <= value < 2**24:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
            case _:
                pass
    return settings


def read_number(payload: bytes, name: str) -> int:
    """The one number in the payload of RST_STREAM (all 32 bits) and WINDOW_UPDATE (with its reserved bit).

    Raises PeerError when the payload has another length; *name* is the frame's.
    """
    if len(payload) != _NUMBER.size:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"{name} of {len(payload)} bytes")
    number: int = _NUMBER.unpack(payload)[0]
    return number


class GoAway(NamedTuple):
    """What a GOAWAY frame says. *reason* is APNs' word in the debug data; None when there is none."""

    last_stream_id: int
    code: int
    reason: str | None


def read_goaway(payload: bytes) -> GoAway:
    """What a GOAWAY frame says. APNs puts {"reason": "Shutdown"} behind it; other servers put anything or nothing.

    Raises PeerError when the payload is too short.
    """
    if len(payload) < _TWO_NUMBERS.size:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
    last_stream_id, code = _TWO_NUMBERS.unpack_from(payload)
    return GoAway(last_stream_id & MAX_STREAM_ID, code, _goaway_reason(payload[_TWO_NUMBERS.size :]))


def _goaway_reason(debug_data: bytes) -> str | None:
    try:
        value: object = json.loads(debug_data)
    except (ValueError, RecursionError):
        return None
    reason = value.get("reason") if isinstance(value, dict) else None
    return reason[:MAX_GOAWAY_REASON_CHARACTERS] if isinstance(reason, str) else None


def name_of_error(code: int) -> str:
    """The name of an error code; its number when it has none."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"


def frame(kind: Kind, flags: int, stream_id: int, payload: bytes) -> bytes:
    """One frame. Raises ValueError when *payload* is longer than MAX_FRAME_BYTES."""
    length = len(payload)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def request(stream_id: int, block: bytes, body: bytes) -> bytes:
    """The whole request on a new stream: HEADERS with the header *block*, and DATA with *body*, which ends it.

    *block* and *body* have at most MAX_FRAME_BYTES each; not checked here, since every push passes.
    """
    headers, data = len(block), len(body)
    return b"".join(
        (
            _HEADER.pack(headers >> 8, headers & 0xFF, 1, 0x4, stream_id),
            block,
            _HEADER.pack(data >> 8, data & 0xFF, 0, 0x1, stream_id),
            body,
        )
    )


def settings(values: Iterable[tuple[Setting, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(identifier, value) for identifier, value in values))


SETTINGS_ACK: Final = frame(Kind.SETTINGS, Flag.ACK, 0, b"")


def ping(opaque: bytes, *, is_answer: bool) -> bytes:
    """A PING frame with eight bytes, which its answer repeats."""
    return frame(Kind.PING, Flag.ACK if is_answer else 0, 0, opaque)


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(Kind.WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(increment))


def reset_stream(stream_id: int, code: ErrorCode) -> bytes:
    """A RST_STREAM frame."""
    return frame(Kind.RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def goaway(code: ErrorCode) -> bytes:
    """Our GOAWAY frame; the server has begun no stream, so none is the last one."""
    return frame(Kind.GOAWAY, 0, 0, _TWO_NUMBERS.pack(0, code))
