"""One HTTP/2 connection to APNs without its socket: requests and bytes in, bytes and what became of requests out.

Says exactly which requests the server has not touched (beyond the last stream of a GOAWAY, REFUSED_STREAM), and of
which nobody knows. Source: RFC 9113.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

from muster.edges.apns import frames
from muster.edges.apns.backoff import Pace
from muster.edges.apns.frames import ErrorCode, Flag, Frame, FrameReader, Kind, PeerError, Setting
from muster.edges.apns.header_blocks import BARE_200, MAX_REPLY_HEADER_BYTES, OWN_TABLE_BYTES, ReplyDecoder
from muster.protocol.apns import MAX_REPLY_BYTES

Ticket = TypeVar("Ticket")

MAX_STREAMS: Final = 1000
"""Streams that we open on one connection even where the server sets no limit; APNs allows as many."""

MAX_CONTINUATIONS: Final = 16
"""Pieces of one header block: enough for any real one, few enough that empty ones can't keep us busy for ever."""

MAX_CONTROL_BYTES: Final = 64 * 1024
"""Answers (to PING, SETTINGS) that wait for a server which does not read; 3,800 answers to PING."""

MAX_STREAM_WINDOW: Final = 2 * MAX_REPLY_BYTES
"""What the server may send of one reply without waiting; a body is given up at MAX_REPLY_BYTES."""

CONNECTION_WINDOW: Final = 1024 * 1024
"""What the server may send of all replies without waiting: a thousand refusals of a kilobyte."""

_HEADERS: Final = int(Kind.HEADERS)
_PING: Final = b"muster.."
_END: Final = int(Flag.END_HEADERS | Flag.END_STREAM)
_END_AMONG: Final = _END | int(Flag.PADDED | Flag.PRIORITY)


class Fate(Enum):
    """What is known of a request that is over."""

    ANSWERED = "the server has answered"
    UNTOUCHED = "the server has said that it did nothing with it"
    UNKNOWN = "the server may have taken it"


class Reply(NamedTuple):
    """A server's reply; a *body* longer than MAX_REPLY_BYTES was dropped and is b""."""

    status: int
    headers: dict[str, str]
    body: bytes


class Ended(NamedTuple, Generic[Ticket]):
    """A request that is over: its reply, or in words why there is none, and how long it took."""

    ticket: Ticket
    fate: Fate
    reply: Reply | None
    words: str
    seconds: float


@dataclass(slots=True)
class _Incoming:
    """A reply that is not complete yet."""

    status: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Outgoing:
    """A body that does not fit into the server's windows yet: what is left of it, and its stream's window."""

    body: bytes
    window: int


_OK: Final = Reply(200, {}, b"")


