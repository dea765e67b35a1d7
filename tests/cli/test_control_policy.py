"""`muster policy control`: set, shown, counted before, ordered."""

from tests.cli.conftest import MAC
from tests.support.command_line import CommandLine


def test_limits_are_set_and_shown(muster: CommandLine) -> None:
    code, out, said = muster.run("policy", "control", "set", "tolerance=10d", "quiet_hours=22:00-06:00")

    assert (code, out) == (0, "")
    assert "0 channels would be judged by other limits" not in said
    assert "Set for all from now on: tolerance=10d, quiet_hours=22:00-06:00" in said
    [row] = muster("policy", "control", "show")["set"]
    assert row["settings"] == {"tolerance": "10d", "quiet_hours": "22:00-06:00"}
    assert muster("policy", "control", "show", "--device", MAC)["tolerance"] == "10d"
    _, table, _ = muster.run("policy", "control", "show")
    assert "(all)" in table


def test_dry_run_counts_and_sets_nothing(muster: CommandLine) -> None:
    counted = muster("policy", "control", "set", "tolerance=10d", "--dry-run")

    assert counted["channels"] == 3
    assert muster("policy", "control", "show")["set"] == []


def test_groups_are_ordered_and_unset(muster: CommandLine) -> None:
    for name in ("carts", "loans"):
        muster("groups", "create", name)
        assert muster.run("policy", "control", "set", "tolerance=9d", "--group", name, "--yes")[0] == 0

    assert muster("policy", "control", "order", "loans", "carts") == ["loans", "carts"]
    assert muster.run("policy", "control", "unset", "--group", "loans")[0] == 0
    assert [row["group"] for row in muster("policy", "control", "show")["set"]] == ["carts"]


def test_what_does_not_fit_is_told(muster: CommandLine) -> None:
    code, _, said = muster.run("policy", "control", "set", "tolerance=soon")

    assert code == 2
    assert "tolerance can't be 'soon'" in said
    assert muster.run("policy", "control", "set", "tolerance=9d", "--group", "nobody")[0] == 3
    assert muster.run("policy", "control", "unset", "colour")[0] == 2
    assert muster.run("policy", "control", "show", "--device", "NOBODY")[0] == 3
