"""The state of a connection: against h2 in memory, and by what RFC 9113 says of each frame."""

import struct
from random import Random

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, SettingsAcknowledged, StreamEnded
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.edges.apns import frames
from muster.edges.apns.backoff import Pace
from muster.edges.apns.exchange import (
    CONNECTION_WINDOW,
    MAX_CONTINUATIONS,
    MAX_CONTROL_BYTES,
    Ended,
    Exchange,
    Fate,
)
from muster.edges.apns.frames import ErrorCode, Flag, Frame, FrameReader, Kind, Setting
from muster.edges.apns.header_blocks import RequestEncoder
from muster.protocol.apns import MAX_REPLY_BYTES, Push

PACE = Pace()
BLOCK = b"\x83\x87\x04\x01/"
STATUS_200 = b"\x88"
STATUS_404 = b"\x8d"
SERVER_SETTINGS = frames.settings([])


def opened(*, first_stream_id: int = 1, now: float = 0.0) -> Exchange[str]:
    """An exchange whose server has sent its settings."""
    exchange: Exchange[str] = Exchange(PACE, now, first_stream_id=first_stream_id)
    assert exchange.receive(SERVER_SETTINGS, now) == []
    exchange.data_to_send()
    return exchange


def begun(count: int = 1, *, now: float = 0.0) -> Exchange[str]:
    """An exchange with requests 0, 1, ... under way on streams 1, 3, ..."""
    exchange = opened(now=now)
    for number in range(count):
        exchange.begin(BLOCK, b"{}", str(number), now)
    exchange.data_to_send()
    return exchange


def sent(exchange: Exchange[str]) -> list[Frame]:
    """What is due, as frames."""
    return list(FrameReader().frames(exchange.data_to_send()))


def headers(stream_id: int, block: bytes, flags: int = Flag.END_HEADERS | Flag.END_STREAM) -> bytes:
    return frames.frame(Kind.HEADERS, flags, stream_id, block)


def goaway(last_stream_id: int, reason: bytes = b"") -> bytes:
    return frames.frame(Kind.GOAWAY, 0, 0, struct.pack(">LL", last_stream_id, 0) + reason)


def fates(ended: list[Ended[str]]) -> dict[str, Fate]:
    return {one.ticket: one.fate for one in ended}


# Against h2


class Server:
    """h2 as a server in memory. It answers a request when *rng* says so, and cuts all bytes into pieces."""

    def __init__(self, rng: Random, initial_window: int, streams: int) -> None:
        self.rng = rng
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        # h2 takes an acknowledgement for that of its newest settings, so there is one on its way at a time
        self.next_settings: dict[SettingCodes | int, int] = {
            SettingCodes.INITIAL_WINDOW_SIZE: initial_window,
            SettingCodes.MAX_CONCURRENT_STREAMS: streams,
        }
        self.is_acknowledged = False
        self.bodies: dict[int, bytes] = {}
        self.complete: list[int] = []
        self.held: list[tuple[int, int]] = []

    def receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                self.bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                assert event.stream_id is not None
                assert event.data is not None
                self.bodies[event.stream_id] += event.data
                self.held.append((event.flow_controlled_length or 0, event.stream_id))
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                self.complete.append(event.stream_id)
            elif isinstance(event, SettingsAcknowledged):
                self.is_acknowledged = True

    def act(self) -> None:
        """Change the limits, let some windows grow, answer some."""
        if self.is_acknowledged and self.rng.random() < 0.5:
            self.h2.update_settings(self.next_settings)
            self.is_acknowledged = False
            self.next_settings = {
                SettingCodes.MAX_CONCURRENT_STREAMS: self.rng.choice([1, 2, 10, 1000]),
                SettingCodes.INITIAL_WINDOW_SIZE: self.rng.choice([0, 1, 7, 65535]),
                SettingCodes.HEADER_TABLE_SIZE: self.rng.choice([0, 100, 1000, 4096, 65536]),
            }
        self.rng.shuffle(self.held)
        for _ in range(self.rng.randint(0, len(self.held))):
            self.h2.acknowledge_received_data(*self.held.pop())
        for stream_id, body in self.bodies.items():
            if stream_id not in self.complete and self.rng.random() < 0.5 and len(body) < 5000:
                self.h2.increment_flow_control_window(self.rng.randint(1, 30), stream_id)
        self.rng.shuffle(self.complete)
        for _ in range(self.rng.randint(0, len(self.complete))):
            self.answer(self.complete.pop())

    def answer(self, stream_id: int) -> None:
        del self.bodies[stream_id]
        if self.rng.random() < 0.7:
            self.h2.send_headers(stream_id, [(":status", "200"), ("apns-id", "x")], end_stream=True)
        else:
            self.h2.send_headers(stream_id, [(":status", "410"), ("content-type", "application/json")])
            self.h2.send_data(stream_id, b'{"reason":"Unregistered"}', end_stream=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 20, 65535]), st.sampled_from([1, 2, 100]))
