"""What all commands have in common."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.cli.conftest import MAC
from tests.service.running import free_port
from tests.support.command_line import CommandLine
from typer.core import TyperCommand, TyperGroup

from muster.cli import main
from muster.cli.application import root
from muster.cli.parts import PARTS, UnloadedPart

LISTINGS = ("devices list", "devices show", "commands list", "commands show", "check")


def parameters() -> dict[str, set[str]]:
    """The options of every command, by its words."""
    found: dict[str, set[str]] = {}
    pending: list[tuple[str, TyperCommand | TyperGroup]] = [("", root())]
    while pending:
        words, command = pending.pop()
        if isinstance(command, UnloadedPart):
            command = command.load()
        children = getattr(command, "commands", None)
        if children is None:
            found[words] = {option for parameter in command.params for option in parameter.opts}
        else:
            pending += [(f"{words} {name}".strip(), child) for name, child in children.items()]
    return found


def test_the_promised_commands_exist() -> None:
    promised = {"init", "serve", "demo", "check", "migrate", "enroll link", "enroll profile", "devices list"}
    promised |= {"devices show", "commands send", "commands list", "commands show", "push send", "push-cert upload"}

    assert promised <= parameters().keys()


@pytest.mark.parametrize("name", PARTS)
def test_help_of_all_says_what_the_help_of_each_says(name: str) -> None:
    part = UnloadedPart(name).load()

    assert (part.help or "").partition("\n\n")[0] == PARTS[name].help
    assert part.name == name


def test_help_and_version_wait_for_nothing_that_they_do_not_need() -> None:
    heavy = (
        "alembic",
        "cryptography",
        "muster.bootstrap",
        "muster.edges",
        "muster.operations",
        "pydantic",
        "sqlalchemy",
    )
    check = f"""
import sys
from muster.cli import main
for argument in ("--help", "--version"):
    main([argument])
print([one for one in {heavy} if one in sys.modules], file=sys.stderr)
"""

    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ended.stderr == "[]\n"
    assert f"muster {version('muster-mdm')}\n" in ended.stdout


def test_command_loads_nothing_of_the_server_and_of_the_laboratory(data_dir: Path) -> None:
    check = f"""
import sys
from muster.cli import main
main(["devices", "list", "--data-dir", {str(data_dir)!r}])
heavy = ("muster.bootstrap.service", "muster.edges.console", "muster.laboratory", "uvicorn")
print([one for one in heavy if one in sys.modules], file=sys.stderr)
"""

    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ended.stderr == "[]\n"


@pytest.mark.parametrize("command", [("status",), ("devices", "list"), ("identities", "list"), ("enroll", "links")])
def test_command_that_asks_elsewhere_loads_nothing_that_opens_data(command: tuple[str, ...]) -> None:
    check = f"""
