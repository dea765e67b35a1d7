"""Certificates, trust and the way to APNs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from socket import create_server

import pytest
from tests.edges.apns.rig import IMPATIENT, MAX_ATTEMPTS, at_once, classes, credentials, make_pushes, running, send_all
from tests.simulator.apns_pki import AUTHORITY, TOPIC, authority, authority_pem, push_certificate, server_identity

from muster.crypto.certificates import fingerprint, pem_from_der
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import generate_ec_key, private_key_pem
from muster.edges.apns.backoff import Pace
from muster.edges.apns.provider import ApnsProvider
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_connection import Fault


def test_server_of_unknown_authority_is_shown_no_push() -> None:
    async def scenario() -> None:
        async with running(ca_pem=authority_pem("Somebody else's CA")) as rig:
            receipts = await rig.send(rig.pushes(1))

            assert classes(receipts) == [OutcomeClass.NO_ANSWER]
            assert "certificate" in (receipts[0].outcome.reason or "")
            assert not rig.apns.received

    asyncio.run(scenario())


def test_without_a_ca_of_its_own_the_system_is_trusted() -> None:
    async def scenario() -> None:
        async with running() as rig:
            provider = ApnsProvider("127.0.0.1", rig.server.port, rng=Random(1), pace=IMPATIENT)
            receipts = await send_all(provider, credentials(), rig.pushes(1))
            await provider.close()

            assert classes(receipts) == [OutcomeClass.NO_ANSWER]
            assert "self-signed certificate in certificate chain" in (receipts[0].outcome.reason or "")

    asyncio.run(scenario())


def test_renewed_certificate_of_a_topic_is_used_at_once() -> None:
    async def scenario() -> None:
        async with running() as rig:
            pushes = rig.pushes(2)

            before = await send_all(rig.provider, credentials(TOPIC, "Somebody else's CA"), pushes[:1])
            after = await send_all(rig.provider, credentials(), pushes[1:])

            assert classes(before) == [OutcomeClass.CERTIFICATE_REFUSED]
            assert classes(after) == [OutcomeClass.ACCEPTED]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "broken",
    [
        replace(credentials(), certificate_pem=b"not a certificate"),
        replace(credentials(), certificate_pem=b""),
        replace(credentials(), key_pem=b"not a key"),
        replace(credentials(), key_pem=credentials("com.apple.mgmt.other").key_pem),
    ],
    ids=["certificate is none", "certificate is empty", "key is none", "key of another certificate"],
)
def test_unusable_certificate_is_refused_before_it_is_shown(broken: PushCredentials) -> None:
    async def scenario() -> None:
        async with running() as rig:
            receipts = await send_all(rig.provider, broken, rig.pushes(2))

            assert classes(receipts) == [OutcomeClass.CERTIFICATE_REFUSED] * 2
            assert rig.server.connection_count == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificate_refused_by_a_tls_alert_is_not_shown_again(version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        asked = []

        def note(step: int, rng: Random) -> float:
            asked.append(step)
            return at_once(step, rng)

        async with running(pace=Pace(delay=note), tls_version=version) as rig:
            receipts = await send_all(rig.provider, credentials(TOPIC, "Somebody else's CA"), rig.pushes(1))

            assert classes(receipts) == [OutcomeClass.CERTIFICATE_REFUSED]
            assert "alert unknown ca" in (receipts[0].outcome.reason or "")
            assert asked == [1]  # for the next connection, which nobody needs

    asyncio.run(scenario())


def test_nobody_listening_is_no_answer() -> None:
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    receipts = asyncio.run(send_one(port, credentials()))

    assert classes(receipts) == [OutcomeClass.NO_ANSWER]


@pytest.mark.parametrize("host", ["push..test", "x" * 3000])
def test_host_that_is_none_is_no_answer(host: str) -> None:
    async def scenario() -> None:
        provider = ApnsProvider(host, 1, rng=Random(1), pace=IMPATIENT)
        receipts = await send_all(provider, credentials(), make_pushes(SimulatedAPNs(Random(1)), 3))
        await provider.close()

        assert set(classes(receipts)) == {OutcomeClass.NO_ANSWER}
        assert all((receipt.outcome.reason or "").endswith("is no host name") for receipt in receipts)
        assert all(len(receipt.outcome.reason or "") < 300 for receipt in receipts)

    asyncio.run(scenario())


def test_server_without_http2_is_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def answer_http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.read() == b""  # it is shown no push, in whatever form

        async with serving(answer_http1, plain_tls(tmp_path)) as port:
            receipts = await send_one(port, credentials())

        assert classes(receipts) == [OutcomeClass.NO_ANSWER]

    asyncio.run(scenario())


def test_pushes_go_through_the_proxy() -> None:
    async def scenario() -> None:
        asked_for: list[bytes] = []

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            asked_for.append(request.split(b"\r\n")[0])
            upstream = await asyncio.open_connection("127.0.0.1", int(request.split()[1].rpartition(b":")[2]))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(copy(reader, upstream[1]), copy(upstream[0], writer))

        async with serving(tunnel) as port, running(proxy=f"http://127.0.0.1:{port}") as rig:
            receipts = await rig.send(rig.pushes(50))

            assert set(classes(receipts)) == {OutcomeClass.ACCEPTED}
            assert set(asked_for) == {f"CONNECT 127.0.0.1:{rig.server.port} HTTP/1.1".encode()}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reply", "outcome_class", "connections"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", OutcomeClass.NO_ANSWER, 1),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", OutcomeClass.NO_ANSWER, MAX_ATTEMPTS),
    ],
)
def test_proxy_that_refuses_is_asked_again_only_where_that_may_help(
    reply: bytes, outcome_class: OutcomeClass, connections: int
) -> None:
    async def scenario() -> None:
        asked = []

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(reply)

        async with serving(refuse) as port, running(proxy=f"http://ada:s3cret@127.0.0.1:{port}") as rig:
            receipts = await rig.send(rig.pushes(3))

        assert classes(receipts) == [outcome_class] * 3
        assert {receipt.attempts for receipt in receipts} == {0}
        assert reply.split(b"\r\n")[0].partition(b" ")[2].decode() in (receipts[0].outcome.reason or "")
        assert len(asked) == connections
        assert b"Proxy-Authorization: Basic YWRhOnMzY3JldA==" in asked[0]

    asyncio.run(scenario())


def test_proxy_that_cannot_be_used_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="http://"):
        ApnsProvider(rng=Random(1), proxy="https://proxy.example")


def test_trust_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no certificates to trust"):
        ApnsProvider(rng=Random(1), ca_pem=b"no certificate")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_expired_certificate_is_refused_by_its_alert(version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        async with running(tls_version=version) as rig:
            receipts = await send_all(rig.provider, expired_credentials(), rig.pushes(5))

            assert classes(receipts) == [OutcomeClass.CERTIFICATE_REFUSED] * 5
            assert "certificate expired" in (receipts[0].outcome.reason or "")
            assert {receipt.attempts for receipt in receipts} == {0}

    asyncio.run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_carry_pushes(version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        async with running(tls_version=version) as rig:
            assert set(classes(await rig.send(rig.pushes(50)))) == {OutcomeClass.ACCEPTED}

    asyncio.run(scenario())


def test_certificate_renewed_under_way_leaves_the_former_one_its_pushes() -> None:
    async def scenario() -> None:
        renewed = push_certificate(TOPIC, serial_number=4)
        new = PushCredentials(TOPIC, renewed.certificate_pem, renewed.key_pem, fingerprint(renewed.certificate_der))
        arrived = asyncio.Event()

        def second_is_silent(number: int) -> Fault | None:
            arrived.set()
            return Fault.SILENCE if number == 2 else None

        async with running(second_is_silent, pace=Pace(delay=at_once, attempt_seconds=0.3)) as rig:
            pushes = rig.pushes(100)
            before = asyncio.create_task(send_all(rig.provider, credentials(), pushes[:50]))
            await arrived.wait()

            after = await send_all(rig.provider, new, pushes[50:])

            assert set(classes(after)) == {OutcomeClass.ACCEPTED}
            assert not before.done()
            assert set(classes(await before)) == {OutcomeClass.ACCEPTED}
            assert rig.server.connection_count == 2

    asyncio.run(scenario())


def test_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def scenario() -> None:
        async with running() as rig:
            assert classes(await rig.send(rig.pushes(1))) == [OutcomeClass.ACCEPTED]

    asyncio.run(scenario())


@cache
def expired_credentials() -> PushCredentials:
    """A push certificate that ended long ago."""
    key = generate_ec_key()
    der = make_push_certificate(
        TOPIC,
        key,
        now=datetime(2020, 1, 1, tzinfo=UTC),
        lifetime=timedelta(days=365),
        serial_number=5,
        authority=authority(AUTHORITY),
    )
    return PushCredentials(TOPIC, pem_from_der([der]), private_key_pem(key), fingerprint(der))


async def send_one(port: int, client: PushCredentials) -> list[PushReceipt]:
    provider = ApnsProvider("127.0.0.1", port, rng=Random(1), ca_pem=authority_pem(), pace=IMPATIENT)
    try:
        return await send_all(provider, client, make_pushes(SimulatedAPNs(Random(1)), 1))
    finally:
        await provider.close()


@asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Answer every connection to the port that is yielded; wait at the end until all of them were answered."""
    answering = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.current_task())
        try:
            await answer(reader, writer)
        finally:
            await hang_up(writer)

    async with await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, answering))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def plain_tls(directory: Path) -> ssl.SSLContext:
    """A server's TLS without ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity = server_identity()
    (directory / "certificate.pem").write_bytes(identity.certificate_pem)
    (directory / "key.pem").write_bytes(identity.key_pem)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context