def test_every_request_is_answered_once_whatever_limits_h2_sets(seed: int, initial_window: int, streams: int) -> None:
    rng = Random(seed)
    server = Server(rng, initial_window, streams)
    exchange: Exchange[int] = Exchange(PACE, 0.0)
    encoder = RequestEncoder("push.test", "topic")
    waiting, ended = list(range(60)), []

    for _ in range(3000):
        if rng.random() < 0.8 or not waiting:
            server.receive(exchange.data_to_send())
        server.act()
        data = server.h2.data_to_send()
        while data:
            size = rng.randint(1, len(data))
            ended.extend(exchange.receive(data[:size], 0.0))
            while exchange.header_table_limits:
                encoder.limit_table(exchange.header_table_limits.pop(0))
            assert exchange.failure is None
            data = data[size:]
        for _ in range(min(exchange.room, rng.randint(0, 5), len(waiting))):
            number = waiting.pop()
            push = Push(f"id-{number}", "topic", bytes(32), "", 0)
            exchange.begin(encoder.encode(push), bytes(rng.choice([1, 50, 400])), number, 0.0)
        if len(ended) == 60:
            break

    assert sorted(one.ticket for one in ended) == list(range(60))
    assert {one.reply.status for one in ended if one.reply} <= {200, 410}
    assert all(one.reply is not None and (one.reply.status == 200) == (one.reply.body == b"") for one in ended)


# Limits


def test_nothing_is_sent_before_the_server_has_spoken() -> None:
    exchange: Exchange[str] = Exchange(PACE, 0.0)

    assert exchange.data_to_send().startswith(frames.CLIENT_PREFACE)
    assert not exchange.is_open
    assert exchange.room == 0


def test_stream_limit_goes_up_and_down_under_way() -> None:
    exchange = opened()
    rooms = []

    for limit in (1, 1000, 3):
        exchange.receive(frames.settings([(frames.Setting.MAX_CONCURRENT_STREAMS, limit)]), 0.0)
        rooms.append(exchange.room)
        for _ in range(min(exchange.room, 10)):
            exchange.begin(BLOCK, b"{}", "x", 0.0)

    assert rooms == [1, 999, 0]
    assert exchange.open_streams == 11


def test_identifiers_run_out_after_the_last_one() -> None:
    exchange = opened(first_stream_id=frames.MAX_STREAM_ID - 2)

    assert exchange.room == 2
    exchange.begin(BLOCK, b"{}", "last but one", 0.0)
    exchange.begin(BLOCK, b"{}", "last", 0.0)

    assert exchange.room == 0
    assert exchange.is_draining
    assert sent(exchange)[-1].stream_id == frames.MAX_STREAM_ID
    assert fates(exchange.receive(headers(frames.MAX_STREAM_ID, STATUS_200), 0.0)) == {"last": Fate.ANSWERED}


def test_body_waits_for_windows_and_requests_for_the_connection() -> None:
    exchange = opened()
    exchange.receive(frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 4)]), 0.0)
    exchange.data_to_send()

    exchange.begin(BLOCK, b"0123456789", "x", 0.0)
    at_first = [frame.payload for frame in sent(exchange)]
    exchange.receive(frames.window_update(1, 2), 0.0)
    then = [frame.payload for frame in sent(exchange)]
    exchange.receive(frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, 100)]), 0.0)
    at_last = [(frame.payload, frame.flags) for frame in sent(exchange) if frame.kind == Kind.DATA]

    assert at_first == [BLOCK, b"0123"]
    assert then == [b"45"]
    assert at_last == [(b"6789", Flag.END_STREAM)]


def test_connection_without_window_has_no_room() -> None:
    exchange = opened()
    size = 16000
    for _ in range(4):
        exchange.begin(BLOCK, bytes(size), "x", 0.0)
    exchange.begin(BLOCK, bytes(size), "cut", 0.0)

    assert exchange.room == 0
    exchange.receive(frames.window_update(0, 100_000), 0.0)
    assert exchange.room > 0


