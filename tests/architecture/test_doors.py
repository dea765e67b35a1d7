"""No door does or shows anything past `operations.permit`: every call of an operation says what it takes."""

import ast
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import muster
import muster.operations
from muster.operations.permit import ACTS

SOURCES = Path(muster.__file__).parent
CONSOLE, CLI = sorted((SOURCES / "edges/console").glob("*.py")), sorted((SOURCES / "cli").glob("*.py"))
NANOMDM = sorted((SOURCES / "edges/nanomdm").glob("*.py"))
API = sorted((SOURCES / "edges/api").rglob("*.py"))
BEFORE_ANYBODY_IS_KNOWN = {"sessions.py", "audit_pages.py", "live.py"}
"""Who reads the database themselves: to find out who is signed in; that being known, to go on with the log; and to see
whether something changed that somebody follows who may see it."""
BY_WHOM_PROGRAMS_ASK = {"keeper.py", "endpoints.py"}
"""What finds out who shows a token, and what all answers see and do by, as somebody."""

for _module in pkgutil.iter_modules(muster.operations.__path__):
    import_module(f"muster.operations.{_module.name}")

DECLARED = {operation.__name__ for operation in ACTS}


def calls(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Return the calls of methods in a file: on what, which, and the call."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node


def names(node: ast.expr) -> set[str]:
    """Return what a first argument may be: an operation, or one of two."""
    parts = (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,)
    return {part.id for part in parts if isinstance(part, ast.Name)}


@pytest.mark.parametrize("path", CLI, ids=lambda path: path.name)
def test_every_operation_of_the_command_line_says_what_it_takes(path: Path) -> None:
    called = [
        name
        for on, method, call in calls(path)
        if on in {"data", "here"} and method in {"run", "run_all"}
        for name in names(call.args[0])
    ]

    assert [name for name in called if name not in DECLARED | {"operation"}] == []


@pytest.mark.parametrize("path", [*CONSOLE, *NANOMDM], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_console_does_nothing_declared_but_as_somebody(path: Path) -> None:
    written = [
        name
        for on, method, call in calls(path)
        if on == "self._runner" and method == "write"
        for name in names(call.args[0])
    ]

    assert not DECLARED & set(written)


@pytest.mark.parametrize("path", CONSOLE, ids=lambda path: path.name)
def test_the_console_reads_nothing_but_as_somebody(path: Path) -> None:
    readers = {path.name for on, method, _ in calls(path) if on == "self._runner" and method == "read"}

    assert readers <= BEFORE_ANYBODY_IS_KNOWN


@pytest.mark.parametrize("path", API, ids=lambda path: path.name)
def test_the_interface_for_programs_reads_and_does_nothing_but_as_somebody(path: Path) -> None:
    runs = {path.name for on, method, _ in calls(path) if on.endswith("runner") and method in {"read", "write"}}
    done = [name for on, method, call in calls(path) if on == "call" and method == "do" for name in names(call.args[0])]

    assert runs <= BY_WHOM_PROGRAMS_ASK
    assert [name for name in done if name not in DECLARED] == []
