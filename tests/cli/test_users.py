"""`muster users`: people who enroll, with passwords that never stand on a command line."""

import io
import sys

import pytest
from tests.support.command_line import CommandLine


@pytest.fixture
def with_ada(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"correct horse\n")))
    muster("users", "add", "Ada@example.org", "--password-stdin")
    return muster


def test_users_are_added_listed_and_disabled(with_ada: CommandLine) -> None:
    disabled = with_ada("users", "disable", "ada@example.org")

    [listed] = with_ada("users", "list")
    code, out, _ = with_ada.run("users", "list")
    assert listed["user_name"] == "ada@example.org"
    assert listed["disabled_at"] == disabled["disabled_at"] is not None
    assert (code, "ada@example.org" in out) == (0, True)


def test_user_is_added_once(with_ada: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"other horse\n")))

    code, _, said = with_ada.run("users", "add", "ada@example.org", "--password-stdin")

    assert code == 5
    assert "muster users set-password" in said


@pytest.mark.parametrize(("typed", "expected"), [(b"short\n", 4), (b"\xff\xfe123456\n", 2), (b"", 4), (b"x" * 5000, 4)])
def test_passwords_that_do_not_do_are_refused(
    muster: CommandLine, monkeypatch: pytest.MonkeyPatch, typed: bytes, expected: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))

    code, _, said = muster.run("users", "add", "ada@example.org", "--password-stdin")

    assert code == expected
    assert "password" in said


def test_password_is_asked_for_at_a_terminal_only(with_ada: CommandLine) -> None:
    code, _, said = with_ada.run("users", "set-password", "ada@example.org")

    assert code == 2
    assert "--password-stdin" in said


def test_new_password_is_set(with_ada: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("neues Paßwort\r\n".encode())))

    code, out, _ = with_ada.run("users", "set-password", "ada@example.org", "--password-stdin")

    assert (code, out) == (0, "ada@example.org has a new password.\n")


def test_unknown_user_is_absent(muster: CommandLine) -> None:
    assert muster.run("users", "disable", "nobody@example.org")[0] == 3
