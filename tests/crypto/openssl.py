"""Runs OpenSSL's command line tool: the witness against which this layer is proved."""

import shutil
import subprocess
from pathlib import Path

import pytest


class OpenSSL:
    """The tool, working in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("openssl")
        if program is None:
            pytest.skip("openssl is not installed")
        self._program = program
        self.directory = directory

    def run(self, *arguments: str) -> bytes:
        """Run a command; a failure fails the test with what the tool said."""
        done = self._run(arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def accepts(self, *arguments: str) -> bool:
        return self._run(arguments).returncode == 0

    def said(self, *arguments: str) -> bytes:
        """What a command says beside its output."""
        return self._run(arguments).stderr

    def write(self, name: str, contents: bytes) -> str:
        (self.directory / name).write_bytes(contents)
        return name

    def read(self, name: str) -> bytes:
        return (self.directory / name).read_bytes()

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self._program, *arguments], cwd=self.directory, capture_output=True, check=False, timeout=60
        )
