"""A server that is asked to stop finishes what it has in hand, and ends well."""

import signal
import socket
from pathlib import Path

from tests.service.running import RunningServer
from tests.service.stage import Stage, together
from tests.support.command_line import CommandLine, push_files

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
