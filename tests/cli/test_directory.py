"""`muster directory`: network users, whose passwords never stand on a command line."""

import io
import sys

import pytest
from tests.support.command_line import CommandLine


def type_in(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_users_are_given_passwords_listed_and_removed(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ben", "ada"):
        type_in(monkeypatch, b"correct horse\n")
        assert muster.run("directory", "set-password", name, "--password-stdin")[0] == 0

    listed = muster("directory", "list")
    removed, _, _ = muster.run("directory", "remove", "ben")
    again, _, said = muster.run("directory", "remove", "ben")

    assert listed == ["ada", "ben"]
    assert muster("directory", "list") == ["ada"]
    assert (removed, again) == (0, 3)
    assert "ben" in said


@pytest.mark.parametrize(("name", "typed"), [("ada", b"\n"), ("a:b", b"secret\n")])
def test_unfit_users_are_refused(muster: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str, typed: bytes) -> None:
    type_in(monkeypatch, typed)

    code, _, _ = muster.run("directory", "set-password", name, "--password-stdin")

    assert code != 0
    assert muster("directory", "list") == []
