"""One request to somebody who may be anybody: nothing that he does is more than an answer."""

import asyncio
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.simulator.apns_pki import authority_pem, server_identity

from muster.domain.webhooks import Address
from muster.edges.webhooks.sender import MAXIMUM_REPLY_BYTES, HttpEventSender, receivers_tls
from muster.operations.ports import EventAnswer, EventRequest

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODY = b'{"id":"e"}'
LOOPBACK = "127.0.0.1"


async def at_loopback(_host: str, _port: int) -> Sequence[str]:
    """Find every name here."""
    return [LOOPBACK]


def send(
    behaviour: Behaviour,
    *,
    host: str = "siem.example",
    is_tls: bool = False,
    allows_private: bool = True,
    trusted: bytes | None = None,
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = at_loopback,
    total_seconds: float = 5.0,
) -> EventAnswer:
    """Send one request to a server that behaves so."""

    async def run() -> EventAnswer:
        server = await asyncio.start_server(partial(_behave, behaviour), LOOPBACK, 0, ssl=_tls() if is_tls else None)
        port = server.sockets[0].getsockname()[1]
        sender = HttpEventSender(receivers_tls(trusted), resolve, total_seconds=total_seconds)
        request = EventRequest(
            Address(is_tls, host, port, "/in?a=b"), "application/json", (("X-Own", "1"),), BODY, allows_private
        )
        answer = await sender.send(request)
        server.close()
        return answer

    return asyncio.run(run())


async def _behave(behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await behaviour(reader, writer)
    except (OSError, ssl.SSLError):
        pass
    finally:
        writer.close()


def _tls() -> ssl.SSLContext:
    identity = server_identity()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = Path(directory) / "c", Path(directory) / "k"
        certificate.write_bytes(identity.certificate_pem)
        key.write_bytes(identity.key_pem)
        context.load_cert_chain(certificate, key)
    return context


def reply(head: str, body: bytes = b"") -> Behaviour:
    """Answer so once the request has come."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return behave


def test_request_is_whole_and_its_answer_is_read() -> None:
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(BODY))
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    answer = send(behave)

    assert answer == EventAnswer(202)
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST /in?a=b HTTP/1.1"
    assert lines[1].startswith(b"Host: siem.example:")
    assert lines[2:7] == [
        b"Content-Type: application/json",
        b"Content-Length: 10",
        b"Connection: close",
        b"X-Own: 1",
        b"",
    ]


def test_redirect_is_an_answer_and_is_not_followed() -> None:
    assert send(reply("HTTP/1.1 302 Found\nLocation: http://127.0.0.1/\nContent-Length: 0")).status == 302


def test_what_comes_before_the_answer_is_passed_over() -> None:
    assert send(reply("HTTP/1.1 103 Early Hints\n\nHTTP/1.1 204 No Content")).status == 204


def test_reason_of_a_refusal_is_read_and_no_more_than_is_of_use() -> None:
    said = send(reply("HTTP/1.1 400 Bad Request\nRetry-After: 17", b"\xff" * 10 * MAXIMUM_REPLY_BYTES))

    assert (said.status, said.reply, said.retry_after_seconds) == (400, "\ufffd" * MAXIMUM_REPLY_BYTES, 17)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("SSH-2.0-OpenSSH_9.9", "the reply is no HTTP"),
        ("HTTP/1.1 200 OK\n" + "X: y\n" * 100_000, "the reply is no HTTP"),
        ("HTTP/1.1 999999 What", "the reply is no HTTP"),
        ("", "the reply is no HTTP"),
    ],
)
def test_reply_that_is_no_http_is_a_failure(head: str, words: str) -> None:
    answer = send(reply(head))

    assert answer.status is None
    assert answer.error.startswith(words)


def test_receiver_that_never_answers_is_given_up() -> None:
    async def behave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert send(behave, total_seconds=0.2) == EventAnswer(None, "no answer within 0.2 seconds")


def test_receiver_that_answers_drop_by_drop_is_given_up() -> None:
    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert send(behave, total_seconds=0.3).error == "no answer within 0.3 seconds"


def test_receiver_that_closes_at_once_is_a_failure() -> None:
    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    assert send(behave).status is None


def test_address_that_is_not_public_is_not_connected_to() -> None:
    reached = []

    async def behave(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        reached.append(True)

    answer = send(behave, allows_private=False)

    assert answer.error == "siem.example is at 127.0.0.1, which is no public address, and others are refused"
    assert reached == []


def test_address_that_was_looked_at_is_the_one_connected_to_whatever_the_name_says_next() -> None:
    asked = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [LOOPBACK] if len(asked) == 1 else ["203.0.113.9"]

    assert send(reply("HTTP/1.1 200 OK"), host="name.that.is.none.invalid", resolve=rebinding).status == 200
    assert asked == ["name.that.is.none.invalid"]


def test_of_several_addresses_those_that_are_not_public_are_left_out() -> None:
    async def mixed(_host: str, _port: int) -> Sequence[str]:
        return [LOOPBACK, "::ffff:10.0.0.1", "169.254.169.254"]

    answer = send(reply("HTTP/1.1 200 OK"), allows_private=False, resolve=mixed)

    assert answer.error.startswith("siem.example is at 127.0.0.1, ::ffff:10.0.0.1, 169.254.169.254, which is no public")


def test_name_that_leads_nowhere_is_a_failure() -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    assert send(reply("HTTP/1.1 200 OK"), resolve=nowhere) == EventAnswer(None, "the connection failed: no such name")


def test_certificate_is_checked_against_the_name_and_those_who_are_trusted() -> None:
    good = reply("HTTP/1.1 200 OK")

    assert send(good, is_tls=True, host="localhost", trusted=authority_pem()).status == 200
    assert send(good, is_tls=True, host="localhost").error.startswith("TLS failed: ")
    assert send(good, is_tls=True, host="other.example", trusted=authority_pem()).error.startswith("TLS failed: ")


def test_file_that_holds_no_certificate_is_told() -> None:
    with pytest.raises(ValueError, match="no certificates to trust"):
        receivers_tls(b"nothing")
