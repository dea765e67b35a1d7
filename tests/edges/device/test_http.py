"""Bodies are read within bounds: of bytes, of time, and of how many are in hand."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.device.http import (
    BODY_TIMEOUT_SECONDS,
    LARGE_BODIES_BYTES,
    LARGE_BODY_BYTES,
    MINIMUM_BYTES_PER_SECOND,
    PLACE_TIMEOUT_SECONDS,
    BodyReader,
    BodyTooLarge,
    ClientGone,
    Reply,
    Request,
    TooManyBodies,
    send_reply,
)
from muster.laboratory.virtual_time import VirtualTimeLoop

T = TypeVar("T")
Message = MutableMapping[str, Any]

LIMIT = 16 * 1024 * 1024
LARGE = LARGE_BODY_BYTES + 1


def play(scene: Callable[[VirtualTimeLoop], Awaitable[T]]) -> T:
    """Run *scene* in virtual time, where waiting costs none."""
    loop = VirtualTimeLoop()

    async def main() -> T:
        return await scene(loop)

    return loop.run(main())


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def request(
    *messages: Message | float, declared: object = None, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Request:
    """A request whose body comes in *messages*; a number is a pause in seconds, and after the last it hangs."""
    waiting = list(messages)

    async def receive() -> Message:
        while waiting:
            message = waiting.pop(0)
            if isinstance(message, dict):
                return message
            assert isinstance(message, int | float)
            await asyncio.sleep(message)
        await asyncio.sleep(10**9)
        raise AssertionError

    length = () if declared is None else ((b"content-length", str(declared).encode()),)
    return Request({"type": "http", "method": "PUT", "headers": [*headers, *length]}, receive)


async def read(reader: BodyReader, asked: Request, limit: int = LIMIT) -> bytes:
    async with reader.body(asked, limit) as body:
        return body


def read_one(asked: Request, limit: int = LIMIT) -> bytes:
    return play(lambda _: read(BodyReader(), asked, limit))


def test_body_that_came_with_the_head_is_the_body() -> None:
    asked = request(part(b"body"), declared=4)

    assert read_one(asked) == b"body"
    assert not asked.has_unread_body


def test_body_in_parts_is_put_together() -> None:
    asked = request(part(b"a", more=True), part(b"", more=True), part(b"b" * LARGE, more=True), part(b"c"))

    assert read_one(asked) == b"a" + b"b" * LARGE + b"c"


def test_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    assert read_one(request(part(b"1234")), 4) == b"1234"
    for too_large in (request(part(b"12345")), request(part(b"123", more=True), part(b"45")), request(declared=5)):
        with pytest.raises(BodyTooLarge):
            read_one(too_large, 4)


@pytest.mark.parametrize("declared", [LIMIT + 1, 10**11, 10**12, 10**30, "9" * 5000])
def test_declared_length_above_the_limit_is_refused_unread(declared: object) -> None:
    with pytest.raises(BodyTooLarge):
        read_one(request(declared=declared))


@pytest.mark.parametrize("declared", ["", "-1", "0x10", "1e9", "ten", "1, 1", "\xb2"])
def test_declared_length_that_is_no_number_is_none(declared: str) -> None:
    assert read_one(request(part(b"body"), declared=declared)) == b"body"


def test_client_that_hangs_up_is_gone() -> None:
    for messages in ([{"type": "http.disconnect"}], [part(b"a", more=True), {"type": "http.disconnect"}]):
        with pytest.raises(ClientGone):
            read_one(request(*messages))


# Time


def test_client_that_never_sends_its_body_is_not_waited_for_without_end() -> None:
    async def scene(loop: VirtualTimeLoop) -> float:
        begun = loop.time()
        with pytest.raises(ClientGone):
            await read(BodyReader(), request(declared=100))
        return loop.time() - begun

    assert play(scene) == BODY_TIMEOUT_SECONDS


def test_client_that_drips_is_not_waited_for_much_longer() -> None:
    drips = [item for _ in range(1000) for item in (part(b"x", more=True), 1.0)]

    async def scene(loop: VirtualTimeLoop) -> float:
        begun = loop.time()
        with pytest.raises(ClientGone):
            await read(BodyReader(), request(*drips))
        return loop.time() - begun

    assert BODY_TIMEOUT_SECONDS <= play(scene) < BODY_TIMEOUT_SECONDS + 1


def test_large_report_over_a_slow_line_gets_through() -> None:
    second: list[Message | float] = [1.0, part(b"x" * MINIMUM_BYTES_PER_SECOND, more=True)]
    seconds = 900

    body = read_one(request(*second * seconds, part(b"")))

    assert len(body) == seconds * MINIMUM_BYTES_PER_SECOND > 14_000_000


# Places


def test_small_bodies_take_no_place() -> None:
    async def scene(_: VirtualTimeLoop) -> int:
        reader = BodyReader()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(reader, request(1.0, part(b"x" * 1000)))) for _ in range(1000)]
        return len(tasks)

    assert play(scene) == 1000


def test_large_bodies_wait_until_others_are_done_with() -> None:
    of_all = LARGE_BODIES_BYTES // LIMIT

    async def scene(loop: VirtualTimeLoop) -> list[float]:
        reader, begun, done = BodyReader(), loop.time(), []

        async def one() -> None:
            async with reader.body(request(part(b"x" * LARGE), declared=LIMIT), LIMIT):
                await asyncio.sleep(5)
            done.append(loop.time() - begun)

        async with asyncio.TaskGroup() as group:
            for _ in range(of_all + 1):
                group.create_task(one())
        return done

    assert play(scene) == [5.0] * of_all + [10.0]


def test_large_body_is_put_off_when_no_place_comes_free() -> None:
    async def scene(loop: VirtualTimeLoop) -> float:
        reader = BodyReader()
        async with reader.body(request(part(b"x"), declared=LARGE_BODIES_BYTES), LARGE_BODIES_BYTES):
            begun = loop.time()
            with pytest.raises(TooManyBodies):
                await read(reader, request(part(b"x"), declared=LARGE))
            waited = loop.time() - begun
            assert await read(reader, request(part(b"small"))) == b"small"
        assert await read(reader, request(part(b"x"), declared=LARGE)) == b"x"
        return waited

    assert play(scene) == PLACE_TIMEOUT_SECONDS


def test_body_of_undeclared_length_takes_the_largest_place_once_it_is_large() -> None:
    async def scene(_: VirtualTimeLoop) -> list[bool]:
        reader = BodyReader()
        places = LARGE_BODIES_BYTES // LIMIT
        stuck = [request(part(b"x" * LARGE, more=True)) for _ in range(places)]
        tasks = [asyncio.create_task(read(reader, one)) for one in stuck]
        await asyncio.sleep(1)
        late = asyncio.create_task(read(reader, request(part(b"x" * LARGE, more=True), part(b""))))
        await asyncio.sleep(1)
        is_waiting = not late.done()
        tasks[0].cancel()
        await asyncio.sleep(1)
        is_done = late.done()
        for task in tasks:
            task.cancel()
        return [is_waiting, is_done]

    assert play(scene) == [True, True]


@given(st.lists(st.tuples(st.integers(1, 130), st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_places_are_never_lost_nor_given_twice(bodies: list[tuple[int, int, int]]) -> None:
    megabyte = 1024 * 1024

    async def scene(_: VirtualTimeLoop) -> int:
        reader, in_hand = BodyReader(), 0

        async def one(size: int, comes_after: int, is_given_up_after: int) -> None:
            nonlocal in_hand
            await asyncio.sleep(comes_after)
            try:
                async with asyncio.timeout(is_given_up_after or None):
                    async with reader.body(request(part(b"x"), declared=size * megabyte), LARGE_BODIES_BYTES):
                        in_hand += size
                        assert in_hand * megabyte <= LARGE_BODIES_BYTES
                        try:
                            await asyncio.sleep(3)
                        finally:
                            in_hand -= size
            except (TimeoutError, TooManyBodies, BodyTooLarge):
                pass

        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(one(*body))
        async with reader.body(request(part(b"x"), declared=LARGE_BODIES_BYTES), LARGE_BODIES_BYTES):
            return in_hand

    assert play(scene) == 0


# Replies


def replied(asked: Request, reply: Reply) -> dict[bytes, bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(send_reply(send, asked, reply))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return dict(sent[0]["headers"])


def test_reply_says_its_length_and_a_type_only_when_it_has_a_body() -> None:
    assert replied(request(), Reply(200)) == {b"content-length": b"0"}
    assert replied(request(), Reply(200, b"x", b"text/plain")) == {
        b"content-length": b"1",
        b"content-type": b"text/plain",
    }


@pytest.mark.parametrize(
    ("asked", "closes"),
    [
        (request(declared=5), True),
        (request(headers=((b"transfer-encoding", b"chunked"),)), True),
        (request(declared=0), False),
        (request(declared="000"), False),
        (request(), False),
    ],
)
def test_connection_ends_with_the_reply_when_the_body_was_not_read(asked: Request, *, closes: bool) -> None:
    assert (replied(asked, Reply(403)).get(b"connection") == b"close") is closes


def test_connection_stays_open_after_a_body_that_was_read() -> None:
    asked = request(part(b"12345"), declared=5)
    read_one(asked)

    assert b"connection" not in replied(asked, Reply(200))


def test_address_of_the_client_may_be_unknown() -> None:
    assert request().source == ""
