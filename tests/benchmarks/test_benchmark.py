"""The benchmark's pieces do what they say; how fast anything is, no test asserts."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from benchmarks.processes import cpu_seconds
from benchmarks.table import Measurement, format_table

from benchmarks import fleet, load, servers
from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.service import open_service
from muster.crypto.certificates import fingerprint
from muster.protocol.connect import Status, read_report_head
from muster.protocol.mdm_signature import verify_mdm_signature
from muster.settings import Settings
from muster.simulator.transport import AsgiTransport, Response

NOW = datetime.now(UTC)


def parts(request: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a prepared request."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines), body


def play(settings: Settings, requests: list[bytes]) -> list[Response]:
    """Answer prepared requests by a whole server in this process, in order."""

    async def main() -> list[Response]:
        service = open_service(settings, Surroundings(poll=None))
        await service.start()
        try:
            transport = AsgiTransport(service.application)
            return [await transport.send("PUT", "http://localhost/mdm", *parts(request)) for request in requests]
        finally:
            await service.stop()

    return asyncio.run(main())


@pytest.fixture(scope="module")
def devices() -> tuple[fleet.Device, ...]:
    """A very small fleet."""
    return fleet.make_fleet(3, NOW)


def test_devices_have_identities_of_their_own(devices: tuple[fleet.Device, ...]) -> None:
    identities = {fingerprint(device.signer.certificate_der) for device in devices}

    assert len(identities) == len({device.udid for device in devices}) == 3


def test_prepared_requests_carry_a_signature_that_holds(devices: tuple[fleet.Device, ...]) -> None:
    headers, body = parts(fleet.answer_request(devices[0], fleet.command_uuids(1)[0]))

    verified = verify_mdm_signature(headers["Mdm-Signature"], body, allow_legacy=False)
    assert verified.signer_certificate_der == devices[0].signer.certificate_der
    assert read_report_head(body).status is Status.ACKNOWLEDGED
    assert int(headers["Content-Length"]) == len(body)


def test_enrolled_fleet_is_answered_with_nothing(devices: tuple[fleet.Device, ...], tmp_path: Path) -> None:
    settings = servers.prepare(tmp_path, "server", None)
    with servers.opened(settings) as engine:
        fleet.enroll(engine, settings, devices, NOW)

    replies = play(settings, [fleet.idle_request(device) for device in devices])
    assert [(reply.status, reply.body) for reply in replies] == [(200, b"")] * 3


def test_answers_empty_the_queues(devices: tuple[fleet.Device, ...], tmp_path: Path) -> None:
    settings = servers.prepare(tmp_path, "server", None)
    uuids = fleet.command_uuids(2)
    with servers.opened(settings) as engine:
        fleet.enroll(engine, settings, devices, NOW)
        fleet.store_commands(engine, uuids, NOW)
        fleet.fill_queues(engine, devices, uuids, NOW)

        replies = play(settings, [fleet.answer_request(devices[0], uuid) for uuid in uuids])

        assert fleet.waiting(engine) == 4
    assert uuids[1].encode() in replies[0].body
    assert (replies[1].status, replies[1].body) == (200, b"")


def test_filling_queues_again_leaves_nothing_of_before(devices: tuple[fleet.Device, ...], tmp_path: Path) -> None:
    settings = servers.prepare(tmp_path, "server", None)
    uuids = fleet.command_uuids(2)
    with servers.opened(settings) as engine:
        fleet.enroll(engine, settings, devices, NOW)
        fleet.store_commands(engine, uuids, NOW)
        for _ in range(2):
            fleet.fill_queues(engine, devices, uuids, NOW)

        assert fleet.waiting(engine) == 6


class Recorder(BaseHTTPRequestHandler):
    """Keeps the bodies it is sent."""

    protocol_version = "HTTP/1.1"
    bodies: ClassVar[list[bytes]] = []

    def do_PUT(self) -> None:
        """Answer with nothing."""
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.mark.witness("wrk")
def test_load_plays_some_requests_once_and_then_the_others_over_and_over(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    requests = [b"PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%d\n" % number for number in range(4)]
    script = load.write_script(tmp_path, "load", requests[:2], requests[2:])
    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        result = load.run_load(script, f"http://127.0.0.1:{server.server_port}/mdm", connections=1, seconds=1)

        server.shutdown()
    # wrk makes the first request for itself, to look at its form
    assert [int(body) for body in Recorder.bodies[:7]] == [1, 2, 3, 2, 3, 2, 3]
    assert 0 < result.requests <= len(Recorder.bodies)


def test_result_is_read_from_the_last_line() -> None:
    result = load.read_result(
        'Running 2s test\n\n{"requests": 900, "microseconds": 3000000, "p50": 1500, "p99": 9000, "refused": 0, '
        '"broken": 0}\n'
    )

    assert result == load.LoadResult(900, 3.0, 1.5, 9.0)
    assert result.rate == 300


@pytest.mark.parametrize("wrong", [{"refused": 1}, {"broken": 1}, {"requests": 0}])
def test_load_that_was_not_answered_is_an_error(wrong: dict[str, int]) -> None:
    said = {"requests": 9, "microseconds": 1, "p50": 1, "p99": 1, "refused": 0, "broken": 0} | wrong

    with pytest.raises(load.LoadFailedError):
        load.read_result(json.dumps(said))


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_processor_time_includes_that_of_children_that_ended() -> None:
    before = cpu_seconds(os.getpid())

    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)

    assert cpu_seconds(os.getpid()) - before > 0.2


def test_ratios_are_those_of_the_same_turn() -> None:
    def turn(rate: float, constant_rate: float) -> list[Measurement]:
        return [
            Measurement("constant", 1, 64, constant_rate, 50, 0, 1, 2, 0),
            Measurement("sqlite", 1, 64, rate, 100, 50, 3, 4, 0),
        ]

    table = format_table([*turn(100, 1000), *turn(300, 1500), *turn(50, 1000)])

    # medians: the rate of 100, 50 and 300; its ratio of 0.1, 0.05 and 0.2
    assert table.splitlines()[2].split() == [
        "sqlite",
        "1",
        "64",
        "100",
        "0.10",
        "100",
        "50",
        "150",
        "3.00",
        "3.0",
        "4.0",
        "-",
    ]
