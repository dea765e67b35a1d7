"""`muster groups`, and devices by query."""

import pytest
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine


def test_devices_are_listed_by_query(muster: CommandLine) -> None:
    rows = muster("devices", "list", "--where", "name contains 'ada' and state = 'enrolled'")
    _, table, _ = muster.run("devices", "list", "--where", "state is known")
    _, nobody, _ = muster.run("devices", "list", "--where", "name = 'nobody'")

    assert [row["id"] for row in rows] == [MAC]
    assert [line.split()[0] for line in table.splitlines()] == ["ID", MAC, FORMER]
    assert nobody == "No such devices.\n"


def test_query_that_is_wrong_is_wrong_usage_and_shown(muster: CommandLine) -> None:
    code, out, said = muster.run("devices", "list", "--where", "nme = 'Ada'")

    assert (code, out) == (2, "")
    assert said.splitlines() == [
        "muster: the query is wrong at column 1: 'nme' is no field; did you mean name?",
        "    nme = 'Ada'",
        "    ^",
        "  The manual's page on queries has the fields and an example.",
    ]


@pytest.mark.parametrize("other", [["--search", "x"], ["--state", "ended"]])
def test_query_stands_alone(muster: CommandLine, other: list[str]) -> None:
    code, _, said = muster.run("devices", "list", "--where", "is_supervised", *other)

    assert code == 2
    assert "leave --search and --state out" in said


def test_group_is_made_filled_shown_and_deleted(muster: CommandLine) -> None:
    said = [
        muster.run("groups", *arguments)[1]
        for arguments in (
            ["create", "lab"],
            ["add", "lab", MAC, FORMER],
            ["remove", "lab", FORMER],
            ["rename", "lab", "desk"],
            ["create", "ours", "--where", "group = 'desk'"],
            ["query", "ours", "group = 'desk' and state = 'enrolled'"],
        )
    ]
    shown = muster("groups", "show", "OURS")
    _, table, _ = muster.run("groups", "list")
    _, page, _ = muster.run("groups", "show", "desk")
    deleted = muster.run("groups", "delete", "ours")[1]

    assert said == [
        "The group lab is there.\n",
        "2 put in; 2 are in it now.\n",
        "1 taken out; 1 are in it now.\n",
        "lab is called desk now.\n",
        "The group ours is there.\n",
        "The group ours has another query.\n",
    ]
    assert (shown["query"], [row["id"] for row in shown["devices"]]) == (
        "group = 'desk' and state = 'enrolled'",
        [MAC],
    )
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        ["desk", "1"],
        ["identity-expires-soon", "0"],
        ["needs-a-person", "0"],
        ["not-in-control", "0"],
        ["ours", "1"],
        ["silent", "0"],
    ]
    assert page.startswith("desk: devices that were put in\n")
    assert deleted == "The group ours is deleted; its devices are as they were.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["show", "nobody"], 3, "there is no group nobody"),
        (["add", "nobody", MAC], 3, "there is no group nobody"),
        (["create", "x", "--where", "group = 'x'"], 2, "would be in itself"),
    ],
)
def test_what_can_not_be_is_refused(muster: CommandLine, arguments: list[str], code: int, complaint: str) -> None:
    ended, out, said = muster.run("groups", *arguments)

    assert (ended, out) == (code, "")
    assert complaint in said
