"""Several processes on one PostgreSQL: workers of one server, and servers that share the work."""

from pathlib import Path

import pytest
from tests.service.running import RunningServer, free_port
from tests.service.stage import Stage, acknowledged, answer, together
from tests.support.command_line import CommandLine, push_files


@pytest.fixture
def muster(bare_postgresql_url: str, tmp_path: Path) -> CommandLine:
    """A fresh installation on PostgreSQL, whose key ring is in `data`."""
    muster = CommandLine("--data-dir", str(tmp_path / "data"), "--database", bare_postgresql_url)
    assert muster.run("init")[0] == 0
    muster.upload(push_files(tmp_path))
    return muster


def test_two_workers_serve_devices_and_stop_whole(
    muster: CommandLine, bare_postgresql_url: str, stage: Stage, tmp_path: Path
) -> None:
    arguments = ("--database", bare_postgresql_url, "--workers", "2")
    with RunningServer(tmp_path / "data", *arguments, environment=stage.settings(tmp_path)) as server:
        url = muster.link(uses=4)
        devices = [stage.device() for _ in range(4)]
        stage.play(together([device.open_link(url) for device in devices]))
        sent = [muster.send(device.facts.udid, "SecurityInfo") for device in devices]
        answered = stage.play(together([answer(*both) for both in zip(devices, sent, strict=True)]))

        code = server.stop()  # waits for every process

    assert set().union(*(acknowledged(one) for one in answered)) == set(sent)
    assert code == 0


def test_workers_end_when_their_parent_is_killed(muster: CommandLine, bare_postgresql_url: str, tmp_path: Path) -> None:
    arguments = ("--database", bare_postgresql_url, "--workers", "2")
    with RunningServer(tmp_path / "data", *arguments) as server:
        server.kill()  # waits for every process

        assert not server.is_running


def test_check_ins_go_to_one_server_and_connects_to_another(
    muster: CommandLine, bare_postgresql_url: str, stage: Stage, tmp_path: Path
) -> None:
    ring = str(tmp_path / "data" / "keys" / "ring.json")
    arguments = ("--database", bare_postgresql_url, "--key-ring", ring)
    connects, checkins = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    environment = {
        "MUSTER_PUBLIC_URL": connects,
        "MUSTER_CHECK_IN_URL": f"{checkins}/checkin",
        **stage.settings(tmp_path),
    }
    one = RunningServer(tmp_path / "one", *arguments, environment={**environment, "MUSTER_NODE": "one"})
    two = RunningServer(tmp_path / "two", *arguments, environment={**environment, "MUSTER_NODE": "two"})
    one.url, two.url = connects, checkins
    with one, two:
        device = stage.device()
        stage.play(device.open_link(muster.link()))
        sent = muster.send(device.facts.udid, "SecurityInfo")
        answered = stage.play(answer(device, sent))

    assert acknowledged(answered) == {sent}
    assert [messages(one, "checkin "), messages(two, "checkin ")] == [0, 2]
    assert [messages(server, f" command_uuid={sent} ") for server in (one, two)] == [1, 0]


def messages(server: RunningServer, text: str) -> int:
    return sum(text in line for line in server.log)
