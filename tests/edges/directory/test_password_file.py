"""The file of network users: what htdigest writes is read, what we write it reads, a broken one shuts nobody out."""

import asyncio
import hashlib
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from muster.edges.directory import password_file
from muster.edges.directory.password_file import PasswordFile, PasswordFileError
from muster.storage.errors import Unavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory"


def key_of(file: PasswordFile, name: str) -> str | None:
    return asyncio.run(file.find_key(name))


def test_password_is_kept_as_htdigest_keeps_it_for_the_owner_alone(path: Path) -> None:
    file = PasswordFile(path, "muster")

    file.set_password("ada", "secret")

    digest = hashlib.md5(b"ada:muster:secret").hexdigest()
    assert path.read_text() == f"ada:muster:{digest}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_of(file, "ada") == digest


@pytest.mark.witness("htdigest")
def test_file_of_htdigest_is_read(path: Path) -> None:
    program = shutil.which("htdigest")
    if program is None:
        pytest.skip("htdigest is not installed")
    subprocess.run([program, "-c", path, "muster", "ada"], input=b"secret\nsecret\n", check=True, capture_output=True)

    assert key_of(PasswordFile(path, "muster"), "ada") == hashlib.md5(b"ada:muster:secret").hexdigest()


def test_nobody_is_in_a_file_that_is_not_there(path: Path) -> None:
    file = PasswordFile(path, "muster")

    assert (key_of(file, "ada"), file.users(), file.remove("ada")) == (None, [], False)


def test_change_is_seen_at_the_next_question(path: Path) -> None:
    asked, changed = PasswordFile(path, "muster"), PasswordFile(path, "muster")
    changed.set_password("ada", "secret")
    before = key_of(asked, "ada")

    changed.set_password("benedict", "secret")
    changed.remove("ada")

    assert before is not None
    assert key_of(asked, "ada") is None
    assert key_of(asked, "benedict") is not None


def test_lines_of_other_realms_stay_as_they_are(path: Path) -> None:
    path.write_text(f"ada:other:{'0' * 32}\n")
    file = PasswordFile(path, "muster")

    file.set_password("ada", "secret")
    file.set_password("ada", "secret too")

    assert PasswordFile(path, "other").users() == file.users() == ["ada"]
    assert key_of(PasswordFile(path, "other"), "ada") == "0" * 32


@pytest.mark.parametrize("content", [b"ada", b"ada:muster:short", b":muster:" + b"0" * 32, b"\xff", b"a:b:c:d"])
def test_broken_file_is_no_answer_rather_than_a_wrong_password(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    file = PasswordFile(path, "muster")

    with pytest.raises(Unavailable):
        key_of(file, "ada")
    with pytest.raises(PasswordFileError):
        file.set_password("ada", "secret")
    assert path.read_bytes() == content


def test_file_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_file, "MAXIMUM_FILE_BYTES", 60)
    file = PasswordFile(path, "muster")
    file.set_password("ada", "secret")
    file.set_password("ben", "secret")

    with pytest.raises(Unavailable):
        key_of(file, "ada")


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "x" * 256])
def test_name_that_no_line_can_hold_is_refused(path: Path, name: str) -> None:
    with pytest.raises(PasswordFileError):
        PasswordFile(path, "muster").set_password(name, "secret")
    assert not path.exists()
