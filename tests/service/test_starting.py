"""What a server says when it can't serve, and that it can again after whatever happened."""

import shutil
import socket
from pathlib import Path

from tests.service.conftest import Site
from tests.service.running import RunningServer
from tests.support.command_line import CommandLine


def ends_at_once(server: RunningServer) -> tuple[int, str]:
    """Start a server that won't serve; returns its exit code and what it said."""
    server.launch()
    code = server.exit_code()
    return code, "\n".join(server.log)


def test_sqlite_is_served_by_one_process_only(tmp_path: Path) -> None:
    code, _, said = CommandLine("--data-dir", str(tmp_path / "data")).run("serve", "--workers", "2")

    assert code == 2
    assert "--workers: SQLite serves from one process; give a PostgreSQL database for more" in said
    assert not (tmp_path / "data").exists()


def test_a_database_without_the_schema_of_this_version_is_not_served(bare_postgresql_url: str, tmp_path: Path) -> None:
    CommandLine("--data-dir", str(tmp_path / "data")).run("init")  # for its key ring

    code, said = ends_at_once(RunningServer(tmp_path / "data", "--database", bare_postgresql_url))

    assert code == 6
    assert "run `muster migrate`" in said
    assert "Traceback" not in said


def test_a_key_ring_of_another_installation_is_refused(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        CommandLine("--data-dir", str(tmp_path / name)).run("init")
    shutil.copyfile(tmp_path / "theirs/keys/ring.json", tmp_path / "ours/keys/ring.json")

    code, said = ends_at_once(RunningServer(tmp_path / "ours"))

    assert code == 4
    assert "was sealed with key" in said
    assert "--key-ring" in said
    assert "Traceback" not in said


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"

        code, _, said = CommandLine("--data-dir", str(tmp_path / "data")).run("serve", "--listen", listen)

    assert code == 6
    assert f"can't listen on {listen}" in said
    assert "--listen" in said


def test_a_second_server_on_the_same_data_is_refused(sqlite_site: Site) -> None:
    code, _, said = sqlite_site.muster.run("serve", "--listen", "127.0.0.1:0")

    assert code == 5
    assert f"a server runs on {sqlite_site.server.data_dir} already" in said
