"""`muster admins`, `muster tokens`, and `muster --as`."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.support.command_line import CommandLine

ROLES = ("viewer", "helpdesk", "operator", "security")


@pytest.fixture
def people(muster: CommandLine) -> CommandLine:
    """Four administrators, each of whom has one device alone."""
    muster("groups", "create", "ada")
    muster("groups", "add", "ada", MAC)
    for role in ROLES:
        muster("admins", "link", role)
        muster("admins", "set-role", role, role)
        muster("admins", "set-scope", role, "ada")
    return muster


def test_administrators_are_listed_with_role_and_scope(people: CommandLine) -> None:
    rows = {row["name"]: (row["role"], row["groups"], row["disabled_at"]) for row in people("admins", "list")}

    assert rows["helpdesk"] == ("helpdesk", ["ada"], None)
    assert rows["owner"] == ("owner", None, None)


def test_scope_is_taken_away_by_naming_no_group(people: CommandLine) -> None:
    people("admins", "set-scope", "viewer")

    assert next(row["groups"] for row in people("admins", "list") if row["name"] == "viewer") is None


def test_an_owner_has_the_whole_fleet_and_the_last_one_stays(people: CommandLine) -> None:
    scoped, _, said = people.run("admins", "set-scope", "owner", "ada")
    disabled, _, last = people.run("admins", "disable", "owner")

    assert (scoped, disabled) == (5, 5)
    assert "an owner has the whole fleet" in said
    assert "last owner" in last


def test_who_is_shut_out_acts_no_more(people: CommandLine) -> None:
    people("admins", "disable", "viewer")
    code, _, said = people.run("--as", "viewer", "devices", "list")
    people("admins", "enable", "viewer")

    assert (code, "no administrator viewer who may sign in" in said) == (3, True)
    assert people.run("--as", "viewer", "devices", "list")[0] == 0


def test_lists_show_what_is_in_the_scope(people: CommandLine) -> None:
    for arguments in (["list"], ["list", "--where", "state is known"], ["list", "--search", "-"]):
        code, out, _ = people.run("--as", "viewer", "devices", *arguments, "--order", "id")

        assert code == 0
        assert MAC in out
        assert FORMER not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["devices", "show"],
        ["devices", "inventory"],
        ["commands", "list"],
        ["secrets", "list"],
        ["profiles", "list"],
        ["apps", "list"],
        ["why"],
        ["timeline"],
        ["recover"],
        ["push", "explain"],
        ["push", "send"],
        ["commands", "pause", "--reason", "x"],
        ["devices", "renew"],
        ["devices", "refresh"],
        ["devices", "clear-passcode"],
    ],
)
def test_a_device_outside_is_as_one_that_there_is_not(people: CommandLine, arguments: list[str]) -> None:
    for id_ in (FORMER, "no-such-device"):
        code, out, said = people.run("--as", "security", *arguments, id_)

        assert (code, out) == (3, ""), said
    assert people.run("--as", "security", *arguments, MAC)[2] != said


def test_a_user_of_a_device_in_the_scope_is_in_it(people: CommandLine) -> None:
    assert people.run("--as", "viewer", "commands", "list", USER)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["groups", "list"], ["audit", "list"], ["incidents"], ["admins", "list"], ["report", "control"]],
)
def test_what_is_about_the_fleet_is_not_for_who_is_limited(people: CommandLine, arguments: list[str]) -> None:
    assert people.run("--as", "viewer", *arguments)[0] == 4


def test_a_role_does_what_it_has(people: CommandLine) -> None:
    def codes(*arguments: str) -> list[int]:
        return [people.run("--as", role, *arguments)[0] for role in ROLES]

    assert codes("commands", "send", MAC, "DeviceInformation")[0] == 4
    assert 4 not in codes("commands", "send", MAC, "DeviceInformation")[1:]
    assert codes("commands", "send", MAC, "ProfileList")[:2] == [4, 0]
    assert codes("commands", "pause", MAC, "--reason", "x")[:2] == [4, 4]


def test_acts_are_audited_as_whose_they_are(people: CommandLine) -> None:
    people.run("--as", "helpdesk", "commands", "send", MAC, "ProfileList")

    last = people("audit", "list", "--limit", "1")[0]
    assert last["actor_name"].endswith(" as helpdesk")


def test_a_token_is_made_listed_and_revoked(muster: CommandLine) -> None:
    made = muster("tokens", "create", "backup", "--role", "operator", "--days", "7")
    [row] = muster("tokens", "list")
    muster("tokens", "revoke", "backup")

    assert made["token"].startswith("muster_")
    assert (row["name"], row["role"], row["groups"], row["last_used_at"]) == ("backup", "operator", None, None)
    assert made["token"] not in str(row)
    assert muster("tokens", "list") == []
    assert [act["act"] for act in muster("audit", "list", "--act", "token")] == ["token.revoke", "token.create"]


def test_sessions_are_listed_and_ended_and_ways_forgotten(muster: CommandLine) -> None:
    assert muster("admins", "sessions", "owner") == []
    assert muster("admins", "sessions", "owner", "--end") == []
    assert muster("admins", "reset", "owner") == {"name": "owner"}
    assert muster.run("admins", "reset", "nobody")[0] == 3
    assert [act["act"] for act in muster("audit", "list", "--limit", "2")] == ["administrator.reset", "session.end_all"]


def test_the_log_is_exported_with_its_hashes(muster: CommandLine, tmp_path: Path) -> None:
    muster("tokens", "create", "one")
    code, out, _ = muster.run("audit", "export", "--out", str(tmp_path / "log.ndjson"))
    lines = [json.loads(line) for line in (tmp_path / "log.ndjson").read_text().splitlines()]

    assert (code, out) == (0, "")
    assert lines[-1]["act"] == "token.create"
    assert lines[-1]["hash"] == muster("audit", "verify")["last_hash"]
