"""The server looks at its own address as a device does, and whatever is met there is an answer or a failure."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from muster.crypto.certificates import fingerprint, pem_from_der
from muster.crypto.issuance import make_server_certificate
from muster.crypto.keys import generate_ec_key, private_key_pem
from muster.edges.self_test import public_address
from muster.edges.self_test.public_address import MAXIMUM_HEAD_BYTES, look_at
from muster.operations.ports import PublicFace

NOW = datetime(2026, 11, 22, 14, 31, 7, tzinfo=UTC)
DATE = b"Date: Sun, 22 Nov 2026 14:30:00 GMT\r\n"


def met(reply: bytes, tls: ssl.SSLContext | None = None, asked: Callable[[bytes], None] = lambda _: None) -> PublicFace:
    """What is met where *reply* is answered to everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def main() -> PublicFace:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        async with server:
            port = server.sockets[0].getsockname()[1]
            scheme = "http" if tls is None else "https"
            return await look_at(f"{scheme}://127.0.0.1:{port}", lambda: NOW)

    return asyncio.run(main())


def test_an_answer_tells_how_far_our_clock_is_ahead() -> None:
    asked: list[bytes] = []

    face = met(b"HTTP/1.1 200 OK\r\n" + DATE + b"\r\n", asked=asked.append)

    assert face == PublicFace(clock_error=timedelta(seconds=67))
    assert asked[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", ""),
        (b"HTTP/1.1 403 Forbidden\r\nDate: yesterday\r\n\r\n", ""),
        (b"HTTP/1.1 500 Oops\r\n\r\n", ""),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "a proxy answers 502"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "a proxy answers 503"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "what answers there speaks no HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "what answers there speaks no HTTP"),
    ],
)
def test_any_answer_but_a_proxys_is_one(reply: bytes, failure: str) -> None:
    assert met(reply) == PublicFace(failure)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", b"x" * (2 * MAXIMUM_HEAD_BYTES)])
def test_half_an_answer_and_an_endless_one_are_failures(reply: bytes) -> None:
    face = met(reply)

    assert face.failure
    assert face.clock_error is None


def test_the_certificate_is_read_whoever_issued_it(tmp_path: Path) -> None:
    key = generate_ec_key()
    der = make_server_certificate(["127.0.0.1"], key, now=NOW, lifetime=timedelta(days=90), serial_number=1)
    (tmp_path / "tls.pem").write_bytes(pem_from_der([der]) + private_key_pem(key))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "tls.pem")

    face = met(b"HTTP/1.1 200 OK\r\n\r\n", tls)

    assert face == PublicFace("", fingerprint(der), NOW + timedelta(days=90))


def test_nobody_there_is_a_failure_and_so_is_who_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_address, "TIMEOUT_SECONDS", 0.1)

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_closing.append(writer)

    with_closing: list[asyncio.StreamWriter] = []

    async def main() -> tuple[PublicFace, PublicFace]:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        waiting = await look_at(f"http://127.0.0.1:{port}", lambda: NOW)
        for writer in with_closing:
            writer.close()
        server.close()
        await server.wait_closed()
        return waiting, await look_at(f"http://127.0.0.1:{port}", lambda: NOW)

    waiting, refused = asyncio.run(main())

    assert waiting.failure == "no answer within 0.1 seconds"
    assert refused.failure