class Exchange(Generic[Ticket]):
    """The state of one connection. Times are seconds of any clock that only goes forward.

    `failure` says in words why the connection can't be used any more: send what is due, close it, and `abandon` it.
    `staleness` says in words why no more requests should be begun on it, while those under way may still be answered.
    """

    def __init__(self, pace: Pace, now: float, *, max_streams: int = MAX_STREAMS, first_stream_id: int = 1) -> None:
        """Begin a connection over which nothing was sent yet. *first_stream_id* is odd."""
        self.failure: str | None = None
        self.goaway: frames.GoAway | None = None
        self.staleness: str | None = None
        self.answered_count = 0
        self.header_table_limits: list[int] = []
        """The server's new limits of our table for headers, the lowest and the last one; for the owner to take away."""
        self._pace = pace
        self._max_streams = max_streams
        self._next_id = first_stream_id
        self._first_id = first_stream_id
        self._streams: dict[int, tuple[Ticket, float]] = {}  # in order of their beginnings, the oldest first
        self._incoming: dict[int, _Incoming] = {}
        self._outgoing: dict[int, _Outgoing] = {}
        self._stream_limit: int | None = None  # None until the server's settings came
        self._send_window = frames.DEFAULT_WINDOW
        self._initial_window = frames.DEFAULT_WINDOW
        self._receive_window = CONNECTION_WINDOW
        self._block: tuple[int, int, bytearray, int] | None = None  # stream, flags, bytes and pieces of a header block
        self._heard_at = now
        self._answered_at = now
        self._pinged_at: float | None = None
        self._reader = FrameReader()
        self._decoder = ReplyDecoder()
        self._control_bytes = 0
        self._ended: list[Ended[Ticket]] = []
        self._due: list[bytes] = [
            frames.CLIENT_PREFACE,
            frames.settings(
                [
                    (Setting.HEADER_TABLE_SIZE, OWN_TABLE_BYTES),
                    (Setting.ENABLE_PUSH, 0),
                    (Setting.INITIAL_WINDOW_SIZE, MAX_STREAM_WINDOW),
                    (Setting.MAX_HEADER_LIST_SIZE, MAX_REPLY_HEADER_BYTES),
                ]
            ),
            frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW),
        ]

    # What the owner asks

    @property
    def is_open(self) -> bool:
        """The server's settings came: requests may be sent."""
        return self._stream_limit is not None

    @property
    def stream_limit(self) -> int:
        """How many streams may be open at once; 0 before the server's settings came."""
        return 0 if self._stream_limit is None else min(self._stream_limit, self._max_streams)

    @property
    def is_draining(self) -> bool:
        """No stream can be begun here any more: the server sends us away, it answers nothing, or identifiers are used
        up."""
        return self.goaway is not None or self.staleness is not None or self._next_id > frames.MAX_STREAM_ID

    @property
    def open_streams(self) -> int:
        """Requests under way."""
        return len(self._streams)

    @property
    def room(self) -> int:
        """How many requests can be begun now."""
        if self.failure is not None or self.is_draining or self._send_window <= 0:
            return 0
        identifiers_left = (frames.MAX_STREAM_ID - self._next_id) // 2 + 1
        return max(0, min(self.stream_limit - len(self._streams), identifiers_left))

    @property
    def wakes_at(self) -> float:
        """When `on_time` has to be called at the latest, as things stand."""
        if self._pinged_at is not None:
            due = self._pinged_at + self._pace.ping_answer_seconds
        else:
            due = self._heard_at + self._quiet_seconds
        for _, began_at in self._streams.values():
            return min(due, began_at + self._pace.attempt_seconds)
        return due

    @property
    def _quiet_seconds(self) -> float:
        return self._pace.busy_ping_seconds if self._streams else self._pace.idle_ping_seconds

    def data_to_send(self) -> bytes:
        """Return what is due to the server, once."""
        data = b"".join(self._due)
        self._due.clear()
        self._control_bytes = 0
        return data

    # What the owner does

    def begin(self, block: bytes, body: bytes, ticket: Ticket, now: float) -> None:
        """Send a request; only when there is `room`. *block* has at most MAX_FRAME_BYTES.

        A body that the server's windows don't let through yet follows when they do.
        """
        stream_id = self._next_id
        self._next_id += 2
        if not self._streams:
            self._heard_at = now  # an idle connection's silence says nothing about how long this may take
        self._streams[stream_id] = (ticket, now)
        size = len(body)
        if size <= self._send_window and size <= self._initial_window and size <= frames.MAX_FRAME_BYTES:
            self._send_window -= size
            self._due.append(frames.request(stream_id, block, body))
        else:
            self._due.append(frames.frame(Kind.HEADERS, Flag.END_HEADERS, stream_id, block))
            self._outgoing[stream_id] = _Outgoing(body, self._initial_window)
            self._send_outgoing(stream_id)

    def receive(self, data: bytes, now: float) -> list[Ended[Ticket]]:
        """Take what the server sent and return what it ended. After `failure` nothing is read any more."""
        if self.failure is None:
            self._heard_at = now
            self._pinged_at = None
            try:
                for frame in self._reader.frames(data):
                    if frame.kind == _HEADERS and frame.flags & _END_AMONG == _END and frame.payload[:1] == BARE_200:
                        self._on_bare_headers(frame, now)
                    else:
                        self._on_frame(frame, now)
            except PeerError as error:
                self._fail(str(error), error.code)
        return self._take_ended()

    def on_time(self, now: float) -> list[Ended[Ticket]]:
        """Give up requests whose time is over, ask a silent server whether it lives, and notice that it does not.

        A server that answers PING and for all that time no request is alive in front and dead behind.
        """
        overdue = now - self._pace.attempt_seconds
        words = f"no answer within {self._pace.attempt_seconds:g} seconds"
        for stream_id, (_, began_at) in list(self._streams.items()):
            if began_at > overdue:
                break
            if self._answered_at <= began_at:
                self.staleness = words
            self._cancel(stream_id, words, now)
        if self._pinged_at is not None:
            if now >= self._pinged_at + self._pace.ping_answer_seconds:
                self._fail("the connection is dead: no answer to PING", ErrorCode.NO_ERROR)
        elif now >= self._heard_at + self._quiet_seconds:
            self._pinged_at = now
            self._due.append(frames.ping(_PING, is_answer=False))
        return self._take_ended()

    def abandon(self, words: str, now: float) -> list[Ended[Ticket]]:
        """The connection is gone, for the reason in *words*: return all requests under way."""
        for stream_id in list(self._streams):
            self._end(stream_id, Fate.UNKNOWN, words, now)
        return self._take_ended()

    def say_goodbye(self) -> None:
        """Tell the server that we close the connection."""
        if self.failure is None:
            self._due.append(frames.goaway(ErrorCode.NO_ERROR))

    # Frames

    def _on_bare_headers(self, frame: Frame, now: float) -> None:
        """A complete reply of one frame that begins with :status 200, as nearly all are: what follows says nothing."""
        stream_id = frame.stream_id
        stream = self._streams.get(stream_id)
        if stream is None or self._block is not None or self._stream_limit is None or stream_id in self._incoming:
            self._on_frame(frame, now)
            return
        del self._streams[stream_id]
        if self._outgoing and self._outgoing.pop(stream_id, None) is not None:
            self._due.append(frames.reset_stream(stream_id, ErrorCode.CANCEL))
        self.answered_count += 1
        self._answered_at = now
        self._ended.append(Ended(stream[0], Fate.ANSWERED, _OK, "", now - stream[1]))

    def _on_frame(self, frame: Frame, now: float) -> None:
        if self._block is not None and frame.kind != Kind.CONTINUATION:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "a header block that another frame interrupts")
        if self._stream_limit is None and (frame.kind != Kind.SETTINGS or frame.flags & Flag.ACK):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "the server did not begin with its settings")
        match frame.kind:
            case Kind.HEADERS:
                self._on_headers(frame, now)
            case Kind.CONTINUATION:
                self._on_continuation(frame, now)
            case Kind.DATA:
                self._on_data(frame, now)
            case Kind.RST_STREAM:
                self._on_reset(frame, now)
            case Kind.SETTINGS:
                self._on_settings(frame)
            case Kind.WINDOW_UPDATE:
                self._on_window_update(frame, now)
            case Kind.PING:
                self._on_ping(frame)
            case Kind.GOAWAY:
                self._on_goaway(frame, now)
            case Kind.PUSH_PROMISE:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which our settings forbid")
            case _:
                pass  # PRIORITY, and what nobody knows (RFC 9113, 5.5)

    def _on_headers(self, frame: Frame, now: float) -> None:
        self._require_known(frame)
        self._on_block_piece(frame, bytearray(frames.unpadded(frame)), frame.flags, 0, now)

    def _on_continuation(self, frame: Frame, now: float) -> None:
        if self._block is None or self._block[0] != frame.stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, flags, block, pieces = self._block
        block += frame.payload
        if len(block) > MAX_REPLY_HEADER_BYTES or pieces >= MAX_CONTINUATIONS:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that does not end")
        self._on_block_piece(frame, block, flags | frame.flags & Flag.END_HEADERS, pieces + 1, now)

    def _on_block_piece(self, frame: Frame, block: bytearray, flags: int, pieces: int, now: float) -> None:
        if not flags & Flag.END_HEADERS:
            self._block = (frame.stream_id, flags, block, pieces)
            return
        self._block = None
        if frame.stream_id in self._streams:
            self._on_block(frame.stream_id, bytes(block), bool(flags & Flag.END_STREAM), now)

    def _on_block(self, stream_id: int, block: bytes, is_end: bool, now: float) -> None:
        # a 200 says nothing more, and blocks don't depend on one another, so that one may be left unread
        headers = {":status": "200"} if block[:1] == BARE_200 else self._decoder.decode(block)
        if stream_id in self._incoming:  # trailers, of which APNs has none
            if not is_end:
                self._cancel(stream_id, "headers in the middle of a reply", now, ErrorCode.PROTOCOL_ERROR)
                return
        else:
            status = headers.pop(":status", "")
            if not (len(status) == 3 and status.isascii() and status.isdigit()):
                self._cancel(stream_id, "a reply without a status", now, ErrorCode.PROTOCOL_ERROR)
                return
            if status.startswith("1") and not is_end:
                return  # an interim reply; the final one follows
            self._incoming[stream_id] = _Incoming(int(status), headers)
        if is_end:
            self._complete(stream_id, now)

    def _on_data(self, frame: Frame, now: float) -> None:
        self._require_known(frame)
        self._receive_window -= len(frame.payload)
        if self._receive_window < 0:
            raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window holds")
        if self._receive_window < CONNECTION_WINDOW // 2:
            self._due.append(frames.window_update(0, CONNECTION_WINDOW - self._receive_window))
            self._receive_window = CONNECTION_WINDOW
        data = frames.unpadded(frame)
        if frame.stream_id not in self._streams:
            return
        incoming = self._incoming.get(frame.stream_id)
        if incoming is None:
            self._cancel(frame.stream_id, "a reply's body without its headers", now, ErrorCode.PROTOCOL_ERROR)
            return
        incoming.body += data
        if len(incoming.body) > MAX_REPLY_BYTES:
            incoming.body.clear()
            self._due.append(frames.reset_stream(frame.stream_id, ErrorCode.CANCEL))
            self._complete(frame.stream_id, now)
        elif frame.flags & Flag.END_STREAM:
            self._complete(frame.stream_id, now)

    def _on_reset(self, frame: Frame, now: float) -> None:
        self._require_known(frame)
        code = frames.read_number(frame.payload, "RST_STREAM")
        if frame.stream_id in self._streams:
            fate = Fate.UNTOUCHED if code == ErrorCode.REFUSED_STREAM else Fate.UNKNOWN
            self._end(frame.stream_id, fate, f"the stream was reset: {frames.name_of_error(code)}", now)

    def _on_settings(self, frame: Frame) -> None:
        if frame.stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if frame.flags & Flag.ACK:
            if frame.payload:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
            return
        if self._stream_limit is None:
            self._stream_limit = self._max_streams
        values = frames.read_settings(frame.payload)
        self._answer(frames.SETTINGS_ACK)  # before anything that the new values allow, or it would break the old ones
        for identifier, value in values:
            match identifier:
                case Setting.HEADER_TABLE_SIZE:
                    self.header_table_limits = [min([value, *self.header_table_limits]), value]
                case Setting.MAX_CONCURRENT_STREAMS:
                    self._stream_limit = value
                case Setting.INITIAL_WINDOW_SIZE:
                    self._change_initial_window(value)
                case _:
                    pass

    def _change_initial_window(self, value: int) -> None:
        """Applies to the streams that are under way as well (RFC 9113, 6.9.2)."""
        difference = value - self._initial_window
        self._initial_window = value
        for stream_id, outgoing in list(self._outgoing.items()):
            outgoing.window += difference
            if outgoing.window > frames.MAX_WINDOW:
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond its bound")
            self._send_outgoing(stream_id)

    def _on_window_update(self, frame: Frame, now: float) -> None:
        increment = frames.read_number(frame.payload, "WINDOW_UPDATE") & frames.MAX_WINDOW
        if frame.stream_id == 0:
            self._send_window += increment
            if increment == 0 or self._send_window > frames.MAX_WINDOW:
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, f"a window that grows by {increment}")
            for stream_id in list(self._outgoing):
                self._send_outgoing(stream_id)
            return
        self._require_known(frame)
        outgoing = self._outgoing.get(frame.stream_id)
        if outgoing is not None:
            outgoing.window += increment
            if increment == 0 or outgoing.window > frames.MAX_WINDOW:
                self._cancel(frame.stream_id, "a window beyond its bound", now, ErrorCode.FLOW_CONTROL_ERROR)
            else:
                self._send_outgoing(frame.stream_id)

    def _on_ping(self, frame: Frame) -> None:
        if frame.stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(frame.payload) != 8:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"PING of {len(frame.payload)} bytes")
        if not frame.flags & Flag.ACK:
            self._answer(frames.ping(frame.payload, is_answer=True))

    def _on_goaway(self, frame: Frame, now: float) -> None:
        """A server may say it twice, first without a last stream, then with it."""
        if frame.stream_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        self.goaway = frames.read_goaway(frame.payload)
        reason = self.goaway.reason or frames.name_of_error(self.goaway.code)
        for stream_id in [stream_id for stream_id in self._streams if stream_id > self.goaway.last_stream_id]:
            self._end(stream_id, Fate.UNTOUCHED, f"the server sends us away: {reason}", now)

    def _require_known(self, frame: Frame) -> None:
        """A frame of a stream that never was is the peer's mistake; one that is over may still hear something."""
        stream_id = frame.stream_id
        if stream_id % 2 == 0 or not self._first_id <= stream_id < self._next_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"a frame of type {frame.kind} on stream {stream_id}")

    # Ends

    def _complete(self, stream_id: int, now: float) -> None:
        incoming = self._incoming[stream_id]
        ticket, began_at = self._streams.pop(stream_id)
        del self._incoming[stream_id]
        if self._outgoing.pop(stream_id, None) is not None:
            self._due.append(frames.reset_stream(stream_id, ErrorCode.CANCEL))
        self.answered_count += 1
        self._answered_at = now
        reply = Reply(incoming.status, incoming.headers, bytes(incoming.body))
        self._ended.append(Ended(ticket, Fate.ANSWERED, reply, "", now - began_at))

    def _end(self, stream_id: int, fate: Fate, words: str, now: float) -> None:
        """A stream is over before its reply was. A 200 of which only the end is missing is an answer all the same."""
        incoming = self._incoming.get(stream_id)
        if incoming is not None and incoming.status == 200:
            self._complete(stream_id, now)
            return
        ticket, began_at = self._streams.pop(stream_id)
        self._incoming.pop(stream_id, None)
        self._outgoing.pop(stream_id, None)
        self._ended.append(Ended(ticket, fate, None, words, now - began_at))

    def _cancel(self, stream_id: int, words: str, now: float, code: ErrorCode = ErrorCode.CANCEL) -> None:
        self._due.append(frames.reset_stream(stream_id, code))
        self._outgoing.pop(stream_id, None)
        self._end(stream_id, Fate.UNKNOWN, words, now)

    def _fail(self, words: str, code: ErrorCode) -> None:
        self.failure = words
        self._due.append(frames.goaway(code))

    def _take_ended(self) -> list[Ended[Ticket]]:
        ended, self._ended = self._ended, []
        return ended

    # Bytes

    def _send_outgoing(self, stream_id: int) -> None:
        """Send of a body what the windows allow, and keep the rest until they grow."""
        outgoing = self._outgoing[stream_id]
        while outgoing.body:
            size = min(len(outgoing.body), outgoing.window, self._send_window, frames.MAX_FRAME_BYTES)
            if size <= 0:
                return
            piece, outgoing.body = outgoing.body[:size], outgoing.body[size:]
            outgoing.window -= size
            self._send_window -= size
            flags = 0 if outgoing.body else Flag.END_STREAM
            self._due.append(frames.frame(Kind.DATA, flags, stream_id, piece))
        del self._outgoing[stream_id]

    def _answer(self, answer: bytes) -> None:
        self._control_bytes += len(answer)
        if self._control_bytes > MAX_CONTROL_BYTES:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "more to answer than the server reads")
        self._due.append(answer)
