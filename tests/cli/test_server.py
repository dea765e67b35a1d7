"""`muster init`, `check` and `migrate`."""

import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.command_line import CommandLine

from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import make_server_certificate
from muster.crypto.keys import generate_ec_key, private_key_pem
from muster.storage.schema import authorities, installation
from muster.storage.sqlite import SqliteEngine


def test_init_makes_what_a_server_needs_for_its_owner_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"

    code, out, said = CommandLine("--data-dir", str(data_dir)).run("init", "--public-url", "https://mdm.example.com")

    assert code == 0
    assert re.fullmatch(r"https://mdm\.example\.com/sign-in/[\w-]{32}\n", out)
    assert "within 24 hours" in said
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "keys" / "ring.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((data_dir / "muster.db").stat().st_mode) == 0o600


def test_init_again_changes_nothing(muster: CommandLine, data_dir: Path) -> None:
    ring = (data_dir / "keys" / "ring.json").read_bytes()

    code, out, said = muster.run("init")

    assert (code, out) == (0, "")
    assert said.startswith("Ready: installation ")
    assert (data_dir / "keys" / "ring.json").read_bytes() == ring


def test_two_inits_at_once_agree_on_one_installation(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "muster.cli", "init", "--data-dir", str(tmp_path / "data")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    said = [process.communicate(timeout=60)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert len({re.findall(r"installation (\S+)", one)[0] for one in said}) == 1
    engine = SqliteEngine(tmp_path / "data" / "muster.db")
    counts = [
        engine.read(lambda tx, table=table: tx.connection.scalar(sa.select(sa.func.count()).select_from(table)))  # type: ignore[misc]
        for table in (installation, authorities)
    ]
    engine.close()
    assert counts == [1, 1]


def test_check_prints_every_setting_as_it_will_be_used(muster: CommandLine, data_dir: Path) -> None:
    (data_dir / "muster.toml").write_text('organization = "Acme"\nlisten = "127.0.0.1:9000"\n')

    used = muster("check")
    code, out, _ = muster.run("check")

    assert code == 0
    assert used["organization"] == "Acme"
    assert used["public_url"] == "http://127.0.0.1:9000"
    assert used["key_ring"] == str(data_dir / "keys" / "ring.json")
    assert re.search(r"^organization +Acme$", out, re.MULTILINE)
    assert re.search(r"^check_in_url +-$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("database", "postgresql://ada:s3cr3t@db/muster", "postgresql://ada:***@db/muster"),
        ("database", "postgresql:///muster?user=ada&password=s3cr3t&x=1", "postgresql:///muster?user=ada&password=***&x=1"),
        ("database", "postgresql://ada@db/muster", "postgresql://ada@db/muster"),
        ("apns_proxy", "http://ada:s3cr3t@proxy:3128", "http://ada:***@proxy:3128"),
        ("apns_proxy", "ada:s3cr3t@proxy:3128", "ada:***@proxy:3128"),
    ],
)  # fmt: skip
def test_check_masks_secrets(
    muster: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(f"MUSTER_{name.upper()}", value)

    assert muster("check")[name] == shown
    assert "s3cr3t" not in "".join(str(part) for part in muster.run("check"))


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A certificate, its key, and the key of another."""
    keys = [generate_ec_key(), generate_ec_key()]
    lifetime = timedelta(days=2)
    certificate = make_server_certificate(
        ["localhost"], keys[0], now=datetime.now(UTC), lifetime=lifetime, serial_number=1, authority=None
    )
    paths = tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "other.key"
    for path, content in zip(paths, (pem_from_der([certificate]), *map(private_key_pem, keys)), strict=True):
        path.write_bytes(content)
    return paths


def test_check_reads_the_files_that_settings_name(
    muster: CommandLine, monkeypatch: pytest.MonkeyPatch, tls: tuple[Path, Path, Path]
) -> None:
    monkeypatch.setenv("MUSTER_TLS_CERTIFICATE", str(tls[0]))
    monkeypatch.setenv("MUSTER_TLS_KEY", str(tls[1]))

    assert muster("check")["public_url"] == "https://127.0.0.1:8443"


@pytest.mark.parametrize("command", ["check", "serve"])
def test_wrong_files_are_all_named_before_anything_is_served(
    muster: CommandLine, monkeypatch: pytest.MonkeyPatch, tls: tuple[Path, Path, Path], tmp_path: Path, command: str
) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv("MUSTER_TLS_CERTIFICATE", str(tls[0]))
    monkeypatch.setenv("MUSTER_TLS_KEY", str(tls[2]))
    monkeypatch.setenv("MUSTER_PROFILE_SIGNER_CERTIFICATE", str(tls[0]))
    monkeypatch.setenv("MUSTER_PROFILE_SIGNER_KEY", str(tmp_path / "empty"))
    monkeypatch.setenv("MUSTER_PROFILE_TRUST_ANCHORS", str(tmp_path / "empty"))
    monkeypatch.setenv("MUSTER_APNS_CA", "nowhere")

    code, _, said = muster.run(command)

    assert code == 2
    assert f"tls_key: {tls[2]} is not the key of the first certificate in {tls[0]}" in said
    assert f"profile_signer_key: {tmp_path / 'empty'}: not an unencrypted private key" in said
    assert f"profile_trust_anchors: {tmp_path / 'empty'}: no CERTIFICATE block" in said
    assert "apns_ca: nowhere can't be read: No such file or directory" in said


def test_check_notes_what_is_hardly_meant(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, plain = muster.run("check")
    monkeypatch.setenv("MUSTER_LISTEN", "0.0.0.0:8443")
    _, _, nowhere = muster.run("check")
    monkeypatch.setenv("MUSTER_PUBLIC_URL", "https://mdm.example.com")
    _, _, good = muster.run("check")

    assert "real ones accept only https://" in plain
    assert "which is nowhere" in nowhere
    assert good == ""


def test_check_needs_no_installation(tmp_path: Path) -> None:
    used = CommandLine("--data-dir", str(tmp_path / "nothing"))("check")

    assert used["workers"] == 1
    assert not (tmp_path / "nothing").exists()


def test_migrate_of_a_current_database_does_nothing(muster: CommandLine) -> None:
    code, out, _ = muster.run("migrate")

    assert (code, out) == (0, "The schema is up to date.\n")


def test_migrate_of_nothing_is_absent(tmp_path: Path) -> None:
    code, _, said = CommandLine("--data-dir", str(tmp_path / "nothing")).run("migrate")

    assert code == 3
    assert "`muster init` makes one." in said
