"""A real server in a process of its own, for tests: started, waited for, stopped or killed, its log kept."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from muster.settings import PREFIX

START_SECONDS = 60
"""A server is up within two seconds; a busy machine may need many."""
STOP_SECONDS = 40

MUSTER = (sys.executable, "-m", "muster.cli")


class ServerDiedError(Exception):
    """The server ended instead of serving; the message is its log."""


class RunningServer:
    """`muster serve` with *arguments* beside `--data-dir`, *environment* naming further settings (`MUSTER_*`)."""

    started: "list[RunningServer]" = []  # noqa: RUF012 - for the report of a test that fails

    def __init__(self, data_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._arguments = arguments
        self._environment = environment or {}
        self.url = ""
        self.log: list[str] = []
        self._new_line = threading.Condition()
        self._start = 0
        self._has_ended = False
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.started.append(self)

    def start(self, *, trust: Path | None = None) -> Self:
        """Start, and return once it answers; a start after the first listens on the same port.

        Raises ServerDiedError.
        """
        self.launch()
        self.url = self.wait_for("Muster serves ").partition("Muster serves ")[2].split()[0]
        try:
            self.get("/scep?operation=GetCACaps", trust=trust)
        except OSError as error:
            self.exit_code()
            raise ServerDiedError("\n".join(self.log)) from error
        return self

    def launch(self) -> None:
        """Start, and return at once."""
        listen = f"127.0.0.1:{self.url.rpartition(':')[2] or 0}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._process = subprocess.Popen(
            [*MUSTER, "serve", "--data-dir", str(self.data_dir), "--listen", listen, *self._arguments],
            env={**inherited, "MUSTER_LOG_FORMAT": "text", "MUSTER_INVENTORY_HOURS": "0", **self._environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._start = len(self.log)
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def get(self, path: str, *, trust: Path | None = None) -> bytes:
        """GET *path*; a server that is just starting keeps us waiting and then answers. Raises OSError."""
        context = None if trust is None else ssl.create_default_context(cafile=str(trust))
        with urllib.request.urlopen(f"{self.url}{path}", timeout=START_SECONDS, context=context) as reply:
            body: bytes = reply.read()
            return body

    def wait_for(self, text: str) -> str:
        """Return the first line of this start's log that has *text*, as soon as it is there."""
        with self._new_line:
            found = self._new_line.wait_for(lambda: self._find(text) is not None or self._has_ended, START_SECONDS)
        line = self._find(text)
        if not found or line is None:
            raise ServerDiedError(f"{text!r} is not in the log:\n" + "\n".join(self.log))
        return line

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to stop; returns its exit code, once nothing of it is left."""
        self.terminate()
        return self.exit_code()

    def kill_now(self) -> None:
        """End it without a word (SIGKILL), as a power cut does; `exit_code` says when it is gone."""
        self._running().kill()

    def kill(self) -> None:
        """End it without a word, and return when it is gone."""
        self.kill_now()
        self.exit_code()

    def exit_code(self) -> int:
        """Wait until it and all processes it started have ended; returns its exit code."""
        code = self._running().wait(STOP_SECONDS)
        assert self._reader is not None
        self._reader.join(STOP_SECONDS)  # standard error ends when the last process that holds it does
        assert not self._reader.is_alive(), "a process of the server's outlived it"
        self._process = None
        return code

    @property
    def is_running(self) -> bool:
        """Whether it was started and not yet seen to end."""
        return self._process is not None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self.exit_code()

    def _running(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "the server was not started"
        return self._process

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                with self._new_line:
                    self.log.append(line.rstrip("\n"))
                    self._new_line.notify_all()
        with self._new_line:
            self._has_ended = True
            self._new_line.notify_all()

    def _find(self, text: str) -> str | None:
        return next((line for line in self.log[self._start :] if text in line), None)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
