"""Commands ask a server elsewhere, and say the same as beside the data: word for word, as text and as JSON."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.cli.test_application import parameters
from tests.support.command_line import CommandLine
from tests.support.elsewhere import Circumstances, FarCommandLine, held_still, serving, token_of

from muster.cli.places import ASKS_NOBODY, ELSEWHERE, HERE_ALONE

COMMAND = "0192F0C0-0000-7000-8000-000000000001"
PREPARED: tuple[tuple[str, ...], ...] = (
    ("groups", "create", "macs", "--where", "platform = 'macOS'"),
    ("groups", "create", "hands"),
    ("groups", "add", "hands", MAC),
    ("commands", "send", MAC, "DeviceInformation", "--set", "Queries[]=OSVersion"),
    ("commands", "send", USER, "ProfileList"),
)
"""What was done before, so that there is something to show."""

CASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "commands cancel": (("UUID",), ("UUID", MAC), ("--all",), ()),
    "commands clear": ((MAC,), ("NOBODY",)),
    "commands held": ((),),
    "commands list": ((MAC,), (USER,), ("NOBODY",)),
    "commands pause": ((MAC, "--reason", "repair"), (MAC, "--reason", " "), ("NOBODY", "--reason", "repair")),
    "commands release": (("--all",), ("NONE",)),
    "commands resume": ((MAC,), ("NOBODY",)),
    "commands show": (("UUID",), ("UUID", MAC), ("UUID", USER), ("NONE",)),
    "devices inventory": ((MAC,), (MAC, "--history"), ("NOBODY",)),
    "devices list": (
        (),
        ("--order", "id"),
        ("--where", "platform = 'macOS'"),
        ("--where", "nonsense"),
        ("--search", "ada"),
        ("--state", "ended"),
        ("--search", "nobody"),
    ),
    "devices reach-link": ((MAC,), ("NOBODY",)),
    "devices refresh": ((MAC,), (MAC, "NOBODY"), (MAC, "--kind", "ProfileList")),
    "devices renew": ((MAC,), (FORMER, "NOBODY")),
    "devices show": ((MAC,), ("C02XK1",), (FORMER,), ("NOBODY",)),
    "groups add": (("hands", FORMER), ("macs", MAC), ("nothing", MAC)),
    "groups create": (("new",), ("new", "--where", "serial_number is known"), ("HANDS",), ("new", "--where", "x y")),
    "groups delete": (("hands",), ("nothing",)),
    "groups list": ((),),
    "groups query": (("macs", "name contains 'a'"), ("hands", "name contains 'a'")),
    "groups remove": (("hands", MAC), ("nothing", MAC)),
    "groups rename": (("macs", "Macs of ours"), ("macs", "hands")),
    "groups show": (("macs",), ("Hands",), ("nothing",)),
    "incidents": ((), ("--open", "--limit", "3")),
    "recover": (
        (MAC,),
        (MAC, "--dry-run"),
        ("--list",),
        (MAC, "--now"),
        (MAC, "--stop"),
        (MAC, "--confirm", "re_enroll"),
        ("NOBODY",),
    ),
    "status": ((), ("--history", "30d")),
    "timeline": ((MAC,), ("C02XK1", "--days", "3"), ("NOBODY",)),
    "why": ((MAC,), (USER, "--all"), ("C02XK1",), ("NOBODY",)),
}
"""With which arguments each command is held against itself; UUID stands for a command that was sent to the Mac."""


@pytest.fixture
def circumstances() -> Iterator[Circumstances]:
    with held_still() as held:
        yield held


@pytest.fixture(scope="module")
def prepared(_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data directory in which PREPARED was done, and the UUID of the command that was sent to the Mac."""
    directory = Path(shutil.copytree(_template, tmp_path_factory.mktemp("prepared") / "data"))
    near, uuid = CommandLine("--data-dir", str(directory)), ""
    with held_still() as circumstances:
        for number, one in enumerate(PREPARED):
            circumstances.begin(number)
            code, out, said = near.run(*one)
            assert code == 0, said
            uuid = out.strip() if one[:3] == ("commands", "send", MAC) else uuid
    return directory, uuid


def test_every_command_says_whether_it_asks_a_server_elsewhere() -> None:
    known = parameters().keys()

    assert ELSEWHERE | HERE_ALONE.keys() | ASKS_NOBODY == known
    assert not ELSEWHERE & HERE_ALONE.keys()
    assert CASES.keys() == ELSEWHERE


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("words", sorted(CASES))
def test_command_says_the_same_from_elsewhere(
    words: str, form: tuple[str, ...], prepared: tuple[Path, str], tmp_path: Path, circumstances: Circumstances
) -> None:
    before, uuid = prepared
    here, there = (Path(shutil.copytree(before, tmp_path / name)) for name in ("here", "there"))
    near = CommandLine("--data-dir", str(here))
    with serving(there) as (url, data):
        far = FarCommandLine(url, token_of(data))
        for number, arguments in enumerate(CASES[words], len(PREPARED)):
            called = [*words.split(), *(uuid if one == "UUID" else one for one in arguments), *form]
            circumstances.begin(number)
            said_here = near.run(*called)
            circumstances.begin(number)
            said_there = far.run(*called)

            assert _lines(*said_there) == _lines(*said_here), called


def _lines(code: int, out: str, err: str) -> list[str]:
    """Lay out what a command said, so that a failure shows the line."""
    return [str(int(code)), *out.split("\n"), *err.split("\n")]