import sys
from muster.cli import main
main(["--server", "http://127.0.0.1:{free_port()}", "--token", "muster_x", *{command!r}])
heavy = ("muster.bootstrap", "muster.settings", "alembic", "starlette", "uvicorn", "muster.edges.api.table")
print([one for one in heavy if one in sys.modules])
"""

    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert "can't be reached" in ended.stderr
    assert ended.stdout == "[]\n"


def test_every_command_is_told_where_the_data_is_in_the_same_way() -> None:
    where = {"--data-dir", "--database", "--key-ring"}

    needing_none = {
        "demo",
        "commands types",
        "commands describe",
        "lab run",
        "lab list",
        "report verify",
        "report prove",
    }
    assert {words for words, options in parameters().items() if not where <= options} <= needing_none


@pytest.mark.parametrize("words", LISTINGS)
def test_listings_print_json_for_programs(words: str) -> None:
    assert "--json" in parameters()[words]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "muster: No such command 'nonsense'.\n  See `muster --help`.\n"),
        (["devices", "nonsense"], "See `muster devices --help`."),
        (["devices", "show"], "Missing argument 'ID'"),
        (["devices", "list", "--nonsense"], "No such option: --nonsense"),
        (["enroll", "link", "--uses", "no"], "--uses"),
        (["enroll", "link", "--uses", "0"], "--uses"),
        (["enroll", "link", "--expires", "soon"], "--expires: give a number and a unit: 30m, 12h, 7d or 2w"),
        (["enroll", "link", "--expires", "30000d"], "--expires"),
        (["enroll", "link", "--kind", "post"], "--kind': 'post' is not one of 'profile', 'ota'"),
        (["witnesses", "add", "x"], "Choose from:\n    agent,\n    idp,"),
        (["serve", "--listen", "everywhere"], "--listen: must be HOST:PORT"),
        (["check", "--database", "mysql://x"], "--database: must be a postgresql:// URL"),
    ],
)
def test_wrong_usage_is_told_in_a_line_or_two_with_exit_code_2(
    arguments: list[str], complaint: str, muster: CommandLine
) -> None:
    code, out, said = muster.run(*arguments)

    assert code == 2
    assert out == ""
    assert said.startswith("muster: ")
    assert complaint in said
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", [[], ["devices"], ["commands"]])
def test_no_command_prints_the_help_and_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)

    assert code == 2
    assert "Usage: muster" in capsys.readouterr().out


def test_no_data_is_absent_and_says_how_to_make_it(tmp_path: Path) -> None:
    code, _, said = CommandLine("--data-dir", str(tmp_path / "nothing")).run("devices", "list")

    assert code == 3
    assert f"there is no Muster database in {tmp_path / 'nothing'}" in said
    assert "muster init" in said
    assert not (tmp_path / "nothing").exists()


def test_a_database_that_is_away_is_unavailable(muster: CommandLine) -> None:
    code, _, said = muster.run("devices", "list", "--database", "postgresql://ada:secret@127.0.0.1:1/muster")

    assert code == 6
    assert "Connection refused" in said
    assert "try again" in said
    assert "secret" not in said


def test_a_damaged_database_is_named(muster: CommandLine, data_dir: Path) -> None:
    (data_dir / "muster.db").write_bytes(b"not a database, but long enough to look at" * 100)

    code, _, said = muster.run("devices", "list")

    assert code == 6
    assert "file is not a database" in said


def test_a_key_ring_that_is_missing_or_damaged_is_named(muster: CommandLine, data_dir: Path) -> None:
    ring = data_dir / "keys" / "ring.json"
    ring.write_text('{"version": 1, "keys": [')
    damaged, _, said_damaged = muster.run("devices", "list")
    ring.unlink()
    missing, _, said_missing = muster.run("devices", "list")

    assert (damaged, missing) == (2, 2)
    assert f"key_ring: {ring} can't be read" in said_damaged
    assert f"key_ring: {ring} does not exist" in said_missing


def test_a_directory_that_cannot_be_made_is_named() -> None:
    code, _, said = CommandLine("--data-dir", "/dev/null/muster").run("init")

    assert code == 2
    assert said == "muster: /dev/null/muster/muster.toml can't be read: Not a directory\n"


@pytest.mark.parametrize("arguments", [["devices", "list"], ["--help"]])
def test_a_reader_that_goes_away_is_no_fault(arguments: list[str], data_dir: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    where = [] if arguments == ["--help"] else ["--data-dir", str(data_dir)]

    done = subprocess.run(
        [sys.executable, "-m", "muster.cli", *arguments, *where],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )

    os.close(writing)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_the_data_directory_may_stand_in_the_environment(
    muster: CommandLine, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_DATA_DIR", str(data_dir))

    rows = CommandLine()("devices", "list")

    assert MAC in {row["id"] for row in rows}


@pytest.mark.parametrize("arguments", [("why", "\udcff"), ("--as", "\udcff", "devices", "list"), ("\udcff",)])
def test_octets_that_are_no_text_are_wrong_usage(muster: CommandLine, arguments: tuple[str, ...]) -> None:
    code, _, said = muster.run(*arguments)

    assert code == 2
    assert "no UTF-8" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("profiles", "remove", MAC, "a\x01b", "--anyway"),
        ("apps", "remove", MAC, "a\x01b", "--anyway"),
        ("commands", "send", MAC, "DeviceLock", "--set", "Message=a\x01b", "--anyway"),
        ("commands", "send", "--where", "enrolled", "DeviceLock", "--set", "Message=a\x01b"),
    ],
)
def test_text_that_no_command_can_say_is_refused(muster: CommandLine, arguments: tuple[str, ...]) -> None:
    code, _, said = muster.run(*arguments)

    assert code in (1, 2)
    assert said.startswith("muster: ")
