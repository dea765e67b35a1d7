"""`muster demo` as a person runs it: in a process of its own, ended by itself or by Ctrl-C."""

import codecs
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

MUSTER = (sys.executable, "-m", "muster.cli")
PATIENCE_SECONDS = 60
"""Beyond anything but a hang, on a machine that does much else."""


class Demo:
    """One `muster demo`, whose output is read as it comes."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self.text = ""
        self._output = output
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read_until(self, pattern: str, times: int = 1) -> None:
        """Read until *pattern* was found so many times, or fail."""
        while len(re.findall(pattern, self.text)) < times:
            assert self._read(), f"{pattern} did not come {times} times in:\n{self.text}"

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read the rest and return the exit code."""
        while self._read():
            pass
        return self.process.wait()

    def _read(self) -> bool:
        try:
            read = os.read(self._output, 65536)
        except OSError:  # what the other end of a terminal says at the end
            read = b""
        self.text += self._decoder.decode(read)
        return bool(read)


@contextmanager
def demo(tmp_path: Path, *arguments: str, on_terminal: bool = False, has_past: bool = False) -> Iterator[Demo]:
    """Run a demonstration in a process group of its own, with *tmp_path* for temporary files."""
    output, its_end = pty.openpty() if on_terminal else os.pipe()
    if on_terminal:
        termios.tcsetwinsize(its_end, (30, 100))
    past = () if has_past else ("--fresh",)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    environment |= {"TMPDIR": str(tmp_path), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    # what a real server on this machine would be given must not matter
    environment |= {"MUSTER_DATA_DIR": "/nonexistent/data", "MUSTER_PUBLIC_URL": "https://mdm.example.org"}
    process = subprocess.Popen(
        [*MUSTER, "demo", *past, *arguments], stdout=its_end, stderr=its_end, env=environment, start_new_session=True
    )
    os.close(its_end)
    hung = threading.Timer(PATIENCE_SECONDS, process.kill)
    hung.start()
    try:
        yield Demo(process, output)
    finally:
        hung.cancel()
        process.kill()
        process.wait()
        os.close(output)


def assert_nothing_is_left(running: Demo, tmp_path: Path) -> None:
    """No process of its group, no listening port, no file."""
    with pytest.raises(ProcessLookupError):
        os.killpg(running.process.pid, 0)
    found = re.search(r"http://[^/\s]+", running.text)
    if found is not None:
        address = urlsplit(found[0])
        with closing(socket.socket()) as client, pytest.raises(ConnectionRefusedError):
            client.connect((address.hostname or "", address.port or 0))
    assert list(tmp_path.iterdir()) == []


def test_devices_enroll_and_are_asked_until_ctrl_c_ends_it(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "3") as running:
        running.read_until("enrolled, with version", times=3)
        running.read_until("administrator sends")
        running.interrupt()
        code = running.end()

        assert code == 0
        assert "3 of 3 devices enrolled, the first " in running.text
        assert "Traceback" not in running.text
        assert not re.search(r"[^\n\x20-\x7e]", running.text)
        assert_nothing_is_left(running, tmp_path)


def test_demonstration_ends_by_itself(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "1", "--duration", "0.5") as running:
        code = running.end()

        assert code == 0
        assert "Nothing is left running; the data was thrown away." in running.text
        assert_nothing_is_left(running, tmp_path)


def test_ctrl_c_while_the_server_starts_ends_it_as_well(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "1") as running:
        running.read_until("Starting the server")
        running.interrupt()
        code = running.end()

        assert code == 0
        assert "Nothing is left running" in running.text
        assert "Traceback" not in running.text
        assert_nothing_is_left(running, tmp_path)


def test_ctrl_c_while_the_past_is_played_ends_it_as_well(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "1", has_past=True) as running:
        running.read_until("four weeks of a small company")
        running.interrupt()
        code = running.end()

        assert code == 0
        assert "Nothing is left running" in running.text
        assert "Traceback" not in running.text
        assert_nothing_is_left(running, tmp_path)


def test_terminal_shows_a_table_of_devices(tmp_path: Path) -> None:
    with demo(tmp_path, "--devices", "2", on_terminal=True) as running:
        running.read_until("2 devices enrolled")
        running.read_until(r"●\S* Enrolled", times=2)
        running.interrupt()
        code = running.end()

        assert code == 0
        assert "Ended after" in running.text
        assert running.text.rfind("\x1b[?25h") > running.text.rfind("\x1b[?25l")  # the cursor is shown again
        assert_nothing_is_left(running, tmp_path)


def test_second_demonstration_enrolls_its_devices_beside_those_of_the_first(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for _ in range(2):
        with demo(tmp_path, "--devices", "1", "--data-dir", str(data_dir)) as running:
            running.read_until("enrolled, with version")
            running.interrupt()

            assert running.end() == 0

    listed = subprocess.run(
        [*MUSTER, "devices", "list", "--json", "--data-dir", str(data_dir)],
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert [device["state"] for device in json.loads(listed.stdout)] == ["enrolled", "enrolled"]


def test_directory_of_a_real_server_is_refused(tmp_path: Path) -> None:
    (tmp_path / "muster.db").write_bytes(b"")

    with demo(tmp_path, "--data-dir", str(tmp_path)) as running:
        code = running.end()

        assert code == 5
        assert "neither empty nor the directory of a former demonstration" in running.text
