"""A server that is asked to stop finishes what it has in hand, and ends well."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.service.running import RunningServer
from tests.service.stage import Stage, together
from tests.support.command_line import CommandLine, push_files

from muster.bootstrap.serving import GRACE_SECONDS
from muster.simulator.apns_weather import Condition, Effect, Silence, Slow
from muster.simulator.device import SimulatedDevice
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.session import Session, SessionEnd

DEVICES = 8


def test_requests_in_hand_are_finished_and_written_after_the_signal(stage: Stage, tmp_path: Path) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    with RunningServer(tmp_path / "data", environment=stage.settings(tmp_path)) as server:
        muster.upload(push_files(tmp_path))
        url = muster.link(uses=DEVICES)
        devices = [stage.device() for _ in range(DEVICES)]
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as connection:
            connection.sendall(
                b"POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf"
            )
            enrolling = stage.begin(together([enrolls(device, url) for device in devices]))
            server.wait_for("message=TokenUpdate")

            server.terminate()
            server.wait_for("Shutting down")
            connection.sendall(b"half")
            reply = connection.recv(65536)

        assert server.exit_code() == 0
    enrolled = {device.facts.udid for device, done in zip(devices, enrolling.result(60), strict=True) if done}
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert enrolled
    assert enrolled <= {row["id"] for row in muster("devices", "list") if row["state"] == "enrolled"}


async def enrolls(device: SimulatedDevice, url: str) -> bool:
    try:
        await device.open_link(url)
    except EnrollmentFailed:
        return False
    return True


def test_devices_under_way_meet_no_fault_when_ctrl_c_stops_the_server(stage: Stage, tmp_path: Path) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    environment = {**stage.settings(tmp_path), "MUSTER_LOG_LEVEL": "debug"}
    with RunningServer(tmp_path / "data", environment=environment) as server:
        muster.upload(push_files(tmp_path))
        url = muster.link(uses=DEVICES)
        devices = [stage.device() for _ in range(DEVICES)]
        stage.play(together([device.open_link(url) for device in devices]))
        lives = stage.begin(together([connect_until_gone(device) for device in devices]))
        server.wait_for("status=Idle")  # they are under way

        server.send_signal(signal.SIGINT)
        code = server.exit_code()

        ends = [session for sessions in lives.result(60) for session in sessions]
        assert code == 0
        assert not any("Traceback" in line for line in server.log)
        assert {session.end for session in ends} <= {SessionEnd.EMPTY, SessionEnd.CONNECTION_LOST}
        # whoever got an answer got a whole one
        assert all(session.last_http_status == 200 for session in ends if session.end is SessionEnd.EMPTY)


async def connect_until_gone(device: SimulatedDevice) -> list[Session]:
    sessions = [await device.connect()]
    while sessions[-1].end is SessionEnd.EMPTY:
        sessions.append(await device.connect())
    return sessions


@contextmanager
def weather(stage: Stage, effect: Effect) -> Iterator[None]:
    """Let *effect* befall every push."""

    async def change_to(*conditions: Condition) -> None:
        stage.apns.weather.change_to(conditions)

    stage.play(change_to(Condition(effect)))
    try:
        yield
    finally:
        stage.play(change_to())


async def first_woken(devices: list[SimulatedDevice]) -> None:
    """Wait until the first push has arrived; on a new connection others wait for its answer."""
    waiting = [asyncio.ensure_future(device.wanted.wait()) for device in devices]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def stop_amid_pushes(stage: Stage, directory: Path, effect: Effect) -> tuple[RunningServer, int, list[Any], Any]:
    """Stop a server while the first pushes of new devices are under way.

    Returns the server, its exit code, the pushes in each device's log, and how the topic stands.
    """
    muster = CommandLine("--data-dir", str(directory / "data"))
    with RunningServer(directory / "data", environment=stage.settings(directory)) as server, weather(stage, effect):
        muster.upload(push_files(directory))
        url = muster.link(uses=DEVICES)
        devices = [stage.device() for _ in range(DEVICES)]
        stage.play(together([device.open_link(url) for device in devices]))
        stage.play(first_woken(devices))
        server.terminate()
        code = server.exit_code()
    explained = [muster("push", "explain", device.facts.udid)[0]["pushes"] for device in devices]
    return server, code, explained, muster("push", "status")["topics"][0]


def test_pushes_under_way_are_waited_for_and_their_outcomes_kept(stage: Stage, tmp_path: Path) -> None:
    server, code, explained, topic = stop_amid_pushes(stage, tmp_path, Slow(1.0))

    assert code == 0
    assert not any("Traceback" in line for line in server.log)
    assert {push["outcome"]["outcome_class"] for pushes in explained for push in pushes} == {"accepted"}
    assert topic["pushes_last_hour"] == {"accepted": DEVICES}


def test_pushes_that_are_never_answered_hold_no_stop_up_and_are_held_against_nobody(
    stage: Stage, tmp_path: Path
) -> None:
    server, code, explained, topic = stop_amid_pushes(stage, tmp_path, Silence())

    assert code == 0
    assert not any("Traceback" in line for line in server.log)
    assert any("pushes_left_unanswered" in line for line in server.log)
    assert explained == [[]] * DEVICES
    assert topic["breaker"] is None
    assert topic["wishes_waiting"] == DEVICES  # for their leases to end


def test_open_pages_that_wait_to_be_told_delay_no_stop(tmp_path: Path) -> None:
    muster = CommandLine("--data-dir", str(tmp_path / "data"))
    with RunningServer(tmp_path / "data") as server:
        sign_in = urlsplit(muster("admins", "link", "ana")["url"]).path
        with closing(HTTPConnection(server.url.partition("//")[2], timeout=30)) as browser:
            browser.request("POST", sign_in, headers={"Sec-Fetch-Site": "same-origin"})
            cookie = (browser.getresponse().getheader("set-cookie") or "").partition(";")[0]
        with closing(HTTPConnection(server.url.partition("//")[2], timeout=30)) as page:
            page.request("GET", "/events?topic=fleet", headers={"Cookie": cookie, "Accept": "text/event-stream"})
            with closing(page.getresponse()) as stream:
                first = stream.readline()
                began = time.monotonic()
                server.terminate()
                code = server.exit_code()
                took = time.monotonic() - began

    assert (stream.status, first) == (200, b"retry: 2000\n")
    assert code == 0
    assert took < GRACE_SECONDS / 2
    assert not any("Traceback" in line for line in server.log)
