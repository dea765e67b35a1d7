"""A file that Bolt itself wrote, by the hand of etcd, which keeps all it has in one."""

import base64
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from muster.storage.other_servers.bolt import BoltFile

PAIRS = {b"key %03d" % number: b"%d " % number + b"x" * (number * 97 % 9000) for number in range(150)}
START_SECONDS = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def put(at: str, key: bytes, value: bytes) -> None:
    pair = {"key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode()}
    with urlopen(f"{at}/v3/kv/put", json.dumps(pair).encode(), timeout=10) as reply:
        reply.read()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What etcd left behind that was given PAIRS."""
    etcd = shutil.which("etcd")
    if etcd is None:
        pytest.skip("no etcd here: install etcd-server")
    at, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    ours = ["--data-dir", str(tmp_path / "data"), "--listen-client-urls", at, "--advertise-client-urls", at]
    peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen([etcd, *ours, *peers], stderr=log) as server:
        try:
            until = time.monotonic() + START_SECONDS
            while True:
                try:
                    put(at, b"key 000", PAIRS[b"key 000"])
                    break
                except (URLError, ConnectionError, TimeoutError):
                    assert server.poll() is None, "etcd did not start"
                    assert time.monotonic() < until, "etcd did not answer"
                    time.sleep(0.1)
            for key, value in PAIRS.items():
                put(at, key, value)
        finally:
            server.terminate()
    return tmp_path / "data/member/snap/db"


@pytest.mark.witness("etcd")
def test_file_that_bolt_wrote_is_read(file: Path) -> None:
    read = BoltFile(file.read_bytes())

    found = [value for _, value in read.bucket("key")]

    assert all(any(key in one and value in one for one in found) for key, value in PAIRS.items())
    assert list(read.bucket("no such bucket")) == []
