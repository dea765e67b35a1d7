"""What is printed: devices choose their names, and neither Rich nor a terminal may take them for orders."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest
from rich.text import Text

from muster.cli.marks import Indented, Page
from muster.cli.output import print_json, print_table

HOSTILE = ["a\x1b[31mred", "a\x1b]0;title\x07", "a\x9b31m", "a\rb", "a\0b", "a\u202eb", "a\u2028b"]


def printed(work: Callable[[], None], encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with redirect_stdout(out):
        work()
    out.seek(0)
    return out.read()


def prints_of(name: str) -> list[Callable[[], None]]:
    return [
        lambda: print_table(("NAME",), [(name,)]),
        lambda: Page().say(name),
        lambda: Page().say(Text(name, style="bold")),
        lambda: Page().say(Indented(name, 4)),
        lambda: print_json({"name": name}),
    ]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_name_gives_a_terminal_no_order(name: str) -> None:
    for work in prints_of(name):
        said = printed(work)

        assert "a" in said
        assert all(one.isprintable() or one == "\n" for one in said)
        assert len(said.splitlines()) <= 3


@pytest.mark.parametrize("name", ["[/foo]", "[bold]Ada's[/bold]", ":smile: Mac", "Ada’s iPad d’Éva", "会議室"])
def test_name_is_shown_as_it_is(name: str) -> None:
    for work in prints_of(name):
        assert name in printed(work)


def test_long_text_is_broken_into_lines() -> None:
    words = " ".join(["word"] * 60)

    for text in (words, Text(words, style="bold"), Indented(words, 4)):
        said = printed(lambda text=text: Page().say(text))  # type: ignore[misc]

        assert said.split() == words.split()
        assert max(len(line) for line in said.splitlines()) <= 100


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_json_loses_nothing(name: str) -> None:
    assert json.loads(printed(lambda: print_json([name]))) == [name]


def test_terminal_of_another_encoding_is_shown_what_it_has() -> None:
    for work in prints_of("会議室 1"):
        assert "1" in printed(work, "latin-1")
    assert json.loads(printed(lambda: print_json("会議室 \U0001f604"), "latin-1")) == "会議室 \U0001f604"
