"""A push service that isn't ours: nghttpd, which answers 200 to every push, with certificates made for it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from socket import create_server

from benchmarks.servers import STOP_SECONDS, NotStartedError
from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import Authority, make_authority, make_push_certificate, make_server_certificate
from muster.crypto.keys import generate_ec_key, generate_rsa_key, private_key_pem

HOST = "127.0.0.1"
TOPIC = "com.apple.mgmt.External.benchmark"
MAX_STREAMS = 1000
"""Of each connection, as APNs allows once it has answered."""
START_SECONDS = 20
TOKEN = bytes(range(32))
"""The token of every push: nghttpd finds a file at its path, and answers 200. Told to answer any path (--echo-upload)
it would write each body to a file of its own first, and be what is measured."""

_VALID = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class PushService:
    """Where it listens, the files that a client needs, and its process."""

    port: int
    authority: Path
    certificate: Path
    key: Path = field(repr=False)
    process_id: int


@contextmanager
def nghttpd(directory: Path, now: datetime) -> Iterator[PushService]:
    """Run nghttpd on a free port. Raises NotStartedError when it isn't installed, or does not listen."""
    program = shutil.which("nghttpd")
    if program is None:
        raise NotStartedError("nghttpd is not installed (Debian: nghttp2-server)")
    files = _certificates(directory, now)
    with create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    pushed = directory / "files" / "3" / "device" / TOKEN.hex()
    pushed.parent.mkdir(parents=True)
    pushed.touch()
    # --verify-client asks for a certificate without checking it
    options = ["--verify-client", f"--htdocs={directory / 'files'}", f"--address={HOST}"]
    options.append(f"--max-concurrent-streams={MAX_STREAMS}")
    command = [program, *options, str(port), str(directory / "server.key"), str(directory / "server.pem")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_listens(process, port)
            yield PushService(port, *files, process.pid)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(START_SECONDS * 20):
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise NotStartedError("nghttpd does not listen")


def _certificates(directory: Path, now: datetime) -> tuple[Path, Path, Path]:
    """Write the authority, the push certificate and its key, and beside them what nghttpd is given."""
    authority_key, server_key, push_key = generate_ec_key(), generate_ec_key(), generate_rsa_key()
    authority = Authority(
        make_authority("Benchmark Push", authority_key, now=now, lifetime=_VALID, serial_number=1), authority_key
    )
    server = make_server_certificate([HOST], server_key, now=now, lifetime=_VALID, serial_number=2, authority=authority)
    client = make_push_certificate(TOPIC, push_key, now=now, lifetime=_VALID, serial_number=3, authority=authority)
    contents = {
        "server.pem": pem_from_der([server]),
        "server.key": private_key_pem(server_key),
        "authority.pem": pem_from_der([authority.certificate_der]),
        "push.pem": pem_from_der([client]),
        "push.key": private_key_pem(push_key),
    }
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return directory / "authority.pem", directory / "push.pem", directory / "push.key"
