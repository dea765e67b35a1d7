"""`muster` run in this process, and the files that it is given."""

import io
import json
import plistlib
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulator.apns_pki import push_certificate

from muster.cli import main
from muster.cli.connection import connect
from muster.operations.queue_command import command_body
from muster.protocol.identifiers import CommandUUID


@dataclass(frozen=True)
class PushFiles:
    """A push certificate and its key, as files to upload."""

    certificate: Path
    key: Path


def push_files(directory: Path, issuer: str | None = None) -> PushFiles:
    """Write a push certificate of the simulated APNs' authority, or of *issuer*, which it does not trust."""
    made = push_certificate() if issuer is None else push_certificate(issuer=issuer)
    directory.mkdir(exist_ok=True)
    files = PushFiles(directory / "push.pem", directory / "push.key")
    files.certificate.write_bytes(made.certificate_pem)
    files.key.write_bytes(made.key_pem)
    return files


class CommandLine:
    """`muster` in this process, beside a running server. *where* names its data."""

    def __init__(self, *where: str) -> None:
        self._where = where

    def arguments(self, *arguments: str) -> list[str]:
        """Name the data behind the command."""
        return [*arguments, *self._where]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command: its exit code, what it printed, and what it said on standard error."""
        out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(self.arguments(*arguments))
        out.seek(0)
        return code, out.read(), err.getvalue()

    def __call__(self, *arguments: str) -> Any:
        """Run a command that must succeed with --json; what it printed, decoded."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def link(self, uses: int = 1) -> str:
        """Make an enrollment link and return its URL."""
        url: str = self("enroll", "link", "--uses", str(uses))["url"]
        return url

    def send(self, channel_id: str, request_type: str, *arguments: str) -> CommandUUID:
        """Send a command and return its UUID."""
        return CommandUUID(self("commands", "send", channel_id, request_type, *arguments)["command_uuid"])

    def body(self, command_uuid: str) -> Any:
        """A command as its devices get it, decoded, also where it holds a secret."""
        option, directory = self._where
        assert option == "--data-dir"
        with connect(Path(directory), None, None) as data:
            found = data.look(lambda tx, ctx: command_body(tx, CommandUUID(command_uuid), ctx))
        assert found is not None
        return plistlib.loads(found)

    def statuses(self, channel_id: str) -> dict[str, str]:
        """The status of each command of a channel, by its UUID."""
        return {row["command_uuid"]: row["status"] for row in self("commands", "list", channel_id)}

    def upload(self, files: PushFiles) -> None:
        """Put a push certificate into use."""
        self("push-cert", "upload", "--cert", str(files.certificate), "--key", str(files.key))
