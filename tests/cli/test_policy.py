"""`muster policy`."""

import pytest
from tests.support.command_line import CommandLine


def test_show_tells_programs_what_stands_and_that_nobody_set_it(muster: CommandLine) -> None:
    rows = {row["name"]: row for row in muster("policy", "show")}

    assert rows["on_enroll"]["value"] == rows["on_enroll"]["default"] == "accept"
    assert rows["on_enroll"]["changed_by"] is None


def test_set_policy_is_shown_with_who_set_it(muster: CommandLine) -> None:
    code, out, said = muster.run("policy", "set", "on_restore", "refuse")

    row = next(row for row in muster("policy", "show") if row["name"] == "on_restore")
    assert (code, out) == (0, "")
    assert "on_restore is refuse from now on; it was accept" in said
    assert row["value"] == "refuse"
    assert "@" in row["changed_by"]


def test_show_gives_people_a_table(muster: CommandLine) -> None:
    code, out, _ = muster.run("policy", "show")

    assert code == 0
    assert out.splitlines()[0].split() == ["POLICY", "VALUE", "SET", "BY", "WHAT"]
    assert "on_enroll" in out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["on_restore", "perhaps"], 2, "accept or refuse"),
        (["on_everything", "refuse"], 3, "There are on_enroll, on_restore"),
    ],
)
def test_set_refuses_what_fits_no_policy(muster: CommandLine, arguments: list[str], code: int, told: str) -> None:
    found, _, said = muster.run("policy", "set", *arguments)

    assert found == code
    assert told in said
