"""`muster accounts`."""

import io

import pytest
from tests.cli.conftest import MAC, USER
from tests.support.command_line import CommandLine


def make_template(muster: CommandLine) -> None:
    code, out, said = muster.run(
        "accounts", "template", "create", "calendar", "--kind", "caldav", "--display-name", "Calendar",
        "--set", "CalDAVHostName=dav.example.org", "--set", "CalDAVUsername=${user.email}",
        "--set", "CalDAVUseSSL=true",
    )  # fmt: skip
    assert (code, out, said) == (0, "There is a template calendar now.\n", "")


def test_account_is_assigned_changed_given_a_password_and_removed(
    muster: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_template(muster)
    code, out, said = muster.run("accounts", "assign", "calendar", USER, "--set", "user.email=ada@example.org")
    account = out.strip()
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    given = muster("accounts", "set-password", account)
    changed = muster("accounts", "change", account, "--set", "user.email=ada.l@example.org")
    listed = muster("accounts", "list", USER)
    removed = muster("accounts", "remove", account)

    assert code == 0
    assert said == f"Its profile (revision 1) waits for {USER}, which is pushed.\n"
    assert (given["revision"], changed["revision"]) == (2, 3)
    assert [(one["state"], one["has_password"], one["variables"]) for one in listed] == [
        ("sent", True, {"user.email": "ada.l@example.org"})
    ]
    assert removed["command_uuid"]
    assert "No accounts" in muster.run("accounts", "list")[1]


def test_template_and_account_that_are_not_there_are_said(muster: CommandLine) -> None:
    assert muster.run("accounts", "assign", "absent", MAC)[0] == 3
    assert muster.run("accounts", "remove", "absent")[0] == 3


def test_value_that_is_missing_is_named(muster: CommandLine) -> None:
    make_template(muster)

    code, _, said = muster.run("accounts", "assign", "calendar", USER)

    assert code == 2
    assert "no value is known for ${user.email}" in said


def test_templates_are_shown_changed_and_removed(muster: CommandLine) -> None:
    make_template(muster)
    changed = muster(
        "accounts", "template", "change", "calendar", "--set", "CalDAVPort=8443", "--unset", "CalDAVUseSSL"
    )
    shown = muster.run("accounts", "template", "show", "calendar")[1]
    listed = muster("accounts", "template", "list")

    assert changed["settings"]["CalDAVPort"] == 8443
    assert "CalDAVPort" in shown
    assert "CalDAVUseSSL" not in shown
    assert [one["template"]["name"] for one in listed] == ["calendar"]
    assert muster.run("accounts", "template", "remove", "calendar")[0] == 0
    assert muster.run("accounts", "template", "show", "calendar")[0] == 3


def test_misspelt_key_is_told_with_the_one_that_is_meant(muster: CommandLine) -> None:
    code, _, said = muster.run("accounts", "template", "create", "x", "--kind", "mail", "--set", "EmailAdress=x")

    assert code == 2
    assert "Did you mean EmailAddress?" in said


def test_password_is_one_line_of_standard_input(muster: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert muster.run("accounts", "set-password", "any")[0] == 2
    assert muster.run("accounts", "assign", "x", USER, "--set", "nonsense")[0] == 2
