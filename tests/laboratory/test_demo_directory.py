"""The directory of a demonstration."""

from pathlib import Path

import pytest

from muster.laboratory.demo_directory import UnfitDirectory, demo_directory


def test_temporary_directory_is_removed_at_the_end() -> None:
    with demo_directory(None) as directory:
        (directory / "muster.db").write_bytes(b"")

    assert not directory.exists()


def test_given_directory_stays_and_serves_again(tmp_path: Path) -> None:
    given = tmp_path / "a" / "b"
    with demo_directory(given) as directory:
        (directory / "muster.db").write_bytes(b"")

    with demo_directory(given) as directory:
        assert (directory / "muster.db").exists()


def test_directory_with_anything_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "muster.db").write_bytes(b"real")

    with pytest.raises(UnfitDirectory, match="neither empty nor"), demo_directory(tmp_path):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["muster.db"]


def test_directory_serves_one_demonstration_at_a_time(tmp_path: Path) -> None:
    with (
        demo_directory(tmp_path),
        pytest.raises(UnfitDirectory, match="another demonstration"),
        demo_directory(tmp_path),
    ):
        pass


def test_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(UnfitDirectory, match="can't be made"), demo_directory(tmp_path / "file"):
        pass
