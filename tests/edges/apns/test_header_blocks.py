"""Header blocks, against hpack's own ends."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.apns.frames import PeerError
from muster.edges.apns.header_blocks import MAX_REPLY_HEADER_BYTES, ReplyDecoder, RequestEncoder
from muster.protocol.apns import Push, request_headers, request_path
from muster.protocol.checkin import MAX_TOKEN_BYTES

TOPIC = "com.apple.mgmt.External.test"
PUSH = Push("8c1f4a52-0000-4000-8000-0123456789ab", TOPIC, bytes(32), "magic", 1_800_000_000)

words = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=64)
pushes = st.builds(
    Push,
    apns_id=words,
    topic=st.one_of(st.just(TOPIC), words),
    token=st.binary(max_size=MAX_TOKEN_BYTES),
    push_magic=words,
    expiration=st.integers(0, 2**33),
)


def expected(push: Push) -> list[tuple[str, str]]:
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "push.test"), (":path", request_path(push))]
    return sorted([*pseudo, *request_headers(push).items()])


def read(decoder: Decoder, block: bytes) -> list[tuple[str, str]]:
    fields = [(str(name), str(value)) for name, value in decoder.decode(block)]
    assert [name.startswith(":") for name, _ in fields[:4]] == [True] * 4
    return sorted(fields)


@given(st.lists(st.one_of(pushes, st.integers(0, 6000)), max_size=12))
def test_what_the_server_reads_is_what_the_push_says(steps: list[Push | int]) -> None:
    encoder, decoder = RequestEncoder("push.test", TOPIC), Decoder()

    for step in steps:
        if isinstance(step, int):
            encoder.limit_table(step)
            decoder.max_allowed_table_size = step
            if step >= 4096:
                decoder.max_allowed_table_size = max(step, 4096)
        else:
            assert read(decoder, encoder.encode(step)) == expected(step)


def test_later_pushes_name_what_they_share_in_a_byte_each() -> None:
    encoder = RequestEncoder("push.test", TOPIC)

    sizes = [len(encoder.encode(replace(PUSH, token=bytes([number]) * 32))) for number in range(3)]

    assert sizes[0] > 200
    assert sizes[1:] == [135, 135]


@pytest.mark.parametrize(
    "bad",
    [
        replace(PUSH, topic="com.apple.mgmt.\N{SNOWMAN}"),
        replace(PUSH, topic="com.apple.mgmt.\r\nx: y"),
        replace(PUSH, topic="t" * 2000),
        replace(PUSH, apns_id="\xe4"),
        replace(PUSH, apns_id="a\nb"),
        replace(PUSH, apns_id="a" * 65),
        replace(PUSH, token=bytes(10_000)),
    ],
    ids=lambda push: ascii(push)[:60],
)
def test_push_that_cannot_be_written_leaves_the_table_as_it_was(bad: Push) -> None:
    encoder, decoder = RequestEncoder("push.test", TOPIC), Decoder()
    decoder.decode(encoder.encode(PUSH))

    with pytest.raises(ValueError, match=r"written|token"):
        encoder.encode(bad)

    assert read(decoder, encoder.encode(PUSH)) == expected(PUSH)


@given(st.lists(st.tuples(words, words), max_size=5), st.booleans())
def test_reply_is_read_as_it_was_written(fields: list[tuple[str, str]], huffman: bool) -> None:
    encoder, decoder = Encoder(), ReplyDecoder()
    encoder.header_table_size = 0

    for _ in range(2):
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == dict(fields)


@given(st.binary(max_size=200))
def test_nonsense_is_refused_or_read(block: bytes) -> None:
    with suppress(PeerError):
        ReplyDecoder().decode(block)


def test_server_that_uses_a_table_all_the_same_is_refused() -> None:
    with pytest.raises(PeerError, match="headers that can't be read"):
        ReplyDecoder().decode(b"\xbe")


def test_headers_beyond_the_bound_are_refused() -> None:
    encoder = Encoder()
    encoder.header_table_size = 0

    with pytest.raises(PeerError):
        ReplyDecoder().decode(encoder.encode([("x", "y" * MAX_REPLY_HEADER_BYTES)]))


def test_refusal_of_headers_is_short_whatever_they_hold() -> None:
    with pytest.raises(PeerError) as refusal:
        ReplyDecoder().decode(b"\x7f" + b"\xff" * 16000)

    assert len(str(refusal.value)) < 100


def test_table_that_was_emptied_in_between_is_filled_anew() -> None:
    encoder, push = RequestEncoder("host", "topic"), Push("id", "topic", b"t", "magic", 1)
    encoder.encode(push)

    encoder.limit_table(0)
    encoder.limit_table(4096)

    assert Decoder().decode(encoder.encode(push))
