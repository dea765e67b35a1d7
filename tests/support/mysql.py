"""A MariaDB server for one module of tests: made in a temporary directory, on a socket, and gone afterwards."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

START_SECONDS = 60
"""A server starts in a second; a busy machine may need many."""
ZONE = "+05:00"
"""The zone of its clock, which is not ours."""
_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"


def find_mariadb() -> tuple[str, str] | None:
    """Return the programs that make a directory of data and serve it; None when one is missing."""
    found = shutil.which("mariadb-install-db", path=_PLACES), shutil.which("mariadbd", path=_PLACES)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


@contextmanager
def mariadb(programs: tuple[str, str]) -> Iterator[str]:
    """Serve an empty database while the context lasts; yields its URL."""
    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"  # it refuses to run as root
    with TemporaryDirectory(prefix="mariadb-") as name:
        directory = Path(name)
        if os.getuid() == 0:
            shutil.chown(directory, user)
        data, socket = directory / "data", directory / "socket"
        common = ("--no-defaults", f"--user={user}", f"--datadir={data}")
        made = [programs[0], *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True)
        kept = ["--skip-networking", f"--socket={socket}", f"--default-time-zone={ZONE}"]
        serve = [programs[1], *common, *kept, "--innodb-flush-method=nosync"]
        with (directory / "log").open("wb") as log, subprocess.Popen(serve, stderr=log) as server:
            try:
                _await(socket, server)
                yield f"mysql://root@localhost/mdm?unix_socket={socket}"
            finally:
                server.terminate()


def _await(socket: Path, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while not socket.exists():
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError("MariaDB did not start")
        time.sleep(0.1)
