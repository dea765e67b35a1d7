"""The provider against nginx, which sends every connection away after 200 requests."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from socket import create_server

import pytest
import uvloop
from tests.edges.apns.rig import TOMORROW, credentials, send_all
from tests.simulator.apns_pki import TOPIC, authority_pem, server_identity

from muster.edges.apns.backoff import Pace
from muster.edges.apns.provider import ApnsProvider
from muster.operations.ports import PushReceipt
from muster.protocol.apns import OutcomeClass, Push

REQUESTS_A_CONNECTION = 200
PUSHES = 5000
STOP_SECONDS = 10.0


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port, and the file that gets a line for each request: its connection's number, and its path."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    files = {
        "certificate.pem": server_identity().certificate_pem,
        "key.pem": server_identity().key_pem,
        "ca.pem": authority_pem(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    temporary = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not write there
    (tmp_path / "nginx.conf").write_text(
        f"{user} daemon off; master_process off; pid {tmp_path}/pid; error_log stderr warn; events {{}}\n"
        f"http {{ {temporary} log_format line '$connection $request_uri'; access_log {tmp_path}/access.log line;\n"
        f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {tmp_path}/certificate.pem;\n"
        f"ssl_certificate_key {tmp_path}/key.pem; ssl_client_certificate {tmp_path}/ca.pem; ssl_verify_client on;\n"
        f"keepalive_requests {REQUESTS_A_CONNECTION}; return 200; }} }}\n"
    )
    command = [program, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        yield port, tmp_path / "access.log"
        server.terminate()
        server.wait(STOP_SECONDS)


@pytest.mark.witness("nginx")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_server_that_keeps_sending_us_away_gets_every_push_once(
    nginx: tuple[int, Path], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    port, log = nginx
    pushes = [Push(f"id-{number}", TOPIC, number.to_bytes(32, "big"), "magic", TOMORROW) for number in range(PUSHES)]

    async def scenario() -> list[PushReceipt]:
        until_it_listens = Pace(delay=lambda *_: 0.02, max_attempts=500)
        provider = ApnsProvider("127.0.0.1", port, rng=Random(1), ca_pem=authority_pem(), pace=until_it_listens)
        receipts = await send_all(provider, credentials(), pushes)
        await provider.close()
        return receipts

    with asyncio.Runner(loop_factory=new_loop) as runner:
        receipts = runner.run(scenario())

    seen = [line.split() for line in log.read_text().splitlines()]
    assert {receipt.outcome.outcome_class for receipt in receipts} == {OutcomeClass.ACCEPTED}
    assert {receipt.attempts for receipt in receipts} == {1}
    assert sorted(path for _, path in seen) == [f"/3/device/{push.token.hex()}" for push in pushes]
    assert len({connection for connection, _ in seen}) >= PUSHES // (REQUESTS_A_CONNECTION + 100)