def test_window_for_replies_grows_again() -> None:
    exchange = begun(100)
    piece = frames.frame(Kind.DATA, Flag.PADDED, 1, b"\xff" + bytes(16000))  # padding counts
    exchange.receive(headers(1, STATUS_404, Flag.END_HEADERS), 0.0)

    granted = 0
    for _ in range(200):
        exchange.receive(piece, 0.0)
        granted += sum(struct.unpack(">L", f.payload)[0] for f in sent(exchange) if f.kind == Kind.WINDOW_UPDATE)

    assert exchange.failure is None
    assert 0 <= 200 * 16001 - granted <= CONNECTION_WINDOW // 2


def test_reply_beyond_the_bound_is_cut_off_and_judged_by_its_status() -> None:
    exchange = begun()
    exchange.receive(headers(1, STATUS_404, Flag.END_HEADERS), 0.0)
    exchange.receive(frames.frame(Kind.DATA, 0, 1, bytes(MAX_REPLY_BYTES)), 0.0)

    (one,) = exchange.receive(frames.frame(Kind.DATA, 0, 1, b"."), 0.0)

    assert one.reply is not None
    assert (one.reply.status, one.reply.body) == (404, b"")
    assert [frame.kind for frame in sent(exchange)] == [Kind.RST_STREAM]
    assert exchange.receive(frames.frame(Kind.DATA, 0, 1, b"late"), 0.0) == []
    assert exchange.failure is None


# Ends


def test_goaway_says_what_was_not_touched() -> None:
    exchange = begun(3)

    untouched = exchange.receive(goaway(3, b'{"reason":"Shutdown"}'), 0.0)
    answered = exchange.receive(headers(1, STATUS_200) + headers(3, STATUS_200), 0.0)

    assert fates(untouched) == {"2": Fate.UNTOUCHED}
    assert fates(answered) == {"0": Fate.ANSWERED, "1": Fate.ANSWERED}
    assert exchange.goaway is not None
    assert exchange.goaway.reason == "Shutdown"
    assert exchange.room == 0
    assert exchange.is_draining


def test_second_goaway_may_leave_more_untouched() -> None:
    exchange = begun(3)

    first = exchange.receive(goaway(frames.MAX_STREAM_ID), 0.0)
    second = exchange.receive(goaway(1), 0.0)

    assert fates(first) == {}
    assert fates(second) == {"1": Fate.UNTOUCHED, "2": Fate.UNTOUCHED}


@pytest.mark.parametrize(
    ("code", "fate"), [(ErrorCode.REFUSED_STREAM, Fate.UNTOUCHED), (ErrorCode.INTERNAL_ERROR, Fate.UNKNOWN)]
)
def test_reset_stream_ends_only_its_own_request(code: ErrorCode, fate: Fate) -> None:
    exchange = begun(2)

    ended = exchange.receive(frames.reset_stream(3, code), 0.0)

    assert fates(ended) == {"1": fate}
    assert code.name in ended[0].words
    assert exchange.open_streams == 1


def test_200_whose_end_got_lost_is_an_answer() -> None:
    exchange = begun(2)
    exchange.receive(headers(1, STATUS_200, Flag.END_HEADERS) + headers(3, STATUS_404, Flag.END_HEADERS), 0.0)

    assert fates(exchange.abandon("gone", 1.0)) == {"0": Fate.ANSWERED, "1": Fate.UNKNOWN}


def test_interim_reply_is_waited_out() -> None:
    exchange = begun()
    interim = b"\x08\x03103"  # :status as a literal

    assert exchange.receive(headers(1, interim, Flag.END_HEADERS), 0.0) == []
    (ended,) = exchange.receive(headers(1, STATUS_404), 0.0)
    assert ended.reply is not None
    assert ended.reply.status == 404


def test_header_block_in_pieces_is_one() -> None:
    exchange = begun()

    first = exchange.receive(headers(1, b"", Flag.END_STREAM), 0.0)
    last = exchange.receive(frames.frame(Kind.CONTINUATION, Flag.END_HEADERS, 1, STATUS_200), 0.0)

    assert first == []
    assert fates(last) == {"0": Fate.ANSWERED}


