"""The provider against nghttp2's own server, which nobody here wrote."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from socket import create_server

import pytest
from tests.edges.apns.rig import classes, credentials, make_pushes, send_all
from tests.simulator.apns_pki import authority_pem, server_identity

from muster.edges.apns.backoff import Pace
from muster.edges.apns.provider import ApnsProvider
from muster.protocol.apns import OutcomeClass
from muster.simulator.apns import SimulatedAPNs


@pytest.fixture
def nghttpd_port(tmp_path: Path) -> Iterator[int]:
    program = shutil.which("nghttpd")
    if program is None:
        pytest.skip("nghttpd is not installed")
    with create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_bytes(server_identity().key_pem)
    certificate.write_bytes(server_identity().certificate_pem)
    # It answers 404 to a POST unless it may echo it, and allows 100 streams unless told otherwise.
    options = ["--verify-client", "--echo-upload", "--max-concurrent-streams=1000", "--address=127.0.0.1"]
    with subprocess.Popen([program, *options, str(port), key, certificate], stdout=subprocess.DEVNULL) as server:
        yield port
        server.terminate()


@pytest.mark.witness("nghttpd")
def test_every_push_is_answered_by_nghttpd(nghttpd_port: int) -> None:
    async def scenario() -> None:
        until_it_listens = Pace(delay=lambda *_: 0.02, max_attempts=500)
        provider = ApnsProvider("127.0.0.1", nghttpd_port, rng=Random(1), ca_pem=authority_pem(), pace=until_it_listens)

        receipts = await send_all(provider, credentials(), make_pushes(SimulatedAPNs(Random(1)), 3000))
        await provider.close()

        assert classes(receipts) == [OutcomeClass.ACCEPTED] * 3000

    asyncio.run(scenario())
