"""`muster report`: made, verified without a server, and one entry proved."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine


@pytest.fixture
def report(muster: CommandLine, tmp_path: Path) -> Path:
    file = tmp_path / "control.json"
    code, _, err = muster.run("report", "control", "--output", str(file))
    assert code == 0, err
    return file


def offline(*arguments: str) -> tuple[int, str, str]:
    """Run a command that knows of no server."""
    return CommandLine().run("report", *arguments)


def test_report_is_written_and_verified_anywhere(report: Path) -> None:
    code, out, err = offline("verify", str(report), "--trust", f"{report}.pem")

    assert (code, err) == (0, "")
    assert "is as it was signed" in out
    assert sorted(one.name for one in report.parent.glob("control.json*")) == [
        "control.json",
        "control.json.entries",
        "control.json.p7s",
        "control.json.pem",
    ]
    assert json.loads(report.read_bytes())["type"] == "muster control report"


def test_authority_that_came_along_is_said_to_be_compared_with_nothing(report: Path) -> None:
    code, _, err = offline("verify", str(report))

    assert code == 0
    assert "was not compared with anything" in err


def test_changed_report_is_refused(report: Path) -> None:
    report.write_bytes(report.read_bytes().replace(b'"total":2', b'"total":3', 1))

    code, out, err = offline("verify", str(report))

    assert (code, out) == (4, "")
    assert "does not hold" in err


def test_report_is_compared_with_the_data(muster: CommandLine, report: Path) -> None:
    muster("groups", "create", "carts")

    assert muster("report", "compare", str(report))["is_same"]
    code, out, _ = muster.run("report", "compare", str(report))
    assert (code, "are as they were" in out) == (0, True)


def test_nothing_is_overwritten(muster: CommandLine, report: Path) -> None:
    assert muster.run("report", "control", "--output", str(report))[0] == 5


def test_without_output_it_is_counted_and_not_signed(muster: CommandLine) -> None:
    code, out, _ = muster.run("report", "control")

    assert (code, "Not signed" in out) == (0, True)
    assert muster("report", "control")["devices"]["total"] == 2


@pytest.mark.parametrize(
    "at", ["yesterday", "2999-01-01", "2999-01-01T00:00:00+01:00", "9999-12-31", "0001-01-01T00:00+01:00"]
)
def test_time_has_to_be_one_that_was(muster: CommandLine, at: str) -> None:
    assert muster.run("report", "control", "--at", at)[0] == 2


def test_query_has_to_be_one(muster: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "control.json"

    assert muster.run("report", "control", "--where", "colour = red", "--output", str(file))[0] == 2
    assert list(tmp_path.glob("*control*")) == []


@pytest.mark.parametrize("id_", [MAC, "C02XK1"])
def test_entry_is_proved_without_the_others(report: Path, tmp_path: Path, id_: str) -> None:
    proof = tmp_path / "proof.json"
    code, _, err = offline("prove", str(report), id_, "--output", str(proof))
    assert code == 0, err

    code, out, _ = offline("verify", str(proof), "--trust", f"{report}.pem")

    assert (code, MAC in out, "not judged yet" in out) == (0, True, True)
    assert FORMER.encode() not in proof.read_bytes()


def test_entry_that_there_is_not_is_not_proved(report: Path, tmp_path: Path) -> None:
    assert offline("prove", str(report), "NOBODY", "--output", str(tmp_path / "proof.json"))[0] == 3


def test_files_that_are_missing_or_none_are_told(report: Path, tmp_path: Path) -> None:
    assert offline("verify", str(tmp_path / "none.json"))[0] == 3
    assert offline("verify", str(report), "--trust", str(report))[0] == 2
    Path(f"{report}.p7s").unlink()
    assert offline("verify", str(report))[0] == 3