def test_trailers_end_a_reply() -> None:
    exchange = begun()
    exchange.receive(headers(1, STATUS_404, Flag.END_HEADERS), 0.0)

    (one,) = exchange.receive(headers(1, b"\x00\x01x\x01y"), 0.0)

    assert one.reply is not None
    assert one.reply.status == 404


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (headers(1, b"\x00\x01x\x01y"), "without a status"),
        (frames.frame(Kind.DATA, 0, 1, b"x"), "without its headers"),
        (headers(1, STATUS_404, Flag.END_HEADERS) * 2, "in the middle"),
    ],
)
def test_broken_reply_costs_only_its_own_stream(data: bytes, words: str) -> None:
    exchange = begun(2)

    (one,) = exchange.receive(data, 0.0)

    assert (one.ticket, one.fate) == ("0", Fate.UNKNOWN)
    assert words in one.words
    assert exchange.failure is None
    assert [frame.kind for frame in sent(exchange)] == [Kind.RST_STREAM]


@pytest.mark.parametrize(
    "data",
    [
        headers(2, STATUS_200),
        headers(99, STATUS_200),
        headers(1, b"\xff\xff\xff\xff\xff"),
        headers(1, STATUS_200, Flag.END_STREAM) + headers(3, STATUS_200),
        headers(1, b"", 0) + frames.frame(Kind.CONTINUATION, 0, 3, b""),
        headers(1, b"", 0) + frames.frame(Kind.CONTINUATION, 0, 1, b"") * (MAX_CONTINUATIONS + 1),
        frames.frame(Kind.CONTINUATION, Flag.END_HEADERS, 1, b""),
        frames.frame(Kind.DATA, 0, 0, b"x"),
        frames.frame(Kind.DATA, 0, 7, b"x"),
        frames.frame(Kind.RST_STREAM, 0, 7, bytes(4)),
        frames.frame(Kind.RST_STREAM, 0, 1, bytes(3)),
        frames.frame(Kind.SETTINGS, 0, 1, b""),
        frames.frame(Kind.SETTINGS, Flag.ACK, 0, bytes(6)),
        frames.frame(Kind.PUSH_PROMISE, 0, 1, bytes(4)),
        frames.frame(Kind.PING, 0, 1, bytes(8)),
        frames.frame(Kind.PING, 0, 0, bytes(7)),
        frames.frame(Kind.GOAWAY, 0, 1, bytes(8)),
        frames.frame(Kind.GOAWAY, 0, 0, bytes(7)),
        frames.frame(Kind.WINDOW_UPDATE, 0, 0, bytes(4)),
        frames.frame(Kind.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        frames.frame(Kind.WINDOW_UPDATE, 0, 7, b"\x00\x00\x00\x01"),
        bytes.fromhex("004001 00 00 00000001"),
        frames.ping(bytes(8), is_answer=False) * (MAX_CONTROL_BYTES // 17 + 1),
    ],
)
def test_peer_that_breaks_http2_ends_the_connection(data: bytes) -> None:
    exchange = begun(2)

    exchange.receive(data, 0.0)

    assert exchange.failure is not None
    assert sent(exchange)[-1].kind == Kind.GOAWAY
    assert exchange.room == 0
    assert exchange.receive(headers(1, STATUS_200), 0.0) == []
    assert {one.ticket for one in exchange.abandon("gone", 0.0)} == {"0", "1"}


@pytest.mark.parametrize("first", [frames.SETTINGS_ACK, frames.ping(bytes(8), is_answer=False), b"HTTP/1.1 400 Bad"])
def test_server_that_does_not_begin_with_its_settings_is_left(first: bytes) -> None:
    exchange: Exchange[str] = Exchange(PACE, 0.0)

    exchange.receive(first, 0.0)

    assert exchange.failure is not None


def test_answers_before_the_fault_count() -> None:
    exchange = begun(2)

    ended = exchange.receive(headers(1, STATUS_200) + frames.frame(Kind.PING, 0, 0, b""), 0.0)

    assert fates(ended) == {"0": Fate.ANSWERED}
    assert exchange.failure is not None


def test_unknown_frames_and_late_ones_are_ignored() -> None:
    exchange = begun()
    unknown = bytes.fromhex("000003 ee ff 00000005") + b"abc"
    priority = frames.frame(Kind.PRIORITY, 0, 1, bytes(5))

    ended = exchange.receive(unknown + priority + headers(1, STATUS_200) + headers(1, STATUS_404), 0.0)
    ended += exchange.receive(frames.reset_stream(1, ErrorCode.NO_ERROR) + frames.window_update(1, 5), 0.0)

    assert fates(ended) == {"0": Fate.ANSWERED}
    assert exchange.failure is None


@given(st.binary(max_size=400))
def test_noise_never_raises(noise: bytes) -> None:
    exchange = begun(5)

    ended = exchange.receive(noise, 0.0) + exchange.abandon("gone", 0.0)

    assert sorted(one.ticket for one in ended) == ["0", "1", "2", "3", "4"]


# Time


def test_request_without_an_answer_is_given_up_alone() -> None:
    exchange = begun(1, now=0.0)
    exchange.begin(BLOCK, b"{}", "later", 5.0)
    assert exchange.wakes_at <= PACE.attempt_seconds

    ended = exchange.on_time(PACE.attempt_seconds)

    assert fates(ended) == {"0": Fate.UNKNOWN}
    assert "no answer within 20 seconds" in ended[0].words
    assert ended[0].seconds == PACE.attempt_seconds
    assert Kind.RST_STREAM in [frame.kind for frame in sent(exchange)]


def test_idle_connection_is_asked_whether_it_lives_and_goes_on() -> None:
    exchange = opened(now=0.0)
    asked_at = exchange.wakes_at

    exchange.on_time(asked_at)
    (ping,) = sent(exchange)
    exchange.receive(frames.ping(ping.payload, is_answer=True), asked_at + 1)

    assert asked_at == PACE.idle_ping_seconds
    assert ping.kind == Kind.PING
    assert exchange.wakes_at == asked_at + 1 + PACE.idle_ping_seconds
    assert exchange.failure is None


def test_connection_that_does_not_answer_is_dead() -> None:
    exchange = begun(1, now=0.0)

    exchange.on_time(exchange.wakes_at)
    exchange.on_time(exchange.wakes_at)

    assert exchange.failure is not None
    assert "dead" in exchange.failure
    assert fates(exchange.abandon("dead", 10.0)) == {"0": Fate.UNKNOWN}


def test_dead_connection_is_noticed_sooner_while_pushes_are_under_way() -> None:
    exchange = opened(now=0.0)
    exchange.begin(BLOCK, b"{}", "x", 50.0)

    assert exchange.wakes_at == 50.0 + PACE.busy_ping_seconds


def test_ping_is_answered_with_its_own_bytes() -> None:
    exchange = opened()

    exchange.receive(frames.ping(b"12345678", is_answer=False), 0.0)

    (answer,) = sent(exchange)
    assert (answer.kind, answer.flags, answer.payload) == (Kind.PING, Flag.ACK, b"12345678")


def test_server_that_answers_ping_and_no_request_is_begun_nothing_with() -> None:
    exchange = begun(1)

    ended = exchange.on_time(PACE.attempt_seconds)

    assert fates(ended) == {"0": Fate.UNKNOWN}
    assert exchange.is_draining
    assert exchange.staleness is not None
    assert exchange.failure is None


def test_one_request_without_an_answer_among_others_with_one_says_nothing_of_the_connection() -> None:
    for block in (STATUS_200, STATUS_404):
        exchange = begun(2)
        exchange.receive(headers(3, block), 1.0)

        ended = exchange.on_time(PACE.attempt_seconds)

        assert fates(ended) == {"0": Fate.UNKNOWN}
        assert not exchange.is_draining


def test_lowest_limit_of_the_table_is_told_before_the_last_one() -> None:
    exchange = opened()

    for size in (100, 0, 4096):
        exchange.receive(frames.settings([(Setting.HEADER_TABLE_SIZE, size)]), 0.0)

    assert exchange.header_table_limits == [0, 4096]


def test_no_more_is_sent_than_the_windows_of_connection_and_stream_hold() -> None:
    exchange = opened()
    exchange.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 16_000)]), 0.0)
    for number in range(5):
        exchange.begin(BLOCK, bytes(frames.MAX_FRAME_BYTES), str(number), 0.0)

    exchange.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, frames.DEFAULT_WINDOW)]), 0.0)

    sizes = [len(frame.payload) for frame in sent(exchange) if frame.kind == Kind.DATA]
    assert max(sizes) == 16_000
    assert sum(sizes) == frames.DEFAULT_WINDOW


def test_connection_window_holds_requests_back_that_fit_into_their_own() -> None:
    exchange = opened()

    for number in range(4):
        exchange.begin(BLOCK, bytes(frames.MAX_FRAME_BYTES), str(number), 0.0)

    assert sum(len(frame.payload) for frame in sent(exchange) if frame.kind == Kind.DATA) == frames.DEFAULT_WINDOW
    assert exchange.room == 0
